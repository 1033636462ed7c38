//! SSH public keys as given by users: the text of a key, or a file with keys.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use labimg_tree::fault::{Fault, FaultKind};

/// An invalid SSH key.
#[derive(Debug, thiserror::Error)]
#[error("--ssh-key {key}: {why}")]
pub struct SshKeyError {
    /// The key or file as given, truncated.
    pub key: String,
    /// What is wrong with it.
    pub why: String,
    /// What to do.
    pub help: Option<&'static str>,
    /// The error of reading the file.
    pub source: Option<std::io::Error>,
}

impl Fault for SshKeyError {
    fn kind(&self) -> FaultKind {
        FaultKind::Usage
    }

    fn help(&self) -> Option<String> {
        self.help.map(str::to_owned)
    }
}

/// Reads `text` as a public key when it looks like one, else as the path of a file with one key per line.
///
/// # Errors
/// A missing file, a private key, or a line that is not a public key (OpenSSH's `authorized_keys` format, sshd(8)).
pub fn read(text: &str) -> Result<Vec<String>, SshKeyError> {
    let bad = |why: String| SshKeyError { key: shorten(text), why, help: None, source: None };
    if is_key(text) {
        let lines = text.lines().map(str::trim).filter(|l| !l.is_empty());
        return lines.map(parse).collect::<Result<_, _>>().map_err(bad);
    }
    let unread = |source| SshKeyError { source: Some(source), ..bad("the file cannot be read".to_owned()) };
    let content = std::fs::read_to_string(Path::new(text)).map_err(unread)?;
    if content.contains("PRIVATE KEY-----") {
        let help = Some("give the `.pub` file beside it");
        return Err(SshKeyError { help, ..bad("this is a private key, which must stay where it is".to_owned()) });
    }
    let lines = content.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    let keys: Vec<String> = lines.map(parse).collect::<Result<_, _>>().map_err(bad)?;
    if keys.is_empty() {
        return Err(bad("the file holds no key".to_owned()));
    }
    Ok(keys)
}

/// Whether `text` is meant as a key, not as a path.
#[must_use]
pub fn is_key(text: &str) -> bool {
    let mut words = text.split_whitespace();
    words.next().is_some_and(is_type) && words.next().is_some()
}

fn is_type(word: &str) -> bool {
    word.starts_with("ssh-") || word.starts_with("ecdsa-sha2-") || word.starts_with("sk-")
}

/// Checks one line: type, base64, and that the type inside the base64 (RFC 4253, section 6.6) is the same.
pub(crate) fn parse(line: &str) -> Result<String, String> {
    let mut words = line.split_whitespace();
    let (Some(kind), Some(data)) = (words.next(), words.next()) else {
        return Err("a key has at least a type and data, such as `ssh-ed25519 AAAA… name`".to_owned());
    };
    if line.chars().any(|c| c.is_control() && c != '\t') {
        return Err("the key holds a control character".to_owned());
    }
    if !is_type(kind) {
        return Err(format!(
            "`{kind}` is not a type of key, such as `ssh-ed25519`; options before a key are not taken"
        ));
    }
    let blob = STANDARD.decode(data).map_err(|_| "the data of the key is damaged: it is not base64".to_owned())?;
    let inner = blob.first_chunk::<4>().map(|n| u32::from_be_bytes(*n) as usize);
    let inner = inner.and_then(|n| blob.get(4..4 + n));
    if inner != Some(kind.as_bytes()) || blob.len() < 4 + kind.len() + 8 {
        return Err("the data of the key is cut or of another type".to_owned());
    }
    Ok(line.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= 48 { text.to_owned() } else { text.chars().take(45).chain("...".chars()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wording::one_line;
    use proptest::prelude::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@home";

    #[test]
    fn a_key_as_text_and_in_a_file() {
        assert_eq!(read(KEY).unwrap(), [KEY]);
        assert_eq!(read(&format!("{KEY}\n{KEY}\n")).unwrap().len(), 2, "a key a line, as `cat *.pub` gives them");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("# mine\n\n{KEY}\n{KEY}\n")).unwrap();
        assert_eq!(read(file.path().to_str().unwrap()).unwrap().len(), 2);
    }

    #[test]
    fn mistakes_are_explained() {
        let error = one_line(&read("/nowhere/key.pub").unwrap_err());
        assert!(error.starts_with("--ssh-key /nowhere/key.pub: the file cannot be read: No such file"), "{error}");
        assert!(read("ssh-ed25519 AAAA me").unwrap_err().to_string().contains("cut"));
        assert!(read(&KEY.replacen("ssh-ed25519", "ssh-rsa", 1)).is_err());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "-----BEGIN OPENSSH PRIVATE KEY-----\n").unwrap();
        let error = one_line(&read(file.path().to_str().unwrap()).unwrap_err());
        assert!(error.contains("private key") && error.ends_with("(give the `.pub` file beside it)"), "{error}");
    }

    proptest! {
        #[test]
        fn no_line_panics(line in "(ssh-rsa )?[A-Za-z0-9+/= ]{0,80}") {
            let _ = parse(&line);
        }
    }
}
