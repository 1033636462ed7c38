//! The name of the user who logs in.

/// The name where none is set.
pub const USER: &str = "lab";

/// Longest name that Debian's tools take, in bytes (useradd(8), "CAVEATS").
const LONGEST: usize = 32;

/// Users and groups of Debian and of packages that nodes often have, one a line; `#` begins a comment.
const TAKEN: &str = include_str!("taken-users.txt");

/// Why nobody can have this name on a node, if so (adduser.conf(5), `NAME_REGEX`).
///
/// Which accounts an image has is known for certain when it is built.
#[must_use]
pub fn user_fault(name: &str) -> Option<&'static str> {
    let is_letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    if name.is_empty() || name.len() > LONGEST {
        Some("a user's name has 1 to 32 letters")
    } else if !name.bytes().all(is_letter) {
        Some("only the letters a to z, digits, `-` and `_` are allowed")
    } else if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        Some("a user's name begins with a letter")
    } else if TAKEN.lines().any(|taken| taken == name) {
        Some("the system has a user or group of this name")
    } else {
        None
    }
}

/// The path of the user's home folder in a tree.
#[must_use]
pub fn home(user: &str) -> String {
    format!("home/{user}")
}

/// The path of the user's keys in a tree.
#[must_use]
pub fn authorized_keys(user: &str) -> String {
    format!("{}/.ssh/authorized_keys", home(user))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_of_names() {
        let names: Vec<&str> = TAKEN.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(names.is_sorted() && names.len() > 60, "{names:?}");
        assert_eq!(user_fault(USER), None);
        assert!(user_fault("root").is_some() && user_fault("sudo").is_some());
    }
}
