//! Secrets of the stack: the lab's own certificate authority, and passwords and keys of components by name. Each is a group of
//! its own below `stack/`, made when a component first wants it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use rand_core::{OsRng, RngCore};

use super::folder::Folder;
use super::{Secret, Secrets, SecretsError, certificate, check_name, read_certificate};
use crate::lab::LabFolder;
use labimg_tree::files;

/// The folder of the groups.
pub(super) const GROUP: &str = "stack";

/// The certificate of the lab's own authority, also beside `lab.toml`.
pub const AUTHORITY_FILE: &str = "ca.crt";

/// The certificate authority's group.
const AUTHORITY: &str = "ca";
const CERTIFICATE: &str = AUTHORITY_FILE;
const KEY: &str = "ca.key";

/// The file of a password or key.
const VALUE: &str = "value";

/// Length of a password in letters and digits: 190 bits.
const LENGTH: usize = 32;

/// Length of a key in bytes.
const KEY_BYTES: usize = 32;

/// The characters of a password: no program takes any of them for something else.
const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// What a stack wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StackNames {
    /// Names of passwords.
    pub passwords: BTreeSet<String>,
    /// Names of keys for cookies.
    pub cookies: BTreeSet<String>,
    /// Whether it wants the certificate authority.
    pub authority: bool,
}

impl StackNames {
    /// Whether it wants nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a stack has.
#[derive(Debug, Clone, Default)]
pub struct StackSecrets {
    authority: Option<(String, Secret)>,
    values: BTreeMap<String, Secret>,
}

impl StackSecrets {
    /// The password or key of this name.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&Secret> {
        self.values.get(name)
    }

    /// The names of all passwords and keys.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Certificate and key of the lab's own authority, in PEM.
    #[must_use]
    pub fn authority(&self) -> Option<(&str, &Secret)> {
        self.authority.as_ref().map(|(certificate, key)| (certificate.as_str(), key))
    }
}

impl Secrets {
    /// Makes what the stack wants and is missing, in the folder `dir`, and reads it.
    ///
    /// # Errors
    /// As [`Secrets::open`].
    pub fn open_stack(&mut self, dir: &Path, names: &StackNames, now: i64) -> Result<(), SecretsError> {
        if names.is_empty() {
            return Ok(());
        }
        let folder = Folder::create(dir)?;
        if names.authority {
            folder.group(&group(AUTHORITY), || certificate::lab_authority(now, (CERTIFICATE, KEY)))?;
        }
        for name in &names.passwords {
            check_name(name)?;
            folder.group(&group(name), || Ok(vec![(VALUE, format!("{}\n", password()?).into_bytes())]))?;
        }
        for name in &names.cookies {
            check_name(name)?;
            folder.group(&group(name), || Ok(vec![(VALUE, format!("{}\n", key()?).into_bytes())]))?;
        }
        self.stack = read(&folder, names, now)?;
        Ok(())
    }

    /// Reads what the stack wants and has.
    ///
    /// # Errors
    /// As [`Secrets::open_existing`].
    pub fn read_stack(&mut self, dir: &Path, names: &StackNames, now: i64) -> Result<(), SecretsError> {
        self.stack = read(&Folder::open(dir)?, names, now)?;
        Ok(())
    }

    /// What the stack has.
    #[must_use]
    pub fn stack(&self) -> &StackSecrets {
        &self.stack
    }

    /// Writes the certificate of the lab's own authority beside `lab.toml`, for those who are to trust it, and returns its
    /// path; `None` for a lab without one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_authority(&self, folder: &LabFolder) -> Result<Option<PathBuf>, SecretsError> {
        let Some((certificate, _)) = self.stack.authority() else { return Ok(None) };
        let path = folder.dir.join(CERTIFICATE);
        files::write_whole(&path, certificate.as_bytes(), 0o644, true).map_err(SecretsError::io("write", &path))?;
        Ok(Some(path))
    }
}

fn group(name: &str) -> String {
    format!("{GROUP}/{name}")
}

fn read(folder: &Folder, names: &StackNames, now: i64) -> Result<StackSecrets, SecretsError> {
    let mut stack = StackSecrets::default();
    if names.authority && folder.has(&group(AUTHORITY)) {
        let (pem, read) = read_certificate(folder, &group(AUTHORITY), CERTIFICATE, now)?;
        let key = folder.read(&group(AUTHORITY), KEY)?;
        certificate::check_key(&key, &read).map_err(|why| folder.damaged(&group(AUTHORITY), KEY, why))?;
        stack.authority = Some((pem, Secret::new(key)));
    }
    for name in names.passwords.iter().chain(&names.cookies).filter(|name| folder.has(&group(name))) {
        let text = folder.read(&group(name), VALUE)?;
        let value = text.trim_end_matches('\n');
        // A file of the user's own is taken as it is, as long as it is one line.
        if value.is_empty() || value.chars().any(char::is_control) {
            return Err(folder.damaged(&group(name), VALUE, "it is not one line of text"));
        }
        stack.values.insert(name.clone(), Secret::new(value));
    }
    Ok(stack)
}

fn password() -> Result<String, SecretsError> {
    let mut text = String::with_capacity(LENGTH);
    while text.len() < LENGTH {
        let mut byte = [0];
        OsRng.try_fill_bytes(&mut byte).map_err(SecretsError::make("a password"))?;
        // 248 is the largest multiple of 62 that a byte can be below: all letters are equally likely.
        if let Some(letter) = LETTERS.get(usize::from(byte[0]) % LETTERS.len()).filter(|_| byte[0] < 248) {
            text.push(char::from(*letter));
        }
    }
    Ok(text)
}

fn key() -> Result<String, SecretsError> {
    let mut bytes = [0; KEY_BYTES];
    OsRng.try_fill_bytes(&mut bytes).map_err(SecretsError::make("a key"))?;
    Ok(URL_SAFE.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::Lab;

    /// 2026-11-24T12:00:00Z.
    const NOW: i64 = 1_795_521_600;

    fn names() -> StackNames {
        StackNames {
            passwords: BTreeSet::from(["db".to_owned(), "admin".to_owned()]),
            cookies: BTreeSet::from(["cookie".to_owned()]),
            authority: true,
        }
    }

    #[test]
    fn they_are_made_once_and_differ() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets");
        let open = || {
            let mut secrets = Secrets::open(&path, &Lab::default(), NOW).unwrap();
            secrets.open_stack(&path, &names(), NOW).unwrap();
            secrets
        };
        let (first, second) = (open(), open());
        let shown = |secrets: &Secrets, name: &str| secrets.stack().value(name).unwrap().expose().to_owned();
        for name in ["db", "admin"] {
            assert_eq!(shown(&first, name), shown(&second, name));
            assert!(
                shown(&first, name).len() == LENGTH && shown(&first, name).bytes().all(|b| b.is_ascii_alphanumeric())
            );
        }
        assert_ne!(shown(&first, "db"), shown(&first, "admin"));
        assert_eq!(URL_SAFE.decode(shown(&first, "cookie")).unwrap().len(), KEY_BYTES);
        assert_eq!(first.stack().authority().unwrap().0, second.stack().authority().unwrap().0);
        assert!(!format!("{first:?}").contains(&shown(&first, "db")), "shown by mistake");
    }

    #[test]
    fn an_authority_that_ends_soon_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets");
        let mut secrets = Secrets::open(&path, &Lab::default(), NOW).unwrap();
        secrets.open_stack(&path, &names(), NOW).unwrap();
        let certificate = secrets.stack().authority().unwrap().0.as_bytes();
        let years = |years: i64| super::super::authority_ending(certificate, NOW + years * 365 * 24 * 60 * 60);
        assert_eq!(years(0), None);
        assert!(years(10).unwrap().contains("until 2036-11-2"), "{:?}", years(10));
        assert_eq!(super::super::authority_ending(b"", NOW), None);
    }

    #[test]
    fn a_value_of_ones_own_is_kept_and_nonsense_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets");
        let mut secrets = Secrets::open(&path, &Lab::default(), NOW).unwrap();
        secrets.open_stack(&path, &names(), NOW).unwrap();
        let file = path.join("stack/db/value");
        std::fs::write(&file, "my own\n").unwrap();
        secrets.open_stack(&path, &names(), NOW).unwrap();
        assert_eq!(secrets.stack().value("db").unwrap().expose(), "my own");
        std::fs::write(&file, "two\nlines\n").unwrap();
        let error = secrets.open_stack(&path, &names(), NOW).unwrap_err().to_string();
        assert!(error.contains("stack/db/value is damaged"), "{error}");
    }
}
