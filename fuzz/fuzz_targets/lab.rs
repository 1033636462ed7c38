//! `lab.toml`, which a person writes: every mistake must have its place, and what is good must stay good.

#![no_main]

use std::sync::LazyLock;

use labimg::lab;
use labimg::parts::Parts;
use labimg_testkit::words::in_words;
use libfuzzer_sys::fuzz_target;

static PARTS: LazyLock<Parts> = LazyLock::new(|| Parts::built_in().expect("the program's own"));

fuzz_target!(|text: &str| {
    let problems = match lab::parse(text, None, &PARTS) {
        Ok((lab, warnings)) => {
            // What was read must read the same once written.
            let written = toml::to_string(&lab).expect("a lab is a table");
            let (again, _) = lab::parse(&written, None, &PARTS).expect("just accepted");
            assert_eq!(again, lab);
            warnings
        }
        Err(problems) => problems,
    };
    for problem in problems {
        assert!(text.get(problem.span.clone()).is_some(), "a place outside the text: {problem:?}");
        for said in std::iter::once(problem.message).chain(problem.help) {
            assert!(!in_words(&said, text).is_empty());
        }
    }
    assert_eq!(lab::mask(text).len(), text.len());
});
