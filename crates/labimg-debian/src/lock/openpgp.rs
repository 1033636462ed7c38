//! Signatures of the archive: `OpenPGP` clear-signed texts (RFC 9580 section 7) made by known keys.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sequoia_openpgp::cert::amalgamation::ValidAmalgamation;
use sequoia_openpgp::cert::{Cert, CertParser};
use sequoia_openpgp::parse::Parse;
use sequoia_openpgp::parse::stream::{
    GoodChecksum, MessageLayer, MessageStructure, VerificationError, VerificationHelper, VerifierBuilder,
};
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::types::RevocationStatus;
use sequoia_openpgp::{KeyHandle, Result as PgpResult};

use super::release::CLOCK_SLACK;
use labimg_tree::fault::{Cause, Fault, FaultKind};

/// Debian's archive keys; see `keys/README`.
const DEBIAN: &[(&str, &[u8])] = &[
    ("debian-archive-trixie-automatic.pgp", include_bytes!("keys/debian-archive-trixie-automatic.pgp")),
    (
        "debian-archive-trixie-security-automatic.pgp",
        include_bytes!("keys/debian-archive-trixie-security-automatic.pgp"),
    ),
    ("debian-archive-trixie-stable.pgp", include_bytes!("keys/debian-archive-trixie-stable.pgp")),
    ("debian-archive-bookworm-automatic.pgp", include_bytes!("keys/debian-archive-bookworm-automatic.pgp")),
    (
        "debian-archive-bookworm-security-automatic.pgp",
        include_bytes!("keys/debian-archive-bookworm-security-automatic.pgp"),
    ),
    ("debian-archive-bookworm-stable.pgp", include_bytes!("keys/debian-archive-bookworm-stable.pgp")),
];

/// The trusted keys.
#[derive(Debug, Clone)]
pub struct Keyring(Vec<Cert>);

/// A file of keys that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// It cannot be read.
    #[error("cannot read the keyring {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// It holds something other than public keys.
    #[error("{} holds no OpenPGP public keys", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The parser's message.
        #[source]
        cause: Cause,
    },
}

/// Why a signed text is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not a signed text, or too damaged to read.
    #[error("it is not a text with an OpenPGP signature")]
    NotSigned(#[source] Cause),
    /// No signature is good; the list says what is wrong with each.
    #[error("no good signature by a known key: {}", .0.join("; "))]
    NoneGood(Vec<String>),
}

/// A keyring other than Debian's was named by the user.
impl Fault for KeyringError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Read { .. } => FaultKind::Usage,
            Self::Syntax { .. } => FaultKind::Configuration,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Read { .. } => None,
            Self::Syntax { .. } => Some("export the keys with `gpg --export`".to_owned()),
        }
    }
}

impl Fault for SignatureError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::NotSigned(_) | Self::NoneGood(_) => FaultKind::World,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NotSigned(_) | Self::NoneGood(_) => Some(
                "if this computer's clock is right, try another mirror, or add the archive's key with --keyring if you trust it"
                    .to_owned(),
            ),
        }
    }
}

/// A key that made a good signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// Fingerprint of the primary key, hexadecimal.
    pub fingerprint: String,
    /// Its first user ID.
    pub user: String,
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.fingerprint, self.user)
    }
}

impl Keyring {
    /// Debian's keys, and those of `extra` files, armored or binary.
    ///
    /// # Errors
    /// The first file without keys.
    pub fn load(extra: &[PathBuf]) -> Result<Self, KeyringError> {
        let mut certs = Vec::new();
        for (name, bytes) in DEBIAN {
            certs.append(&mut parse(Path::new(name), bytes)?);
        }
        for path in extra {
            let bytes = std::fs::read(path).map_err(|source| KeyringError::Read { path: path.clone(), source })?;
            certs.append(&mut parse(path, &bytes)?);
        }
        Ok(Self(certs))
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<Cert>, KeyringError> {
    let error = |why: String| KeyringError::Syntax { path: path.to_owned(), cause: why.into() };
    let certs: Vec<Cert> =
        CertParser::from_bytes(bytes).and_then(Iterator::collect::<PgpResult<_>>).map_err(|e| error(e.to_string()))?;
    if certs.is_empty() { Err(error("it is empty".to_owned())) } else { Ok(certs) }
}

/// Returns the signed text and its signers if at least one signature is good at `now` (seconds since 1970): made by a
/// key of `keyring` that is allowed to sign, not expired and not revoked. Signatures by unknown keys are ignored.
///
/// # Errors
/// What is wrong with every signature.
pub fn verify(message: &[u8], keyring: &Keyring, now: i64) -> Result<(String, Vec<Signer>), SignatureError> {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(now).unwrap_or(0));
    // A signature may be as far in the future as the release's own date.
    let latest = time + Duration::from_secs(CLOCK_SLACK.unsigned_abs());
    let policy = StandardPolicy::at(time);
    let not_signed = |why: &dyn fmt::Display| SignatureError::NotSigned(why.to_string().into());
    let helper = Helper { keyring, policy: &policy, time, good: Vec::new(), bad: Vec::new() };
    let mut verifier = VerifierBuilder::from_bytes(message)
        .and_then(|builder| builder.with_policy(&policy, latest, helper))
        .map_err(|e| not_signed(&e))?;
    let mut text = Vec::new();
    let read = verifier.read_to_end(&mut text);
    let Helper { good, bad, .. } = verifier.into_helper();
    if let Err(e) = read {
        return Err(if bad.is_empty() { not_signed(&e) } else { SignatureError::NoneGood(bad) });
    }
    if good.is_empty() {
        return Err(SignatureError::NoneGood(if bad.is_empty() { vec!["there is none".to_owned()] } else { bad }));
    }
    let text = String::from_utf8(text).map_err(|e| not_signed(&e))?;
    Ok((text, good))
}

struct Helper<'a> {
    keyring: &'a Keyring,
    policy: &'a StandardPolicy<'a>,
    time: SystemTime,
    good: Vec<Signer>,
    bad: Vec<String>,
}

impl Helper<'_> {
    /// sequoia checks the key at the signature's time; an archive's key must also be good today.
    fn judge(&self, good: &GoodChecksum) -> Result<Signer, String> {
        let cert = good.ka.cert();
        let fingerprint = cert.fingerprint().to_hex();
        let today =
            cert.with_policy(self.policy, self.time).map_err(|e| format!("key {fingerprint} cannot be used: {e}"))?;
        today.alive().map_err(|e| format!("key {fingerprint} is not valid now: {e}"))?;
        let revoked = |status: &RevocationStatus| matches!(status, RevocationStatus::Revoked(_));
        if revoked(&today.revocation_status()) {
            return Err(format!("key {fingerprint} is revoked"));
        }
        let part = good.ka.key().fingerprint();
        let key = today.keys().find(|k| k.key().fingerprint() == part);
        match key {
            None => return Err(format!("signing key {part} of {fingerprint} is not bound to it now")),
            Some(key) if revoked(&key.revocation_status()) => {
                return Err(format!("signing key {part} of {fingerprint} is revoked"));
            }
            Some(key) => {
                key.alive().map_err(|e| format!("signing key {part} of {fingerprint} is not valid now: {e}"))?;
            }
        }
        let user = cert.userids().next().map_or_else(String::new, |u| u.userid().to_string());
        Ok(Signer { fingerprint, user })
    }
}

impl VerificationHelper for Helper<'_> {
    fn get_certs(&mut self, ids: &[KeyHandle]) -> PgpResult<Vec<Cert>> {
        let known = |cert: &&Cert| cert.keys().any(|k| ids.iter().any(|id| id.aliases(k.key().key_handle())));
        Ok(self.keyring.0.iter().filter(known).cloned().collect())
    }

    fn check(&mut self, structure: MessageStructure) -> PgpResult<()> {
        for layer in structure {
            let MessageLayer::SignatureGroup { results } = layer else {
                self.good.clear();
                self.bad.push("the message is encrypted or compressed, not a signed text".to_owned());
                break;
            };
            for result in results {
                match result.map_err(|e| said(&e)).and_then(|good| self.judge(&good)) {
                    Ok(signer) => self.good.push(signer),
                    Err(why) => self.bad.push(why),
                }
            }
        }
        // An error here would be reported by the reader without the reasons. The caller checks both lists.
        Ok(())
    }
}

fn said(error: &VerificationError) -> String {
    match error {
        VerificationError::MissingKey { sig } => {
            let issuer = sig.get_issuers().first().map_or_else(|| "unnamed".to_owned(), KeyHandle::to_hex);
            format!("key {issuer} is not known")
        }
        VerificationError::BadSignature { ka, error, .. } => {
            let what = match error.downcast_ref::<sequoia_openpgp::Error>() {
                Some(sequoia_openpgp::Error::NotYetLive(_)) => "is of the future, by this computer's clock",
                Some(sequoia_openpgp::Error::Expired(_)) => "expired",
                _ => "does not fit the text: it was changed",
            };
            format!("the signature by {} {what}", ka.cert().fingerprint().to_hex())
        }
        VerificationError::BadKey { ka, error, .. } => {
            format!("key {} cannot be used: {error}", ka.cert().fingerprint().to_hex())
        }
        VerificationError::UnboundKey { cert, error, .. } => {
            format!("key {} cannot be used: {error}", cert.fingerprint().to_hex())
        }
        other => format!("a signature cannot be checked: {other}"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use sequoia_openpgp::cert::CertBuilder;
    use sequoia_openpgp::serialize::MarshalInto;
    use sequoia_openpgp::serialize::stream::{Message, Signer as StreamSigner};
    use sequoia_openpgp::types::ReasonForRevocation;

    use super::*;

    /// Time of all signatures in these tests.
    pub const NOW: i64 = 1_795_400_000;
    const YEAR: u64 = 365 * 86400;

    fn at(seconds: i64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds as u64)
    }

    /// A key made a year before [`NOW`].
    pub fn key(name: &str, validity: Option<Duration>) -> Cert {
        let made = at(NOW) - Duration::from_secs(YEAR);
        CertBuilder::new()
            .add_userid(name)
            .set_creation_time(made)
            .set_validity_period(validity)
            .add_signing_subkey()
            .generate()
            .unwrap()
            .0
    }

    /// A clear-signed text.
    pub fn sign(text: &str, certs: &[&Cert], when: i64) -> Vec<u8> {
        let mut out = Vec::new();
        let mut keys = certs.iter().map(|cert| {
            let policy = StandardPolicy::new();
            let key = cert.keys().secret().with_policy(&policy, at(when)).for_signing().next().unwrap();
            key.key().clone().into_keypair().unwrap()
        });
        let mut signer = StreamSigner::new(Message::new(&mut out), keys.next().unwrap()).unwrap();
        for key in keys {
            signer = signer.add_signer(key).unwrap();
        }
        let mut stack = signer.cleartext().creation_time(at(when)).build().unwrap();
        stack.write_all(text.as_bytes()).unwrap();
        stack.finalize().unwrap();
        out
    }

    /// A file with the public half of a key.
    pub fn public(cert: &Cert) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&cert.armored().to_vec().unwrap()).unwrap();
        file
    }

    fn ring(certs: &[&Cert]) -> Keyring {
        let files: Vec<_> = certs.iter().map(|c| public(c)).collect();
        Keyring::load(&files.iter().map(|f| f.path().to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn debians_keys_are_inside() {
        assert_eq!(Keyring::load(&[]).unwrap().0.len(), 6);
    }

    #[test]
    fn a_good_signature_beside_an_unknown_one() {
        let (known, unknown) = (key("known", None), key("unknown", None));
        let text = "Suite: x\n- dash\nDate: y\n";
        let message = sign(text, &[&unknown, &known], NOW);
        let (got, signers) = verify(&message, &ring(&[&known]), NOW).unwrap();
        assert_eq!(got.trim_end(), text.trim_end());
        assert_eq!(signers, [Signer { fingerprint: known.fingerprint().to_hex(), user: "known".into() }]);
    }

    #[test]
    fn signatures_that_do_not_count() {
        let (known, unknown) = (key("known", None), key("unknown", None));
        let ring = ring(&[&known]);
        let why = |message: &[u8]| verify(message, &ring, NOW).unwrap_err().to_string();
        let message = sign("Suite: trixie\n", &[&known], NOW);
        let tampered = String::from_utf8(message.clone()).unwrap().replace("trixie", "trixin");
        let error = why(tampered.as_bytes());
        assert!(error.contains("it was changed") && error.contains(&known.fingerprint().to_hex()), "{error}");
        let stranger = verify(&sign("Suite: trixie\n", &[&unknown], NOW), &ring, NOW).unwrap_err();
        assert!(stranger.to_string().contains("is not known"), "{stranger}");
        assert!(stranger.help().unwrap().contains("--keyring"), "{stranger:?}");
        assert!(why(b"Suite: trixie\n").contains("not a text with an OpenPGP signature"));
        assert!(!why(b"").is_empty() && !why(&message[..message.len() / 2]).is_empty());
        // Text around the signed part is not trusted.
        let around = [b"Suite: evil\n\n", message.as_slice(), b"\nSuite: evil\n"].concat();
        if let Ok((text, _)) = verify(&around, &ring, NOW) {
            assert!(!text.contains("evil"));
        }
    }

    #[test]
    fn keys_that_are_no_longer_good() {
        let old = key("old", Some(Duration::from_secs(YEAR - 1000)));
        let message = sign("Suite: x\n", &[&old], NOW - 2000);
        verify(&message, &ring(&[&old]), NOW - 1500).unwrap();
        let error = verify(&message, &ring(&[&old]), NOW).unwrap_err().to_string();
        assert!(error.contains(&old.fingerprint().to_hex()) && error.contains("not valid now"), "{error}");

        let cert = key("lost", None);
        let mut signer = cert.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap();
        let revocation = cert.revoke(&mut signer, ReasonForRevocation::KeyCompromised, b"lost").unwrap();
        let revoked = cert.clone().insert_packets(revocation).unwrap().0;
        let error = verify(&sign("Suite: x\n", &[&cert], NOW), &ring(&[&revoked]), NOW).unwrap_err().to_string();
        assert!(error.contains("revoked"), "{error}");
    }

    #[test]
    fn clocks_that_differ() {
        let cert = key("known", None);
        let message = sign("Suite: x\n", &[&cert], NOW);
        verify(&message, &ring(&[&cert]), NOW - CLOCK_SLACK).unwrap();
        let error = verify(&message, &ring(&[&cert]), NOW - CLOCK_SLACK - 60).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("is of the future, by this computer's clock") && !text.contains("changed"), "{text}");
        assert!(error.help().unwrap().contains("clock"), "{error:?}");
    }

    #[test]
    fn keyrings_that_are_none() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for content in ["", "hello\n", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nxxxx\n"] {
            std::fs::write(file.path(), content).unwrap();
            let error = Keyring::load(&[file.path().to_owned()]).unwrap_err();
            assert!(error.to_string().ends_with("no OpenPGP public keys"), "{error}");
            assert!(error.help().unwrap().contains("gpg --export"), "{error:?}");
        }
        assert!(matches!(Keyring::load(&["/nonexistent".into()]), Err(KeyringError::Read { .. })));
    }
}
