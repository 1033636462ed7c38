//! Keys in the forms of other programs, and what names a key without being one: each with the command that converts it.

/// A text that is not in OpenSSH's form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// The half that must stay where it is.
    #[error("this is a private key, which must stay where it is")]
    Private,
    /// That of `puttygen`, which has both halves.
    #[error("this is a file of PuTTY, with the private key in it")]
    PuttyPrivate,
    /// That of `puttygen` and other programs (RFC 4716).
    #[error("this public key has the form of PuTTY (RFC 4716), not of OpenSSH")]
    Rfc4716,
    /// OpenSSL's, with the name that `ssh-keygen -m` has for it.
    #[error("this public key has the form of OpenSSL ({0}), not of OpenSSH")]
    Pem(&'static str),
    /// That of `gpg`.
    #[error("this is a key of OpenPGP, not of OpenSSH")]
    Pgp,
    /// What GitHub's API answers.
    #[error("this is JSON, as GitHub's API gives it, with keys in it")]
    Json,
    /// An account whose keys a web site publishes, and where.
    #[error("labimg does not fetch keys from web sites")]
    Url(String),
    /// What `ssh-keygen -l` shows.
    #[error("this is the fingerprint of a key, not the key")]
    Fingerprint,
}

/// The short names that `ssh-import-id` has for web sites.
const SITES: [(&str, &str, &str); 4] = [
    ("gh:", "https://github.com/", ".keys"),
    ("github:", "https://github.com/", ".keys"),
    ("gl:", "https://gitlab.com/", ".keys"),
    ("lp:", "https://launchpad.net/~", "/+sshkeys"),
];

impl Foreign {
    /// What the text is, if it is one of these.
    pub(super) fn of(text: &str) -> Option<Self> {
        let text = text.trim_start();
        if text.contains("PRIVATE KEY-----") || text.starts_with("---- BEGIN SSH2 ENCRYPTED PRIVATE KEY") {
            return Some(Self::Private);
        }
        if let Some(url) = url(text) {
            return Some(Self::Url(url));
        }
        let begins = [
            ("PuTTY-User-Key-File-", Self::PuttyPrivate),
            ("---- BEGIN SSH2 PUBLIC KEY", Self::Rfc4716),
            ("-----BEGIN PUBLIC KEY-----", Self::Pem("PKCS8")),
            ("-----BEGIN RSA PUBLIC KEY-----", Self::Pem("PEM")),
            ("-----BEGIN PGP PUBLIC KEY", Self::Pgp),
            ("SHA256:", Self::Fingerprint),
            ("MD5:", Self::Fingerprint),
        ];
        let json = text.starts_with(['[', '{']) && text.contains("\"key\"");
        let found = begins.into_iter().find(|(begin, _)| text.starts_with(begin)).map(|(_, form)| form);
        found.or(json.then_some(Self::Json))
    }

    /// The command that gives the key in OpenSSH's form.
    pub(super) fn help(&self) -> String {
        match self {
            Self::Private => "give the `.pub` file beside it; `ssh-keygen -y -f FILE > FILE.pub` makes one".to_owned(),
            Self::PuttyPrivate => {
                "`puttygen FILE -O public-openssh -o FILE.pub` writes the public key in OpenSSH's form".to_owned()
            }
            Self::Rfc4716 => "`ssh-keygen -i -f FILE > FILE.pub` converts it".to_owned(),
            Self::Pem(form) => format!("`ssh-keygen -i -m {form} -f FILE > FILE.pub` converts it"),
            Self::Pgp => "`gpg --export-ssh-key NAME > FILE.pub` gives its key for SSH".to_owned(),
            Self::Json => "`jq -r '.. | .key? // empty' FILE > FILE.pub` takes the keys out".to_owned(),
            Self::Url(url) => format!("`curl -fsSo keys.pub {url}` does it; look at the file, then name it"),
            Self::Fingerprint => "give the whole line of the `.pub` file, or the path of that file".to_owned(),
        }
    }
}

/// Where the keys of `gh:NAME` or of a profile page are.
fn url(text: &str) -> Option<String> {
    let plain =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~/:+".contains(&b));
    let text = text.trim_end();
    for (short, site, end) in SITES {
        if let Some(name) = text.strip_prefix(short) {
            return plain(name).then(|| format!("{site}{name}{end}"));
        }
    }
    let path = text.strip_prefix("https://").or(text.strip_prefix("http://")).filter(|path| plain(path))?;
    let profile = path.strip_prefix("github.com/").is_some_and(|name| !name.contains(['/', '.']));
    Some(format!("https://{path}{}", if profile { ".keys" } else { "" }))
}
