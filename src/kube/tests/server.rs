//! An HTTPS server on this computer that checks client certificates as an API server does.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::secrets::Secrets;

/// Answers by path; anything else is 404.
type Answers = Arc<Mutex<BTreeMap<String, (u16, String)>>>;

/// The server; its threads end with the test's process.
pub struct Server {
    pub port: u16,
    answers: Answers,
}

impl Server {
    /// Serves with a certificate for `name` signed by the server CA of `secrets`, and asks for one signed by the client
    /// CA. Like k3s it accepts other clients and answers them 401.
    pub fn start(secrets: &Secrets, name: &str) -> Self {
        let files: BTreeMap<String, Vec<u8>> = secrets.cluster_ca_files().into_iter().collect();
        let text = |name: &str| String::from_utf8(files[name].clone()).unwrap();
        // An issuer is identified by its name and key.
        let mut ca = CertificateParams::default();
        ca.distinguished_name = rcgen::DistinguishedName::new();
        ca.distinguished_name.push(DnType::CommonName, format!("k3s-server-ca@{}", secrets.created()));
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = Issuer::new(ca, KeyPair::from_pem(&text("server-ca.key")).unwrap());
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&files["client-ca.crt"]).unwrap()).unwrap();
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients.allow_unauthenticated().build().unwrap())
            .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers = Answers::default();
        let (config, shared) = (Arc::new(config), Arc::clone(&answers));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (config, answers) = (Arc::clone(&config), Arc::clone(&shared));
                // A client that disconnects is not a failure.
                std::thread::spawn(move || serve(stream, config, &answers));
            }
        });
        Self { port, answers }
    }

    /// Sets the answer for a path, including its query.
    pub fn answer(&self, path: &str, status: u16, body: &str) {
        self.answers.lock().unwrap().insert(path.to_owned(), (status, body.to_owned()));
    }
}

fn serve(stream: TcpStream, config: Arc<ServerConfig>, answers: &Answers) -> std::io::Result<()> {
    let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut reader = BufReader::new(StreamOwned::new(connection, stream));
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let mut header = String::from("-");
        while !header.trim().is_empty() {
            header.clear();
            reader.read_line(&mut header)?;
        }
        let path = request.split(' ').nth(1).unwrap_or_default();
        let known = reader.get_ref().conn.peer_certificates().is_some();
        let answer = answers.lock().unwrap().get(path).cloned();
        let (status, body) = match answer {
            _ if !known => (401, "{}".to_owned()),
            Some(answer) => answer,
            None => (404, r#"{"kind":"Status","code":404}"#.to_owned()),
        };
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len());
        reader.get_mut().write_all(format!("{head}{body}").as_bytes())?;
        reader.get_mut().flush()?;
    }
}
