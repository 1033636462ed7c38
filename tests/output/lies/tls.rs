//! A server with TLS that sends on to one without.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::{Session, lab};

/// Answers every request with TLS and the address `to`; returns its port and its certificate.
fn sends_on(to: String) -> (u16, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut reader = BufReader::new(StreamOwned::new(connection, stream));
            let mut line = String::from("-");
            while !line.trim().is_empty() {
                line.clear();
                // An error means that the client has gone.
                if reader.read_line(&mut line).is_err() {
                    break;
                }
            }
            let answer = format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
            let _ = reader.get_mut().write_all(answer.as_bytes());
        }
    });
    (port, made.cert.pem())
}

#[test]
fn what_is_asked_for_with_tls_comes_with_it_or_not_at_all() {
    let session = Session::with_archive();
    crate::golden::publish(&session);
    let sums = session.server.url("/k3s/v1.99.9%2Bk3s1/sha256sum-arm64.txt");
    let (port, certificate) = sends_on(sums.clone());
    session.write("authority.pem", certificate);
    session.write(
        "lab.toml",
        lab::lab(&session, &format!("version = \"v1.99.9+k3s1\"\nurl = \"https://127.0.0.1:{port}/k3s\"\n")),
    );
    let mut command = session.command();
    command.args(["lock", "--k3s", "embed"]).args(session.from().into_iter().take(6));
    let output = command.env("SSL_CERT_FILE", session.path("authority.pem")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("it sends on from https to {sums}")) && said.contains("help: "), "{said}");
    assert!(!session.path("labimg.lock").exists());
    assert!(session.server.seen().iter().all(|seen| !seen.path.starts_with("/k3s/")), "it was asked");
}
