//! SSH host keys: Ed25519 in OpenSSH's format (its `PROTOCOL.key`).

use rand_core::OsRng;
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, PublicKey};

use super::SecretsError;

/// A new key with the comment `root@<node>`: private file and public line.
pub(super) fn generate(node: &str) -> Result<(String, String), SecretsError> {
    const WHAT: &str = "an SSH host key";
    let mut key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).map_err(SecretsError::make(WHAT))?;
    key.set_comment(format!("root@{node}"));
    let private = key.to_openssh(LineEnding::LF).map_err(SecretsError::make(WHAT))?;
    let public = key.public_key().to_openssh().map_err(SecretsError::make(WHAT))?;
    Ok((private.to_string(), format!("{public}\n")))
}

/// Checks that both belong together.
///
/// # Errors
/// The bad file's name, and what is wrong.
pub(super) fn check(private: &str, public: &str) -> Result<(), (&'static str, String)> {
    let key = PrivateKey::from_openssh(private).map_err(|e| (PRIVATE, format!("it is not an SSH key ({e})")))?;
    let line =
        PublicKey::from_openssh(public.trim_end()).map_err(|e| (PUBLIC, format!("it is not an SSH key ({e})")))?;
    if key.public_key().key_data() != line.key_data() {
        return Err((PUBLIC, "it is not the public part of the private key beside it".to_owned()));
    }
    Ok(())
}

/// As `ssh-keygen -l` shows it: `SHA256:…`; empty when the line is not a key.
pub(super) fn fingerprint(public: &str) -> String {
    PublicKey::from_openssh(public.trim_end())
        .map(|key| key.fingerprint(HashAlg::Sha256).to_string())
        .unwrap_or_default()
}

/// The private key's file.
pub(super) const PRIVATE: &str = "ssh_host_ed25519_key";

/// The public key's file.
pub(super) const PUBLIC: &str = "ssh_host_ed25519_key.pub";
