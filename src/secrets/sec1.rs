//! P-256 keys in the format `EC PRIVATE KEY` (SEC 1, appendix C.4; RFC 5915) instead of PKCS#8 (RFC 5208, RFC 5480).
//!
//! The API server reads a public key from the service account key file, and for an EC key it only supports this format.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::KeyPair;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

/// `ECPrivateKey`, version 1, up to the 32 bytes of the private key.
const SEC1_HEAD: &[u8] = &[0x30, 0x77, 0x02, 0x01, 0x01, 0x04, 0x20];

/// `parameters`: the curve `prime256v1`; then `publicKey` up to its 65 bytes.
const SEC1_MIDDLE: &[u8] =
    &[0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0xa1, 0x44, 0x03, 0x42, 0x00];

/// `PrivateKeyInfo`, version 0, `id-ecPublicKey` with the curve, and the head of the `ECPrivateKey` inside.
const PKCS8_HEAD: &[u8] = &[
    0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08,
    0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x6d, 0x30, 0x6b, 0x02, 0x01, 0x01, 0x04, 0x20,
];

/// `publicKey` up to its 65 bytes; the curve comes before it.
const PKCS8_MIDDLE: &[u8] = &[0xa1, 0x44, 0x03, 0x42, 0x00];

const PRIVATE: usize = 32;
const PUBLIC: usize = 65;

/// The key in PEM; `None` for a key without the layout of a P-256 key in PKCS#8.
pub(super) fn encode(key: &KeyPair) -> Option<String> {
    let inner = change(key.serialized_der(), (PKCS8_HEAD, PKCS8_MIDDLE), (SEC1_HEAD, SEC1_MIDDLE))?;
    let text = STANDARD.encode(inner);
    let mut pem = String::from("-----BEGIN EC PRIVATE KEY-----\n");
    for line in text.as_bytes().chunks(64) {
        // Base64 is ASCII.
        pem.extend(line.iter().map(|b| char::from(*b)));
        pem.push('\n');
    }
    pem.push_str("-----END EC PRIVATE KEY-----\n");
    Some(pem)
}

/// Checks that a file is such a key, and that its private and public key belong together.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(pem: &str) -> Result<(), String> {
    let bad = || "it is not an EC private key of the curve P-256".to_owned();
    let Ok(PrivateKeyDer::Sec1(der)) = PrivateKeyDer::from_pem_slice(pem.as_bytes()) else { return Err(bad()) };
    let der = der.secret_sec1_der();
    let outer = change(der, (SEC1_HEAD, SEC1_MIDDLE), (PKCS8_HEAD, PKCS8_MIDDLE)).ok_or_else(bad)?;
    KeyPair::try_from(outer).map_err(|e| format!("it is not a private key: {e}"))?;
    Ok(())
}

/// Moves private and public key from one DER frame to another.
fn change(der: &[u8], from: (&[u8], &[u8]), to: (&[u8], &[u8])) -> Option<Vec<u8>> {
    let (private, rest) = der.strip_prefix(from.0)?.split_at_checked(PRIVATE)?;
    let public = rest.strip_prefix(from.1)?;
    (public.len() == PUBLIC).then(|| [to.0, private, to.1, public].concat())
}
