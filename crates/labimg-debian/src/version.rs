//! Versions and their order: Debian Policy 5.6.12, the same order as `dpkg --compare-versions`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use labimg_tree::fault::{Fault, FaultKind};

/// A version with the syntax `[epoch:]upstream[-revision]`.
///
/// Equality follows the order: `1.0` and `1.00` are equal, as for dpkg.
#[derive(Debug, Clone)]
pub struct Version(String);

/// A text that is not a Debian version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a Debian version: {what}")]
pub struct BadVersion {
    /// The text as given.
    pub text: String,
    /// What is wrong with it.
    pub what: &'static str,
}

impl Fault for BadVersion {
    fn kind(&self) -> FaultKind {
        FaultKind::World
    }
}

impl Version {
    /// The text as given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part between epoch and revision.
    #[must_use]
    pub fn upstream(&self) -> &str {
        split(&self.0).1
    }
}

impl FromStr for Version {
    type Err = BadVersion;

    fn from_str(text: &str) -> Result<Self, BadVersion> {
        let bad = |what| BadVersion { text: text.to_owned(), what };
        let (epoch, rest) = text.split_once(':').map_or((None, text), |(e, r)| (Some(e), r));
        if let Some(epoch) = epoch {
            // dpkg keeps the epoch in a C int.
            let digits = !epoch.is_empty() && epoch.bytes().all(|b| b.is_ascii_digit());
            if !digits || epoch.parse::<i32>().is_err() {
                return Err(bad("the epoch before the colon is not a number up to 2147483647"));
            }
        }
        let (upstream, revision) = rest.rsplit_once('-').map_or((rest, None), |(u, r)| (u, Some(r)));
        if upstream.is_empty() {
            return Err(bad("the upstream version is empty"));
        }
        if !upstream.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(bad("the upstream version does not start with a digit"));
        }
        if !upstream.bytes().all(|b| b.is_ascii_alphanumeric() || b".-+~:".contains(&b)) {
            return Err(bad("the upstream version has a character other than letters, digits and `.-+~:`"));
        }
        match revision {
            Some("") => Err(bad("the revision after the hyphen is empty")),
            Some(r) if !r.bytes().all(|b| b.is_ascii_alphanumeric() || b".+~".contains(&b)) => {
                Err(bad("the revision has a character other than letters, digits and `.+~`"))
            }
            _ => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

/// Compares two versions without checking their syntax: any two texts can be compared.
#[must_use]
pub fn compare(left: &str, right: &str) -> Ordering {
    if left == right {
        return Ordering::Equal;
    }
    let (a, b) = (split(left), split(right));
    compare_part(a.0, b.0).then_with(|| compare_part(a.1, b.1)).then_with(|| compare_part(a.2, b.2))
}

/// Epoch, upstream version and revision; a missing part is empty, which compares like `0`.
fn split(text: &str) -> (&str, &str, &str) {
    let (epoch, rest) = text
        .split_once(':')
        .filter(|(epoch, _)| !epoch.is_empty() && epoch.bytes().all(|b| b.is_ascii_digit()))
        .unwrap_or(("", text));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
    (epoch, upstream, revision)
}

/// Policy 5.6.12: runs of non-digits, compared by [`rank`], alternate with runs of digits, compared as numbers.
fn compare_part(left: &str, right: &str) -> Ordering {
    let (mut a, mut b) = (left.as_bytes(), right.as_bytes());
    while !a.is_empty() || !b.is_empty() {
        loop {
            let (x, y) = (a.first(), b.first());
            let ends = |c: Option<&u8>| c.is_none_or(u8::is_ascii_digit);
            if ends(x) && ends(y) {
                break;
            }
            match rank(x).cmp(&rank(y)) {
                // Equal ranks mean equal characters, so neither side has ended.
                Ordering::Equal => (a, b) = (a.get(1..).unwrap_or(&[]), b.get(1..).unwrap_or(&[])),
                unequal => return unequal,
            }
        }
        let (x, rest_a) = number(a);
        let (y, rest_b) = number(b);
        match x.len().cmp(&y.len()).then_with(|| x.cmp(y)) {
            Ordering::Equal => (a, b) = (rest_a, rest_b),
            unequal => return unequal,
        }
    }
    Ordering::Equal
}

/// `~` sorts before the end, letters before everything else.
fn rank(byte: Option<&u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None => 0,
        Some(b) if b.is_ascii_digit() => 0,
        Some(b) if b.is_ascii_alphabetic() => i32::from(*b),
        Some(b) => i32::from(*b) + 256,
    }
}

/// The leading digits without leading zeros, and the rest; as text, so that no number is too long.
fn number(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|b| !b.is_ascii_digit()).unwrap_or(bytes.len());
    let (digits, rest) = bytes.split_at(end);
    let zeros = digits.iter().take_while(|b| **b == b'0').count();
    (digits.get(zeros..).unwrap_or(&[]), rest)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    const TABLE: &[&str] = &[
        "0",
        "00",
        "0~",
        "0~~",
        "0~a",
        "0a",
        "0.",
        "0+",
        "0-0",
        "0-00",
        "0-1",
        "0-0~",
        "1",
        "1.0",
        "1.00",
        "1.01",
        "1.1",
        "1.10",
        "1.9",
        "1~rc1",
        "1~rc1-1",
        "1~~",
        "1a",
        "1A",
        "1z",
        "1+b1",
        "1-1",
        "1-1+b1",
        "1-1~bpo12+1",
        "1-1.1",
        "1-10",
        "1-9",
        "1-1-1",
        "1:0",
        "0:1",
        "00:1",
        "01:1",
        "1:1",
        "2:1-1",
        "10:0",
        "1.2.3",
        "1.2.3+dfsg",
        "1.2.3+dfsg-1",
        "1.2.3+dfsg-1+deb13u1",
        "1.2.3-1~deb13u1",
        "1.2.3-1",
        "1.2.3-1+deb13u2",
        "20250101",
        "99999999999999999999999",
        "099999999999999999999999",
        "100000000000000000000000",
        "1:1:1",
        "1:1.:1",
        "6.12.38-1",
        "6.12.38+deb13",
        "1.0.0a.1",
        "1.0.0-a",
    ];

    #[test]
    fn the_order_is_dpkgs() {
        if labimg_testkit::judges::missing(&["dpkg"]) {
            return;
        }
        // One shell for the whole table.
        let script = r#"for a in $TABLE; do for b in $TABLE; do
            if dpkg --compare-versions "$a" lt "$b"; then echo lt
            elif dpkg --compare-versions "$a" eq "$b"; then echo eq
            else echo gt; fi
        done; done"#;
        let output = Command::new("sh").args(["-c", script]).env("TABLE", TABLE.join(" ")).output().expect("sh");
        let ours: Vec<_> = TABLE.iter().flat_map(|a| TABLE.iter().map(move |b| (a, b, compare(a, b)))).collect();
        let theirs = String::from_utf8(output.stdout).unwrap();
        assert_eq!(theirs.lines().count(), ours.len(), "dpkg is needed by this test");
        for ((a, b, order), word) in ours.iter().zip(theirs.lines()) {
            let word_of = match order {
                Ordering::Less => "lt",
                Ordering::Equal => "eq",
                Ordering::Greater => "gt",
            };
            assert_eq!(word_of, word, "{a} against {b}");
        }
    }

    #[test]
    fn the_syntax_is_dpkgs() {
        if labimg_testkit::judges::missing(&["dpkg"]) {
            return;
        }
        for good in TABLE {
            assert!(good.parse::<Version>().is_ok(), "{good}");
        }
        for bad in
            ["", "a", "-1", "1-", ":1", "x:1", "-1:1", "2147483648:1", "1:", "1_2", "1 2", "1-1_", "ü", "1:-1", "1é"]
        {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
            let status = Command::new("dpkg").args(["--validate-version", "--", bad]).output().expect("dpkg");
            assert!(!status.status.success(), "dpkg takes {bad}");
        }
        assert_eq!("1:2.3-4-5".parse::<Version>().unwrap().upstream(), "2.3-4");
    }

    proptest! {
        #[test]
        fn any_texts_have_a_total_order(a in "[0-9:~.+aZ é-]{0,12}", b in "[0-9:~.+aZ é-]{0,12}", c in "[0-9:~.+aZ é-]{0,12}") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            prop_assert_eq!(compare(&a, &a), Ordering::Equal);
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le());
            }
        }

        #[test]
        fn a_tilde_is_before_and_a_suffix_after(version in "[0-9]{1,3}(\\.[0-9a-z]{1,3}){0,3}") {
            let version: Version = version.parse().unwrap();
            let with = |suffix: &str| format!("{version}{suffix}").parse::<Version>().unwrap();
            prop_assert!(with("~x") < version && with("+x") > version);
        }
    }
}
