//! Mistakes about the stack, with their places.

use super::tests::known;
use super::{Problem, parse};

const NODE: &str = "[[nodes]]\nname = \"m\"\nrole = \"master\"\nboard = \"rpi4\"\n";

/// The mistakes about a lab with these lines: the text at each place, the message with its help.
fn mistakes(lines: &str) -> Vec<(String, String)> {
    let text = format!("name = \"x\"\nssh_keys = []\n{lines}\n{NODE}");
    let said = |p: &Problem| format!("{}: {}", p.message, p.help.clone().unwrap_or_default());
    match parse(&text, None, known()) {
        Ok(_) => Vec::new(),
        Err(all) => all.iter().map(|p| (text[p.span.clone()].to_owned(), said(p))).collect(),
    }
}

#[test]
fn good_ones() {
    for lines in [
        "[stack]",
        "[stack]\nprofile = \"identity\"\ndns = true",
        "[stack.components.nfs-storage]\nenabled = false",
        "[k3s.server_config]\ndisable = [\"local-storage\"]\n[stack]\nprofile = \"minimal\"",
    ] {
        assert_eq!(mistakes(lines), [], "{lines}");
    }
}

#[test]
fn each_mistake_is_at_its_place() {
    for (lines, place, needle) in [
        ("[stack]\nprofile = \"huge\"", "\"huge\"", "`profile` cannot be `huge`"),
        ("[stack.components.keycloack]\nenabled = true", "keycloack", "did you mean `keycloak`?"),
        ("[stack.components.keycloack]\nversion = \"1.2.3\"", "keycloack", "there is no component"),
        ("[stack.components.loki]\nenable = true", "enable", "unknown setting `enable`"),
        ("[stack.components.loki]\nversion = \"latest\"", "\"latest\"", "is not the version of a chart"),
        ("[stack.components.ingress]\nversion = \"1.2.3\"", "\"1.2.3\"", "comes with k3s"),
        ("[stack.components.cluster-dns]\nvalues = { a = 1 }", "values", "has no chart that could take `values`"),
        ("[stack.components.loki]\nvalues = { a = 1 }\nvalues_file = \"x.yaml\"", "values", "two ways"),
        (
            "[stack]\nprofile = \"identity\"\n[stack.components.postgres]\nenabled = false",
            "profile",
            "keycloak needs postgres, which is switched off",
        ),
        (
            "[storage]\nenabled = false\n[stack.components.nextcloud]\nenabled = true",
            "nextcloud",
            "nextcloud needs the master's disk",
        ),
        (
            "[stack.components.ingress]\nenabled = true\n[stack.components.ingress-nginx]\nenabled = true",
            "ingress",
            "cannot be there side by side",
        ),
        (
            "[k3s.server_config]\ndisable = [\"traefik\"]\n[stack]\nprofile = \"minimal\"",
            "\"traefik\"",
            "component ingress",
        ),
        ("[k3s.server_config]\ndisable = [\"coredns\"]\n[stack]\nprofile = \"identity\"", "\"coredns\"", "cluster-dns"),
        (
            "[k3s.server_config]\ndisable-helm-controller = true\n[stack]\nprofile = \"minimal\"",
            "disable-helm-controller",
            "nothing installs the charts",
        ),
    ] {
        let found = mistakes(lines);
        assert!(found.iter().any(|(at, said)| at == place && said.contains(needle)), "{lines}: {found:?}");
    }
}

#[test]
fn memory_is_compared_with_that_of_the_nodes() {
    let with = |memory: &str, profile: &str| {
        let lines = format!(
            "[stack]\nprofile = \"{profile}\"\n[[nodes]]\nname = \"w\"\nrole = \"worker\"\nboard = \"rpi4\"\nmemory = \"{memory}\""
        );
        mistakes(&lines)
    };
    assert_eq!(with("1G", "identity"), [], "the master may have 8 GB");
    let text = format!("name = \"x\"\nssh_keys = []\n[stack]\nprofile = \"seed\"\n{NODE}memory = \"2G\"\n");
    let problems = parse(&text, None, known()).unwrap_err();
    assert!(problems[0].message.starts_with("the stack reserves "), "{problems:?}");
    assert!(problems[0].help.as_ref().unwrap().contains("nextcloud ("), "{problems:?}");
    assert!(with("5G", "minimal")[0].1.contains("there are 1G, 2G, 3G, 4G, 8G"), "{:?}", with("5G", "minimal"));
    assert!(with("4g", "minimal")[0].1.contains("is not an amount of memory"));
}
