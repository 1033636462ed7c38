//! A lab's kubeconfig against a server with the lab's certificates.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use super::server::Server;
use crate::kube::{Access, Client, KubeError, Objects, Patience, State, Status, find};
use crate::lab::{Lab, LabNode};
use crate::secrets::Secrets;
use crate::wording::one_line;

const LOCALHOST: [IpAddr; 1] = [IpAddr::V4(Ipv4Addr::LOCALHOST)];
const NODES: &str = "/api/v1/nodes";

/// A lab with its secrets; `address` is the master's fixed address.
struct Cluster {
    _dir: TempDir,
    secrets: Secrets,
    access: Access,
}

fn cluster(address: Option<&str>) -> Cluster {
    let master = LabNode {
        name: "master".to_owned(),
        role: "master".to_owned(),
        board: "virt".to_owned(),
        address: address.map(str::to_owned),
        ..LabNode::default()
    };
    let lab = Lab { name: "attic".to_owned(), nodes: vec![master], ..Lab::default() };
    let dir = tempfile::tempdir().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let secrets = Secrets::open(&dir.path().join("secrets"), &lab, now).unwrap();
    let access = Access::parse(&secrets.kubeconfig(&lab).unwrap(), Path::new(".")).unwrap();
    Cluster { _dir: dir, secrets, access }
}

fn ask(access: &Access, port: u16) -> Result<Objects, KubeError> {
    Objects::fetch(&Client::new(access, &LOCALHOST, port).unwrap())
}

fn nodes() -> String {
    r#"{"items":[{"metadata":{"name":"master"},"status":{"conditions":[{"type":"Ready","status":"True"}]}}]}"#
        .to_owned()
}

#[test]
fn the_kubeconfig_works_by_name_through_a_forwarded_port() {
    let cluster = cluster(None);
    let server = Server::start(&cluster.secrets, "master.local");
    server.answer(NODES, 200, &nodes());
    let status = Status::of(&ask(&cluster.access, server.port).unwrap(), &["master".to_owned()]);
    assert_eq!(status.nodes[0].state, State::Ready);
    // Kinds that do not exist yet count as empty.
    assert_eq!(status.missing, ["k3s has not begun to apply its manifests"]);

    server.answer(
        "/apis/k3s.cattle.io/v1/addons",
        200,
        r#"{"items":[{"metadata":{"name":"x"},"spec":{"checksum":"1"}}]}"#,
    );
    server.answer("/apis/helm.cattle.io/v1/helmcharts", 200, r#"{"items":null}"#);
    assert!(Status::of(&ask(&cluster.access, server.port).unwrap(), &[]).ready);
}

#[test]
fn the_kubeconfig_works_by_a_fixed_address_through_a_forwarded_port() {
    let cluster = cluster(Some("192.0.2.10/24"));
    let server = Server::start(&cluster.secrets, "192.0.2.10");
    server.answer(NODES, 200, &nodes());
    assert_eq!(cluster.access.host, "192.0.2.10");
    ask(&cluster.access, server.port).unwrap();
}

#[test]
fn a_master_with_other_secrets_is_found_out() {
    let (ours, theirs) = (cluster(None), cluster(None));
    let server = Server::start(&theirs.secrets, "master.local");
    server.answer(NODES, 200, &nodes());
    let error = ask(&ours.access, server.port).unwrap_err();
    assert!(matches!(error, KubeError::Tls { .. }), "{error}");
    assert!(one_line(&error).contains("made with other secrets"), "{error}");
    assert_eq!((error.stage(), error.patience()), ("certificate", Patience::Short));

    // Our CA with a client certificate of another lab: the server rejects certificates that its client CA did not sign.
    let mut mixed = ours.access.clone();
    mixed.authorities.clone_from(&theirs.access.authorities);
    let error = ask(&mixed, server.port).unwrap_err();
    assert!(!matches!(error, KubeError::Setup(_) | KubeError::Answer { .. }), "{error}");
    ask(&theirs.access, server.port).unwrap();
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let cluster = cluster(None);
    let server = Server::start(&cluster.secrets, "w1.local");
    server.answer(NODES, 200, &nodes());
    let error = ask(&cluster.access, server.port).unwrap_err().to_string();
    assert!(
        error.contains("`master.local` answers, but is not trusted: its certificate is for other names"),
        "{error}"
    );
}

#[test]
fn answers_have_stages() {
    let cluster = cluster(None);
    let server = Server::start(&cluster.secrets, "master.local");
    for (status, body, stage, patience, words) in [
        (401, "", "access", Patience::Short, "made with other secrets"),
        (403, "", "access", Patience::Short, "does not allow"),
        (503, "starting", "starting", Patience::Long, "the API is starting"),
        (429, "", "starting", Patience::Long, "429"),
        (302, "", "answer", Patience::Short, "status 302"),
        (200, "<html>", "answer", Patience::Short, "no such JSON (line 1, column 1)"),
        (200, "{\"items\":3}", "answer", Patience::Short, "no such JSON"),
        (404, "", "answer", Patience::Short, "is this a Kubernetes API?"),
    ] {
        server.answer(NODES, status, body);
        let error = ask(&cluster.access, server.port).unwrap_err();
        assert_eq!((error.stage(), error.patience()), (stage, patience), "{status} {body}: {error}");
        assert!(one_line(&error).contains(words), "{error}");
    }
}

#[test]
fn nobody_there_is_no_connection() {
    let cluster = cluster(None);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = ask(&cluster.access, port).unwrap_err();
    assert_eq!((error.stage(), error.patience()), ("connection", Patience::Long));
    let text = one_line(&error);
    assert!(text.contains(&format!("`master.local` is at 127.0.0.1:{port}")) && text.contains("refused"), "{text}");
}

#[test]
fn addresses_are_found_without_asking() {
    assert_eq!(find("192.0.2.7").unwrap(), [IpAddr::from([192, 0, 2, 7])]);
    assert_eq!(find("fd00::7").unwrap(), ["fd00::7".parse::<IpAddr>().unwrap()]);
    assert_eq!(find("localhost").unwrap()[0], LOCALHOST[0]);
}

#[test]
fn keys_that_are_none_are_told_without_showing_them() {
    let cluster = cluster(None);
    let mut access = cluster.access.clone();
    access.key = b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n".to_vec();
    let error = Client::new(&access, &LOCALHOST, 1).unwrap_err().to_string();
    assert!(error.contains("client certificate") && !error.contains("c2Vj"), "{error}");
    access.key = b"rubbish".to_vec();
    let error = Client::new(&access, &LOCALHOST, 1).unwrap_err().to_string();
    assert!(error.contains("the client key in the kubeconfig is not a private key"), "{error}");
    let mut access = cluster.access;
    access.authorities.clear();
    assert!(Client::new(&access, &LOCALHOST, 1).unwrap_err().to_string().contains("there is none"));
}
