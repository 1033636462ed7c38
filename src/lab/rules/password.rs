//! The password for the console: its hash as the nodes' libcrypt takes it.

use toml::de::DeTable;

use super::{Found, text};

/// How to make one.
const HELP: &str =
    "`openssl passwd -6` asks for a password and prints its hash; so does `mkpasswd` of the package whois";

pub(super) fn check(root: &DeTable<'_>, found: &mut Found) {
    let Some(hash) = text(root, "password_hash") else { return };
    if let Err(why) = check_hash(hash.value) {
        found.mistake(hash.span, why).help(HELP);
    }
}

/// The strong methods of libxcrypt (crypt(5), "Available hashing methods"): yescrypt, gost-yescrypt, scrypt, bcrypt,
/// sha512crypt and sha256crypt. Of each, the length of the hash at the end.
fn check_hash(hash: &str) -> Result<(), &'static str> {
    const NONE: &str = "this is no hash of a password; the password itself must not be here";
    let mut parts = hash.split('$');
    let (Some(""), Some(method)) = (parts.next(), parts.next()) else { return Err(NONE) };
    // What may be in a salt or hash; neither `:` nor a newline, which would end the entry in /etc/shadow.
    let is_good = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"./=,".contains(&b));
    let rest: Vec<&str> = parts.collect();
    if !rest.iter().all(|part| is_good(part)) {
        return Err(NONE);
    }
    let (last, length) = match (method, rest.as_slice()) {
        ("y" | "gy" | "5", [_, _, last]) | ("7" | "5", [_, last]) => (last, 43),
        ("2b" | "2y" | "2a", [_, last]) => (last, 53),
        ("6", [_, last] | [_, _, last]) => (last, 86),
        ("1", _) => return Err("this is a hash by MD5, which is found out in no time"),
        ("y" | "gy" | "7" | "2a" | "2b" | "2y" | "5" | "6", _) => return Err("this hash of a password is not whole"),
        _ => return Err("this is not a kind of hash that the nodes take"),
    };
    if last.len() == length { Ok(()) } else { Err("this hash of a password is not whole") }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use labimg_testkit::judges;

    #[test]
    fn only_whole_hashes_are_taken() {
        let sha512 = format!("$6$salt${}", "a".repeat(86));
        let yes = [
            sha512.clone(),
            format!("$6$rounds=5000$salt${}", "a".repeat(86)),
            format!("$5$salt${}", "a".repeat(43)),
            format!("$y$j9T$F5Jx5fExrKuPp53xLKQ..1${}", "a".repeat(43)),
            format!("$2b$12${}", "a".repeat(53)),
        ];
        for hash in yes {
            assert_eq!(check_hash(&hash), Ok(()), "{hash}");
        }
        for (hash, why) in [
            ("", "no hash"),
            ("secret", "no hash"),
            ("aaaaaaaaaaaaa", "no hash"),
            ("*", "no hash"),
            ("$1$salt$aaaaaaaaaaaaaaaaaaaaaa", "MD5"),
            ("$6$salt$aaaa", "not whole"),
            ("$6$", "not whole"),
            ("$y$j9T$salt", "not whole"),
            ("$9$x$y", "not a kind"),
            (&format!("{sha512}:0"), "no hash"),
            (&format!("{sha512}\nroot:"), "no hash"),
        ] {
            assert!(check_hash(hash).unwrap_err().contains(why), "{hash}");
        }
    }

    /// What the advice prints is taken.
    #[test]
    fn what_openssl_makes_is_taken() {
        if judges::missing(&["openssl"]) {
            return;
        }
        for method in ["-6", "-5"] {
            let output = Command::new("openssl").args(["passwd", method, "a password"]).output().unwrap();
            let hash = String::from_utf8(output.stdout).unwrap();
            assert_eq!(check_hash(hash.trim_end()), Ok(()), "{hash}");
        }
    }
}
