//! Logins of the user, and registries that ask for them: who gets to see what.

use tempfile::TempDir;

use super::tests::settings;
use super::*;
use labimg_testkit::http_server::{Act, Server};
use labimg_tree::fault::{Fault, FaultKind, whole};

const MANIFEST: &str = "/v2/me/app/manifests/1";
const BLOB: &str = "/v2/me/app/blobs/sha256:00";
/// `me:s3cret`.
const ME: &str = "bWU6czNjcmV0";

/// A client with one entry in the file of logins: that of the server, without its braces.
fn http(server: &Server, entry: &str) -> (Http, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let host = server.url("").replace("http://", "");
    let file = dir.path().join("auth.json");
    std::fs::write(&file, format!("{{\"auths\":{{\"{host}/me\":{{{entry}}}}}}}")).unwrap();
    let logins = Logins::of(|name| (name == "REGISTRY_AUTH_FILE").then(|| file.clone().into()));
    (Http::with(settings()).unwrap().with_logins(logins), dir)
}

/// A registry that asks with this challenge for what is in it, each time.
fn registry(challenge: &str) -> Server {
    let server = Server::start();
    for path in [MANIFEST, BLOB] {
        server.file(path, path);
        server.next(path, [Act::Status(401, format!("WWW-Authenticate: {challenge}\r\n"))]);
    }
    server
}

/// What a server was shown, each with its path.
fn shown_to(server: &Server) -> Vec<(String, Option<String>)> {
    server.seen().into_iter().map(|seen| (seen.path, seen.authorization)).collect()
}

fn row(path: &str, authorization: Option<&str>) -> (String, Option<String>) {
    (path.to_owned(), authorization.map(str::to_owned))
}

#[test]
fn a_password_is_shown_where_it_is_asked_for_and_nowhere_else() {
    let (server, other) = (registry("Basic realm=\"here\""), Server::start());
    let (http, _dir) = http(&server, &format!("\"auth\":\"{ME}\""));
    other.file("/blob", "from elsewhere");
    assert_eq!(http.get(&server.url(MANIFEST), 100).unwrap(), MANIFEST.as_bytes());
    server.next(BLOB, [Act::Status(307, format!("Location: {}\r\n", other.url("/blob")))]);
    // Two answers are waiting for the blob: the first one's challenge and the redirect.
    assert_eq!(http.get(&server.url(BLOB), 100).unwrap(), b"from elsewhere");
    let basic = format!("Basic {ME}");
    let me = Some(basic.as_str());
    assert_eq!(shown_to(&server), [row(MANIFEST, None), row(MANIFEST, me), row(BLOB, me), row(BLOB, me)]);
    assert_eq!(shown_to(&other), [row("/blob", None)]);
    // Not for another repository of the same registry, which has no login.
    server.always("/v2/you/app/manifests/1", Act::Status(401, "WWW-Authenticate: Basic realm=x\r\n".into()));
    let error = http.get(&server.url("/v2/you/app/manifests/1"), 100).unwrap_err();
    assert!(matches!(error, HttpError::Denied { login: None, .. }), "{error:?}");
    assert_eq!(shown_to(&server).last(), Some(&row("/v2/you/app/manifests/1", None)));
}

#[test]
fn a_token_server_gets_the_password_and_the_registry_its_token() {
    let (tokens, other) = (Server::start(), Server::start());
    let challenge = format!("Bearer realm=\"{}\",service=\"r\"", tokens.url("/token"));
    let server = registry(&challenge);
    let (http, _dir) = http(&server, &format!("\"auth\":\"{ME}\""));
    tokens.file("/token?service=r", r#"{"token":"good"}"#);
    assert_eq!(http.get(&server.url(MANIFEST), 100).unwrap(), MANIFEST.as_bytes());
    let basic = format!("Basic {ME}");
    assert_eq!(shown_to(&tokens), [row("/token?service=r", Some(&basic))]);
    assert_eq!(shown_to(&server), [row(MANIFEST, None), row(MANIFEST, Some("Bearer good"))]);

    // A token server that sends on to somebody else does not send the password there.
    other.file("/token", r#"{"token":"others"}"#);
    tokens.next("/token?service=r", [Act::Status(302, format!("Location: {}\r\n", other.url("/token")))]);
    assert_eq!(http.get(&server.url(BLOB), 100).unwrap(), BLOB.as_bytes());
    assert_eq!(shown_to(&other), [row("/token", None)]);
}

#[test]
fn an_identity_token_is_posted_and_not_sent_on() {
    let (tokens, other) = (Server::start(), Server::start());
    let challenge = format!("Bearer realm=\"{}\",service=\"r\",scope=\"repository:me/app:pull\"", tokens.url("/token"));
    let server = registry(&challenge);
    let (http, _dir) = http(&server, "\"identitytoken\":\"i&d\"");
    tokens.file("/token", r#"{"access_token":"good"}"#);
    assert_eq!(http.get(&server.url(MANIFEST), 100).unwrap(), MANIFEST.as_bytes());
    let seen = tokens.seen();
    assert_eq!(
        seen[0].body,
        "grant_type=refresh_token&client_id=labimg&refresh_token=i%26d&service=r&scope=repository%3Ame%2Fapp%3Apull"
    );
    assert_eq!((seen.len(), &seen[0].authorization), (1, &None));

    tokens.always("/token", Act::Status(307, format!("Location: {}\r\n", other.url("/token"))));
    let error = http.get(&server.url(BLOB), 100).unwrap_err();
    assert!(format!("{error:?}").contains("a login is not sent on"), "{error:?}");
    assert_eq!(other.seen(), []);

    // It is no password.
    let server = registry("Basic realm=x");
    let (http, _dir) = self::http(&server, "\"identitytoken\":\"i&d\"");
    let error = http.get(&server.url(MANIFEST), 100).unwrap_err();
    assert!(matches!(error, HttpError::Denied { .. }), "{error:?}");
}

#[test]
fn who_is_refused_learns_where_a_login_was_looked_for() {
    let tokens = Server::start();
    let bearer = format!("WWW-Authenticate: Bearer realm=\"{}\"\r\n", tokens.url("/token"));
    tokens.always("/token", Act::Status(401, String::new()));
    for challenge in ["WWW-Authenticate: Basic realm=x\r\n", &bearer] {
        let server = Server::start();
        server.always(MANIFEST, Act::Status(401, challenge.into()));
        let (http, dir) = http(&server, &format!("\"auth\":\"{ME}\""));
        let place = dir.path().join("auth.json").display().to_string();
        let error = http.get(&server.url(MANIFEST), 100).unwrap_err();
        assert!(
            error.to_string().ends_with(&format!("answered 401 Unauthorized to the login from {place}")),
            "{error}"
        );
        assert!(!format!("{error:?}").contains("s3cret") && !format!("{error:?}").contains(ME), "{error:?}");

        std::fs::write(dir.path().join("auth.json"), "{}").unwrap();
        let logins = Logins::of(|name| (name == "REGISTRY_AUTH_FILE").then(|| place.clone().into()));
        let http = Http::with(settings()).unwrap().with_logins(logins);
        let error = http.get(&server.url(MANIFEST), 100).unwrap_err();
        assert!(error.to_string().ends_with("answered 401 Unauthorized to a request without a login"), "{error}");
        let help = error.help().unwrap();
        assert!(help.contains("podman login 127.0.0.1:") && help.ends_with(&place), "{help}");

        std::fs::write(dir.path().join("auth.json"), "{").unwrap();
        let logins = Logins::of(|name| (name == "REGISTRY_AUTH_FILE").then(|| place.clone().into()));
        let error = Http::with(settings()).unwrap().with_logins(logins).get(&server.url(MANIFEST), 100).unwrap_err();
        assert!(whole(&error).contains(&place) && error.kind() == FaultKind::Configuration, "{error:?}");
    }
}

#[test]
fn a_login_stays_at_home_when_others_could_read_it() {
    let server = registry("Bearer realm=\"http://tokens.example/token\"");
    let (http, dir) = http(&server, &format!("\"auth\":\"{ME}\""));
    let error = http.get(&server.url(MANIFEST), 100).unwrap_err();
    let HttpError::Login { source, .. } = &error else { panic!("{error:?}") };
    let LoginError::Open { place, url } = &**source else { panic!("{error:?}") };
    assert_eq!(
        (place.as_str(), url.as_str()),
        (dir.path().join("auth.json").to_str().unwrap(), "http://tokens.example/token")
    );
    assert_eq!(error.kind(), FaultKind::Configuration);
    assert_eq!(shown_to(&server), [row(MANIFEST, None)]);
}
