//! SSH public keys as given by users: the text of a key, or a file with keys. Taken is what the node's sshd takes (OpenSSH
//! 10: sshd(8), on the format of `authorized_keys`), which passes over any other line without a word.

mod data;
mod foreign;
mod options;

use std::path::Path;

pub use data::DataFault;
pub use foreign::Foreign;
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::suggest::{did_you_mean, nearest};
pub use options::OptionFault;

/// An SSH key that nobody could log in with.
#[derive(Debug, thiserror::Error)]
pub enum SshKeyError {
    /// The file cannot be read.
    #[error("--ssh-key {key}: the file cannot be read")]
    Read {
        /// Its path, truncated.
        key: String,
        /// Why.
        source: std::io::Error,
    },
    /// It is not a key.
    #[error("--ssh-key {key}: {}{fault}", line.map_or_else(String::new, |line| format!("line {line}: ")))]
    Key {
        /// The key or file as given, truncated.
        key: String,
        /// The line of the file or text, from 1, when it has more than one.
        line: Option<usize>,
        /// What is wrong.
        fault: KeyFault,
    },
}

impl Fault for SshKeyError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Read { .. } | Self::Key { .. } => FaultKind::Usage,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Read { .. } => None,
            Self::Key { fault, .. } => Some(fault.help()),
        }
    }
}

/// What is wrong with a text that should be a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// In the form of another program.
    #[error(transparent)]
    Foreign(#[from] Foreign),
    /// Options that sshd does not take.
    #[error(transparent)]
    Option(#[from] OptionFault),
    /// Data that sshd does not take.
    #[error(transparent)]
    Data(#[from] DataFault),
    /// No kind, or no data.
    #[error("a key has a kind and data, such as `ssh-ed25519 AAAA… name`")]
    Short,
    /// A character that no key holds.
    #[error("the key holds a control character")]
    Control,
    /// A kind that the node's sshd does not know.
    #[error("`{0}` is not a kind of key that the node's sshd takes")]
    Kind(String),
    /// A kind that it does not know any more.
    #[error("this is a DSA key, which OpenSSH does not take any more")]
    Dsa,
    /// A certificate of a key.
    #[error("this is a certificate, which sshd does not read here")]
    Certificate,
    /// Nothing but empty lines and comments.
    #[error("there is no key in it")]
    Empty,
    /// A file that PowerShell wrote.
    #[error("the text is in UTF-16, not in UTF-8")]
    Utf16,
    /// A file that is no text.
    #[error("this is not a text in UTF-8")]
    NoText,
}

impl KeyFault {
    /// What to do.
    #[must_use]
    pub fn help(&self) -> String {
        let known = |names: Vec<String>| did_you_mean(&names);
        let copy = "give the whole line of the `.pub` file, or the path of that file";
        match self {
            Self::Foreign(form) => form.help(),
            Self::Option(OptionFault::Unknown(name)) => {
                let name = name.to_ascii_lowercase();
                let near = nearest(name.strip_prefix("no-").unwrap_or(&name), options::names());
                known(near).unwrap_or_else(|| format!("there are {}", options::names().collect::<Vec<_>>().join(", ")))
            }
            Self::Option(OptionFault::Unquoted(name)) => format!("write it as `{name}=\"…\"`"),
            Self::Option(OptionFault::Open(_)) => "a quote in a value is written as `\\\"`".to_owned(),
            Self::Option(OptionFault::Twice(_)) => "keep one of them".to_owned(),
            Self::Option(OptionFault::Value { .. } | OptionFault::Principals) => {
                "sshd passes over the whole line otherwise: see sshd(8), AUTHORIZED_KEYS FILE FORMAT".to_owned()
            }
            Self::Data(DataFault::Other(kind)) => format!("copy the line once more; it begins with `{kind}`"),
            Self::Data(DataFault::Short(_) | DataFault::Long(_)) | Self::Dsa => {
                "make another key: `ssh-keygen -t ed25519`".to_owned()
            }
            Self::Kind(kind) => known(nearest(kind, data::KINDS)).unwrap_or_else(|| copy.to_owned()),
            Self::Certificate => {
                "give the key itself, from the `.pub` file without `-cert`; to let in whoever a CA vouches for, \
                give the CA's public key with `cert-authority` before it"
                    .to_owned()
            }
            Self::Utf16 => "`iconv -f UTF-16 -t UTF-8 FILE > FILE.pub` converts it".to_owned(),
            Self::Data(DataFault::Damaged) | Self::Short | Self::Control | Self::Empty | Self::NoText => {
                copy.to_owned()
            }
        }
    }
}

/// Reads `text` as a public key when it looks like one, else as the path of a file with one key per line.
///
/// # Errors
/// A missing file, a private key, or a line that the node's sshd would not take.
pub fn read(text: &str) -> Result<Vec<String>, SshKeyError> {
    if is_key(text) {
        return lines(text).map_err(|(line, fault)| SshKeyError::Key { key: shorten(text), line, fault });
    }
    let bytes = std::fs::read(Path::new(text)).map_err(|source| SshKeyError::Read { key: shorten(text), source })?;
    let failed = |(line, fault)| SshKeyError::Key { key: shorten(text), line, fault };
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(failed((None, KeyFault::Utf16)));
    }
    let content = std::str::from_utf8(bytes).map_err(|_| failed((None, KeyFault::NoText)))?;
    lines(content).map_err(failed)
}

/// Whether `text` is meant as a key, not as a path.
#[must_use]
pub fn is_key(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    // Data begin with the length of the kind, which is less than 2^8.
    let data = |word: &&str| word.starts_with("AAAA");
    let known = |word: &&str| data::KINDS.contains(word);
    words.len() > 1 && (is_kind(words[0]) || words.iter().any(|word| data(word) || known(word)))
        || words.first().is_some_and(data)
        || Foreign::of(text).is_some()
}

/// Whether a word is meant as a kind of key.
fn is_kind(word: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-", "rsa-"].iter().any(|begin| word.starts_with(begin))
}

/// A key a line; the wrong line with its number when there are several.
pub(crate) fn lines(text: &str) -> Result<Vec<String>, (Option<usize>, KeyFault)> {
    if let Some(form) = Foreign::of(text) {
        return Err((None, form.into()));
    }
    let all = text.lines().enumerate().map(|(at, line)| (at, line.trim_matches([' ', '\t', '\r'])));
    let all: Vec<(usize, &str)> = all.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')).collect();
    if all.is_empty() {
        return Err((None, KeyFault::Empty));
    }
    let several = text.trim().lines().nth(1).is_some();
    let keys = all.into_iter().map(|(at, line)| match check(line) {
        Ok(()) => Ok(line.to_owned()),
        Err(fault) => Err((several.then_some(at + 1), fault)),
    });
    keys.collect()
}

/// Checks one line of `authorized_keys` without blanks around it.
fn check(line: &str) -> Result<(), KeyFault> {
    if line.chars().any(|c| c.is_ascii_control() && c != '\t') {
        return Err(KeyFault::Control);
    }
    let (first, after) = word(line);
    let (second, _) = word(after);
    // Where a kind should be, a wrong one is not taken for options.
    let alone = second.is_empty() || second.starts_with("AAAA") && !first.contains(['=', '"', ',']);
    let key = if is_kind(first) || alone { line } else { options::check(line)? };
    let (kind, after) = word(key);
    let (base64, _) = word(after);
    match kind {
        _ if kind.is_empty() || base64.is_empty() => Err(KeyFault::Short),
        "ssh-dss" => Err(KeyFault::Dsa),
        _ if kind.contains("-cert-v0") => Err(KeyFault::Certificate),
        // Names of signatures, which sshd takes for that of the key.
        "rsa-sha2-256" | "rsa-sha2-512" => Ok(data::check("ssh-rsa", base64)?),
        _ if data::KINDS.contains(&kind) => Ok(data::check(kind, base64)?),
        _ => Err(KeyFault::Kind(kind.to_owned())),
    }
}

/// The first word of a line and what follows it, as sshd parts them.
fn word(line: &str) -> (&str, &str) {
    let line = line.trim_start_matches([' ', '\t']);
    line.split_at(line.find([' ', '\t']).unwrap_or(line.len()))
}

/// The first line, as far as there is room for it in a message.
fn shorten(text: &str) -> String {
    let line = text.trim_start().lines().next().unwrap_or_default();
    if line.chars().count() <= 48 { line.to_owned() } else { line.chars().take(45).chain("...".chars()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wording::one_line;
    use proptest::prelude::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@home";

    fn file(content: impl AsRef<[u8]>) -> (tempfile::NamedTempFile, String) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        (file, path)
    }

    #[test]
    fn a_key_as_text_and_in_a_file() {
        assert_eq!(read(KEY).unwrap(), [KEY]);
        assert_eq!(read(&format!("{KEY}\n{KEY}\n")).unwrap().len(), 2, "a key a line, as `cat *.pub` gives them");
        for content in [format!("# mine\n\n{KEY}\n  {KEY}\n"), format!("\u{feff}{KEY}\r\n{KEY}\r\n")] {
            let (_file, path) = file(content);
            assert_eq!(read(&path).unwrap(), [KEY, KEY]);
        }
        let limited = format!("from=\"10.0.0.0/8,*.lan\",command=\"echo  \\\"hi\\\"\" {KEY}");
        assert_eq!(read(&limited).unwrap(), [limited.as_str()], "options are kept as they are");
    }

    #[test]
    fn a_path_is_no_key() {
        for path in ["id.pub", "~/.ssh/id_ed25519.pub", "my keys/a.pub", "ssh-keys", "/a/ssh-rsa"] {
            assert!(!is_key(path), "{path}");
        }
        for key in [
            KEY,
            "ssh-foo bar",
            "restrict ssh-rsa AAAA",
            "restrict ssh-rsa",
            "AAAAC3Nza",
            "gh:me",
            "https://github.com/me.keys",
        ] {
            assert!(is_key(key), "{key}");
        }
    }

    #[test]
    fn mistakes_are_explained() {
        let error = one_line(&read("/nowhere/key.pub").unwrap_err());
        assert!(error.starts_with("--ssh-key /nowhere/key.pub: the file cannot be read: No such file"), "{error}");
        let told = |content: &str| {
            let (_file, path) = file(content);
            one_line(&read(&path).unwrap_err()).replace(&path, "FILE")
        };
        for (content, word) in [
            ("# only a remark\n", "FILE: there is no key in it (give"),
            (&format!("{KEY}\nssh-foo AAAA\n"), "FILE: line 2: `ssh-foo` is not a kind of key"),
            ("-----BEGIN OPENSSH PRIVATE KEY-----\n", "private key, which must stay where it is (give the `.pub` file"),
            ("PuTTY-User-Key-File-3: ssh-ed25519\n", "(`puttygen FILE -O public-openssh"),
            ("---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n", "(`ssh-keygen -i -f FILE > FILE.pub` converts it)"),
            ("-----BEGIN RSA PUBLIC KEY-----\n", "ssh-keygen -i -m PEM"),
            ("[\n  {\n    \"id\": 1,\n    \"key\": \"ssh-rsa AAAA\"\n  }\n]\n", "(`jq -r '.. | .key?"),
        ] {
            assert!(told(content).contains(word), "{content}: {}", told(content));
        }
        let (_file, path) = file(b"\xff\xfes\0s\0h\0");
        assert!(one_line(&read(&path).unwrap_err()).contains("iconv -f UTF-16"));
        let (_file, path) = file(b"\x7fELF\xff");
        assert!(one_line(&read(&path).unwrap_err()).contains("not a text"));
    }

    /// The advice for keys in other forms is a command that makes the file which is taken.
    #[test]
    fn the_commands_convert() {
        if labimg_testkit::judges::missing(&["ssh-keygen", "jq"]) {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let sh = |script: &str| {
            let mut sh = std::process::Command::new("sh");
            let output = sh.args(["-euc", script]).current_dir(folder.path()).output().unwrap();
            assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        };
        sh("ssh-keygen -q -t rsa -b 2048 -N '' -C me -f key");
        let data = |text: &str| text.split_whitespace().nth(1).unwrap().to_owned();
        let key = data(&std::fs::read_to_string(folder.path().join("key.pub")).unwrap());
        for (make, form) in [
            ("ssh-keygen -e -f key.pub > FILE", Foreign::Rfc4716.into()),
            ("ssh-keygen -e -m PKCS8 -f key.pub > FILE", Foreign::Pem("PKCS8").into()),
            ("ssh-keygen -e -m PEM -f key.pub > FILE", Foreign::Pem("PEM").into()),
            ("cp -p key FILE", Foreign::Private.into()),
            ("jq -R '[{id: 1, key: .}]' key.pub > FILE", Foreign::Json.into()),
            ("printf '\\377\\376' > FILE; iconv -f UTF-8 -t UTF-16LE key.pub >> FILE", KeyFault::Utf16),
        ] {
            sh(&format!("rm -f FILE FILE.pub; {make}"));
            let file = folder.path().join("FILE");
            let Err(SshKeyError::Key { fault, .. }) = read(file.to_str().unwrap()) else {
                panic!("{make}: the file is taken as it is")
            };
            assert_eq!(fault, form, "{make}");
            let help = fault.help();
            sh(help.split('`').find(|part| part.contains('>')).unwrap());
            let made = read(folder.path().join("FILE.pub").to_str().unwrap()).unwrap();
            assert_eq!(data(&made[0]), key, "{make}");
        }
    }

    #[test]
    fn names_of_keys_give_the_command_that_fetches_them() {
        for (name, url) in [
            ("gh:me", "https://github.com/me.keys"),
            ("lp:me", "https://launchpad.net/~me/+sshkeys"),
            ("https://github.com/me", "https://github.com/me.keys"),
            ("https://example.org/a/b.pub", "https://example.org/a/b.pub"),
        ] {
            let error = one_line(&read(name).unwrap_err());
            assert!(error.contains(&format!("`curl -fsSo keys.pub {url}`")), "{error}");
        }
        // What is no plain name stays out of a command.
        assert_eq!(Foreign::of("gh:me;reboot"), None);
    }

    proptest! {
        #[test]
        fn no_line_panics(line in "(restrict,|command=\"|from=\"|\"|\\\\|ssh-rsa |AAAA|[ -~é\t]){0,12}") {
            let _ = lines(&line);
            let _ = check(&line);
        }
    }
}
