//! The data of a key (RFC 4253 section 6.6, RFC 5656 section 3.1, RFC 8709 section 4, OpenSSH's `PROTOCOL.u2f`): what the
//! node's sshd takes, and so no DSA.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ssh_key::PublicKey;
use ssh_key::public::{EcdsaPublicKey, KeyData};

/// The kinds of keys that the node's sshd takes.
pub(super) const KINDS: [&str; 7] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// `RequiredRSASize` of `sshd_config(5)`, in bits.
const SHORTEST_RSA: usize = 1024;
/// `SSHBUF_MAX_BIGNUM` of OpenSSH, in bits.
const LONGEST_RSA: usize = 16384;

/// What is wrong with the data of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DataFault {
    /// No base64, too short or too long, or not a key.
    #[error("the data of the key are cut or damaged")]
    Damaged,
    /// The data say that they are of another kind.
    #[error("the data of the key are those of `{0}`")]
    Other(String),
    /// An RSA key of so many bits.
    #[error("an RSA key of {0} bits is too short: sshd takes none below {SHORTEST_RSA}")]
    Short(usize),
    /// An RSA key of so many bits.
    #[error("an RSA key of {0} bits is too long: sshd takes none above {LONGEST_RSA}")]
    Long(usize),
}

/// Checks the data of a key of one of these [`KINDS`].
pub(super) fn check(kind: &str, base64: &str) -> Result<(), DataFault> {
    let blob = STANDARD.decode(base64).map_err(|_| DataFault::Damaged)?;
    let inner = blob.first_chunk::<4>().and_then(|n| blob.get(4..4 + u32::from_be_bytes(*n) as usize));
    let inner = inner.and_then(|inner| std::str::from_utf8(inner).ok()).ok_or(DataFault::Damaged)?;
    if inner != kind {
        let plain = !inner.is_empty() && inner.len() < 64 && inner.bytes().all(|b| b.is_ascii_graphic());
        return Err(if plain { DataFault::Other(inner.to_owned()) } else { DataFault::Damaged });
    }
    let key = PublicKey::from_bytes(&blob).map_err(|_| DataFault::Damaged)?;
    let good = match key.key_data() {
        KeyData::Ed25519(_) | KeyData::SkEd25519(_) => true,
        KeyData::Ecdsa(key) => is_on_curve(key),
        KeyData::SkEcdsaSha2NistP256(key) => is_on_curve(&EcdsaPublicKey::NistP256(*key.ec_point())),
        KeyData::Rsa(key) => {
            let modulus = key.n.as_positive_bytes().filter(|_| key.e.as_positive_bytes().is_some());
            let modulus = modulus.ok_or(DataFault::Damaged)?;
            let bits = modulus.len() * 8 - modulus.first().map_or(0, |b| b.leading_zeros() as usize);
            match bits {
                ..SHORTEST_RSA => return Err(DataFault::Short(bits)),
                SHORTEST_RSA..=LONGEST_RSA => true,
                _ => return Err(DataFault::Long(bits)),
            }
        }
        _ => false,
    };
    good.then_some(()).ok_or(DataFault::Damaged)
}

/// Whether the key is a point of its curve, in the only form that sshd reads (SEC 1, section 2.3.3: uncompressed).
fn is_on_curve(key: &EcdsaPublicKey) -> bool {
    let point = key.as_sec1_bytes();
    let is_point = match key {
        EcdsaPublicKey::NistP256(_) => p256::PublicKey::from_sec1_bytes(point).is_ok(),
        EcdsaPublicKey::NistP384(_) => p384::PublicKey::from_sec1_bytes(point).is_ok(),
        EcdsaPublicKey::NistP521(_) => p521::PublicKey::from_sec1_bytes(point).is_ok(),
    };
    is_point && point.first() == Some(&4)
}
