//! TLS to one cluster: only its own CA is trusted, and our client certificate is sent.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::{Access, KubeError};
use labimg_store::http::{certificate_words, tls_words};

/// The TLS settings for a kubeconfig's cluster.
///
/// # Errors
/// [`KubeError::Setup`] with what is wrong in the kubeconfig.
pub(super) fn config(access: &Access) -> Result<ClientConfig, KubeError> {
    let setup = |what: &'static str| move |e: String| KubeError::Setup(format!("{what} in the kubeconfig: {e}"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&access.authorities).map_err(setup("the CA"))? {
        roots.add(certificate).map_err(|e| setup("the CA")(tls_words(&e)))?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
    let name = ServerName::try_from(access.host.clone()).map_err(|e| setup("the server's name")(e.to_string()))?;
    let verifier = Fixed { name, inner: verifier.map_err(|e| setup("the CA")(e.to_string()))? };
    let chain = certificates(&access.certificate).map_err(setup("the client certificate"))?;
    // A message must not contain any part of the key.
    let key = PrivateKeyDer::from_pem_slice(&access.key)
        .map_err(|_| KubeError::Setup("the client key in the kubeconfig is not a private key".to_owned()))?;
    builder(provider)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(chain, key)
        .map_err(|e| setup("the client certificate")(tls_words(&e)))
}

fn builder(
    provider: Arc<CryptoProvider>,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, KubeError> {
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| KubeError::Setup(format!("no version of TLS can be used ({e})")))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if all.is_empty() => Err("there is none".to_owned()),
        Ok(all) => Ok(all),
        Err(e) => Err(e.to_string()),
    }
}

/// Verifies a certificate as usual, but for the kubeconfig's name instead of the dialled address: so a forwarded port
/// only reaches the right cluster.
#[derive(Debug)]
struct Fixed {
    name: ServerName<'static>,
    inner: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Fixed {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _dialled: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.inner.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// What a failed handshake means for the user.
pub(super) fn explain(error: &Error) -> (String, Option<&'static str>) {
    let Error::InvalidCertificate(reason) = error else { return (tls_words(error), None) };
    let (why, help) = match reason {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            let help = "its card was made with other secrets, or it is another machine of the same name: flash the card again, or \
                        use the kubeconfig that belongs to it";
            ("its certificate is not signed by the kubeconfig's CA", Some(help))
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            (certificate_words(reason), Some("another machine may have this name or address"))
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            (certificate_words(reason), Some("one of the two clocks is wrong"))
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            let help = "k3s renews its certificates when it starts; perhaps this computer's clock is wrong";
            (certificate_words(reason), Some(help))
        }
        other => (certificate_words(other), None),
    };
    (why.to_owned(), help)
}
