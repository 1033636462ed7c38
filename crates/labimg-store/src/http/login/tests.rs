use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use labimg_tree::fault::{Fault, FaultKind, whole};

fn password(user: &str, password: &str) -> Secret {
    Secret::Password { user: user.to_owned(), password: password.to_owned() }
}

/// A folder with files, and credential helpers in its `bin`.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        let mode = if name.starts_with("bin/") { 0o755 } else { 0o600 };
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    dir
}

/// Logins with these variables, all of them paths in the folder.
fn logins(dir: &TempDir, variables: &[&str]) -> Logins {
    Logins::of(|name| {
        let path = |name| dir.path().join(name).into_os_string();
        match name {
            // The helpers of the tests use the system's programs too.
            "PATH" => {
                Some(std::env::join_paths([path("bin").as_os_str(), "/usr/bin".as_ref(), "/bin".as_ref()]).unwrap())
            }
            "HOME" => Some(path("home")),
            name => variables.contains(&name).then(|| path(name)),
        }
    })
}

fn find(logins: &Logins, host: &str, repository: &str) -> Option<(Secret, String)> {
    logins.find(host, repository, &|| Ok(())).unwrap().map(|login| (login.secret, login.place))
}

const QUAY: &str = r#"{"auths":{"quay.io":{"auth":"bWU6cGFzc3dvcmQ="}}}"#;

#[test]
fn files_are_looked_at_in_order() {
    let all = [
        ("home/.docker/config.json", QUAY),
        ("home/.config/containers/auth.json", QUAY),
        ("XDG_RUNTIME_DIR/containers/auth.json", QUAY),
        ("XDG_CONFIG_HOME/containers/auth.json", QUAY),
        ("DOCKER_CONFIG/config.json", QUAY),
        ("REGISTRY_AUTH_FILE", QUAY),
    ];
    let dir = folder(&all);
    for (variables, place) in [
        (&[][..], "home/.config/containers/auth.json"),
        (&["XDG_CONFIG_HOME"], "XDG_CONFIG_HOME/containers/auth.json"),
        (&["XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"], "XDG_RUNTIME_DIR/containers/auth.json"),
        (&["DOCKER_CONFIG", "XDG_RUNTIME_DIR", "REGISTRY_AUTH_FILE"], "REGISTRY_AUTH_FILE"),
    ] {
        let found = find(&logins(&dir, variables), "quay.io", "a").unwrap();
        assert_eq!(found, (password("me", "password"), dir.path().join(place).display().to_string()));
    }
    let dir = folder(&all[..1]);
    assert!(find(&logins(&dir, &["XDG_RUNTIME_DIR"]), "quay.io", "a").unwrap().1.ends_with("home/.docker/config.json"));
    assert_eq!(find(&logins(&dir, &["DOCKER_CONFIG"]), "quay.io", "a"), None);
    // A file that somebody named is there, or it is a mistake.
    let error = logins(&dir, &["REGISTRY_AUTH_FILE"]).find("quay.io", "a", &|| Ok(())).unwrap_err();
    assert!(matches!(error, LoginError::Read { .. }) && error.to_string().contains("REGISTRY_AUTH_FILE"), "{error}");
}

#[test]
fn the_longest_key_that_fits_wins() {
    let entry = |key: &str| format!(r#""{key}":{{"username":"{key}","password":"p"}}"#);
    let keys = [
        "quay.io",
        "quay.io/me",
        "quay.io/me/app",
        "https://index.docker.io/v1/",
        "https://r.example/v2/",
        "r.example:5000",
    ];
    let text = format!(r#"{{"auths":{{"empty.example":{{}},{}}}}}"#, keys.map(entry).join(","));
    let file = File::parse(text.as_bytes()).unwrap();
    for (host, repository, key) in [
        ("quay.io", "me/app", Some("quay.io/me/app")),
        ("quay.io", "me/app/more", Some("quay.io/me/app")),
        ("quay.io", "me/application", Some("quay.io/me")),
        ("quay.io", "mean", Some("quay.io")),
        ("docker.io", "library/nginx", Some("https://index.docker.io/v1/")),
        ("r.example", "a", Some("https://r.example/v2/")),
        ("r.example:5000", "a", Some("r.example:5000")),
        ("r.example:5001", "a", None),
        ("io", "a", None),
        ("empty.example", "a", None),
    ] {
        let secret = key.map(|key| password(key, "p"));
        assert_eq!(
            file.find(host, repository).first(),
            secret.as_ref().map(Found::Secret).as_ref(),
            "{host}/{repository}"
        );
    }
    assert_eq!(canonical("registry-1.docker.io"), "docker.io");
}

#[test]
fn an_entry_has_a_password_or_a_token() {
    for (entry, secret) in [
        (r#"{"auth":"bWU6YTpi"}"#, Some(password("me", "a:b"))),
        (r#"{"auth":"bWU6YQAA"}"#, Some(password("me", "a"))),
        (r#"{"auth":"bWU6eA==","identitytoken":"t"}"#, Some(Secret::Identity("t".to_owned()))),
        (r#"{"username":"me","password":"a","email":"x@y"}"#, Some(password("me", "a"))),
        (r#"{"auth":"","identitytoken":null}"#, None),
    ] {
        let file = File::parse(format!(r#"{{"HttpHeaders":{{}},"auths":{{"r":{entry}}}}}"#).as_bytes()).unwrap();
        assert_eq!(file.find("r", "a").first(), secret.as_ref().map(Found::Secret).as_ref(), "{entry}");
    }
    for empty in ["", "\n", "{}", r#"{"auths":null,"credsStore":""}"#] {
        assert_eq!(File::parse(empty.as_bytes()).unwrap().find("r", "a"), []);
    }
}

#[test]
fn a_file_of_another_form_is_an_error_with_the_reason() {
    for (text, reason) in [
        ("{", "it ends too early (line 1)"),
        ("{\n\"auths\" []}", "it is not valid JSON (line 2)"),
        ("[]", "it is not a JSON object"),
        (r#"{"auths":[]}"#, "`auths` is not a JSON object"),
        (r#"{"auths":{"quay.io":"x"}}"#, "`auths` of `quay.io`: it is not a JSON object"),
        (r#"{"auths":{"quay.io":{"auth":7}}}"#, "`auths` of `quay.io`: `auth` is not a text"),
        (r#"{"auths":{"quay.io":{"auth":"s3cr%t"}}}"#, "`auths` of `quay.io`: `auth` is not base64"),
        (
            r#"{"auths":{"quay.io":{"auth":"c2VjcmV0"}}}"#,
            "`auths` of `quay.io`: `auth` is not `user:password` in base64",
        ),
        (r#"{"credHelpers":{"gcr.io":1}}"#, "`credHelpers` of `gcr.io` is not a name"),
        (r#"{"credsStore":"../x"}"#, "the name of a credential helper"),
        (r#"{"credsStore":["x"]}"#, "`credsStore` is not a text"),
    ] {
        let dir = folder(&[("home/.docker/config.json", text)]);
        let error = logins(&dir, &[]).find("r.example", "a", &|| Ok(())).unwrap_err();
        let said = error.to_string();
        assert!(said.contains(reason) && said.contains("home/.docker/config.json"), "{text}: {said}");
        assert!(!said.contains("s3cr") && !said.contains("c2Vj"), "{said}");
        assert_eq!(error.kind(), FaultKind::Configuration);
    }
}

/// Answers for a.example and Docker Hub, has a token for t.example, fails for others, and counts its calls.
const HELPER: &str = r#"#!/bin/sh
echo "$1" >> "$0.calls"
read -r server
case $server in
a.example) echo '{"ServerURL":"a.example","Username":"me","Secret":"of-a"}' ;;
https://index.docker.io/v1/) echo '{"ServerURL":"x","Username":"hub","Secret":"of-hub"}' ;;
t.example) echo '{"ServerURL":"t.example","Username":"<token>","Secret":"identity"}' ;;
bad.example) echo 'not a login' ;;
leak.example) echo '{"Secret":"leaked"}'; exit 3 ;;
locked.example) echo 'the key ring is locked'; exit 1 ;;
*) echo 'credentials not found in native keychain'; exit 1 ;;
esac
"#;

#[test]
fn a_credential_helper_is_asked_once() {
    let config = r#"{"auths":{"a.example":{},"b.example":{"auth":"bWU6cGFzc3dvcmQ="}},"credsStore":"fake"}"#;
    let dir = folder(&[("home/.docker/config.json", config), ("bin/docker-credential-fake", HELPER)]);
    let logins = logins(&dir, &[]);
    for _ in 0..3 {
        let (secret, place) = find(&logins, "a.example", "x").unwrap();
        assert_eq!(secret, password("me", "of-a"));
        assert!(
            place.starts_with("docker-credential-fake (") && place.ends_with("home/.docker/config.json)"),
            "{place}"
        );
    }
    assert_eq!(std::fs::read_to_string(dir.path().join("bin/docker-credential-fake.calls")).unwrap(), "get\n");
    assert_eq!(find(&logins, "registry-1.docker.io", "x").unwrap().0, password("hub", "of-hub"));
    assert_eq!(find(&logins, "t.example", "x").unwrap().0, Secret::Identity("identity".to_owned()));
    assert_eq!(find(&logins, "b.example", "x").unwrap().0, password("me", "password"));
    assert_eq!(find(&logins, "none.example", "x"), None);
    for (host, words) in [
        ("bad.example", "is not a login in JSON"),
        ("leak.example", "exit status: 3"),
        ("locked.example", "exit status: 1: the key ring is locked"),
    ] {
        let error = logins.find(host, "x", &|| Ok(())).unwrap_err();
        assert!(matches!(error, LoginError::Helper { .. }) && whole(&error).contains(words), "{error:?}");
        assert!(!format!("{error:?}").contains("leaked"), "{error:?}");
    }
}

#[test]
fn helpers_of_one_host_and_helpers_that_fail() {
    let config = r#"{"credHelpers":{"a.example":"fake"},"credsStore":"gone"}"#;
    let slow = "#!/bin/sh\nsleep 60\n";
    let dir = folder(&[
        ("home/.docker/config.json", config),
        ("bin/docker-credential-fake", HELPER),
        ("bin/docker-credential-slow", slow),
    ]);
    let logins = logins(&dir, &[]);
    assert_eq!(find(&logins, "a.example", "x").unwrap().0, password("me", "of-a"));
    let error = logins.find("b.example", "x", &|| Ok(())).unwrap_err();
    assert!(
        whole(&error).contains("docker-credential-gone gives no login for b.example: there is no such program"),
        "{error:?}"
    );
    assert!(error.help().unwrap().contains("home/.docker/config.json"), "{error:?}");

    let ask = |check: &dyn Fn() -> Result<(), Interrupted>| {
        let (file, limit) = (Path::new("f"), Duration::from_millis(200));
        helper::Helper { name: "slow", file, path: logins.path.as_deref(), limit }.get("a.example", check).unwrap_err()
    };
    let start = std::time::Instant::now();
    let error = ask(&|| Ok(()));
    assert!(whole(&error).contains("no answer in 0.2 s"), "{error:?}");
    assert!(matches!(ask(&|| Err(Interrupted)), LoginError::Interrupted(_)));
    assert!(start.elapsed() < Duration::from_secs(10));
}

proptest! {
    #[test]
    fn no_file_ends_the_program(
        text in "(\\{|\\}|\"auths\":|\"auth\":|\"credsStore\":|\"credHelpers\":|\"a/b\":|\"YTpi\"|null|,|\\[|\\]|.){0,20}",
        host in "[ -~]{0,12}",
        repository in "[ -~]{0,12}",
    ) {
        if let Ok(file) = File::parse(text.as_bytes()) {
            let _ = file.find(&host, &repository);
        }
    }
}
