//! Kubeconfigs.

use std::path::Path;

use crate::kube::{Access, Address};
use crate::wording::one_line;

const GOOD: &str = "
apiVersion: v1
kind: Config
preferences: {}
clusters:
- {name: other, cluster: {server: 'http://no'}}
- name: home
  cluster:
    server: https://[fd00::1]:6443
    certificate-authority-data: Y2E=
users:
- name: admin
  user: {client-certificate-data: Y3J0, client-key-data: c2VjcmV0LWtleQ==}
contexts:
- {name: here, context: {cluster: home, user: admin, namespace: default}}
current-context: here
";

fn parse(text: &str) -> Result<Access, String> {
    Access::parse(text, Path::new("/nowhere"))
}

#[test]
fn the_current_context_counts() {
    let access = parse(GOOD).unwrap();
    assert_eq!((access.context.as_str(), access.host.as_str(), access.port), ("here", "fd00::1", 6443));
    assert_eq!((access.authorities.as_slice(), access.certificate.as_slice()), (&b"ca"[..], &b"crt"[..]));
    assert_eq!(access.key, b"secret-key");
    let https = parse(&GOOD.replace("[fd00::1]:6443", "k8s.example/")).unwrap();
    assert_eq!((https.host.as_str(), https.port), ("k8s.example", 443));
}

#[test]
fn files_beside_it_are_read() {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in [("ca.crt", "CA"), ("me.crt", "CRT"), ("me.key", "KEY")] {
        std::fs::write(dir.path().join(name), content).unwrap();
    }
    let text = GOOD
        .replace("certificate-authority-data: Y2E=", "certificate-authority: ca.crt")
        .replace("client-certificate-data: Y3J0", "client-certificate: me.crt")
        .replace("client-key-data: c2VjcmV0LWtleQ==", "client-key: me.key");
    let file = dir.path().join("config");
    std::fs::write(&file, &text).unwrap();
    let access = Access::read(&file).unwrap();
    assert_eq!((access.authorities, access.certificate, access.key), (b"CA".into(), b"CRT".into(), b"KEY".into()));
    assert!(parse(&text).unwrap_err().contains("cannot be read: /nowhere/ca.crt"));
    let error = one_line(&Access::read(&dir.path().join("none")).unwrap_err());
    assert!(error.ends_with("there is no such file (`labimg build` writes it when it builds a lab)"), "{error}");
    let error = one_line(&Access::read(dir.path()).unwrap_err());
    assert!(error.contains(": it cannot be read: "), "{error}");
}

#[test]
fn what_is_missing_is_named_and_no_key_is_shown() {
    for (from, to, wanted) in [
        ("current-context: here", "current-context: there", "it has no context `there`"),
        ("current-context: here", "", "it has no context ``"),
        ("cluster: home", "cluster: away", "it has no cluster `away`"),
        ("user: admin,", "user: root,", "it has no user `root`"),
        ("client-key-data: c2VjcmV0LWtleQ==", "token: abc", "it has no client-key-data"),
        ("client-key-data: c2VjcmV0LWtleQ==", "client-key-data: c2VjcmV0LWtleQ", "client-key-data is not base64"),
        ("https://[fd00::1]", "http://[fd00::1]", "is not an https address"),
        ("https://[fd00::1]:6443", "https://a:6443/path", "is not an https address"),
        ("https://[fd00::1]:6443", "master", "is not an https address"),
        (
            "client-key-data: c2VjcmV0LWtleQ==",
            "client-key-data: [c2VjcmV0LWtleQ==]",
            "this is not a kubeconfig (line 1",
        ),
        ("clusters:", "clusters: [", "this is not a kubeconfig (line "),
    ] {
        let error = parse(&GOOD.replace(from, to)).unwrap_err();
        assert!(error.contains(wanted), "{to}: {error}");
        assert!(!error.contains("c2VjcmV0"), "{error}");
    }
    let shown = format!("{:?}", parse(GOOD).unwrap());
    assert!(shown.contains("fd00::1") && !shown.contains("secret") && !shown.contains("115, 101"), "{shown}");
}

#[test]
fn addresses_have_a_port() {
    let parse = |text: &str| text.parse::<Address>().map(|a| (a.host, a.port));
    assert_eq!(parse("127.0.0.1:16443"), Ok(("127.0.0.1".to_owned(), 16443)));
    assert_eq!(parse("[::1]:1"), Ok(("::1".to_owned(), 1)));
    assert_eq!(parse("master.local:6443"), Ok(("master.local".to_owned(), 6443)));
    for bad in ["", ":1", "a", "a:", "a:x", "a:65536", "fd00::1", "::1:6443"] {
        assert!(parse(bad).unwrap_err().contains("is not HOST:PORT"), "{bad}");
    }
}
