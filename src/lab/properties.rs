//! Properties that hold for every text, even a wrong one.

use proptest::prelude::*;

use super::tests::{GOOD, known};
use super::{mask, parse};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_panics(text in ".{0,200}") {
        spans_are_inside(&text);
    }

    /// Pieces of real files in any order, so that more than the syntax is reached.
    #[test]
    fn no_mixture_panics(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..24)) {
        spans_are_inside(&pieces.concat());
    }

    /// A valid file with some bytes replaced.
    #[test]
    fn no_typing_mistake_panics(at in prop::collection::vec((0..GOOD.len(), any::<char>()), 1..6)) {
        let mut text: Vec<char> = GOOD.chars().collect();
        for (place, c) in at {
            text[place] = c;
        }
        spans_are_inside(&text.iter().collect::<String>());
    }
}

const PIECES: &[&str] = &[
    "\n",
    "[[nodes]]\n",
    "[nodes]\n",
    "[wifi]\n",
    "[k3s]\n",
    "[storage]\n",
    "[storage.disk]\n",
    "[[k3s.server_config]]\n",
    "name = ",
    "role = ",
    "board = ",
    "address = ",
    "gateway = ",
    "networks = ",
    "disk = ",
    "version = ",
    "ssid = ",
    "a.b.",
    "\"master\"\n",
    "\"10.0.0.1/8\"\n",
    "\"::/0\"\n",
    "[\"fe80::1/10\"]\n",
    "{ size = 0x10 }\n",
    "1e400\n",
    "-1\n",
    "\"é\n",
    "99999999999999999999\n",
    "[[]]\n",
    "{}\n",
    "2026-01-01\n",
    "{ a = nan }\n",
    "ssh_keys = [\"ssh-rsa A\"]\n",
    "passphrase = ",
];

/// All positions are inside the text, and a parsed lab is the same after writing and parsing it again.
pub(super) fn spans_are_inside(text: &str) {
    let problems = match parse(text, None, known()) {
        Ok((lab, warnings)) => {
            assert_eq!(parse(&toml::to_string(&lab).unwrap(), None, known()).unwrap().0, lab);
            warnings
        }
        Err(problems) => problems,
    };
    for p in problems {
        assert!(text.get(p.span.clone()).is_some(), "{p:?}");
        assert!(p.also.iter().all(|l| text.get(l.span.clone()).is_some()), "{p:?}");
    }
    assert_eq!(mask(text).len(), text.len());
}
