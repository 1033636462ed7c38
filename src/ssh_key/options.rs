//! The options before a key (sshd(8), on the format of `authorized_keys`), read as sshd reads them: it passes over the whole line
//! when it does not understand one. The node does the same for `labimg.conf`, in `usr/lib/labimg/key-options.sh`.

use std::net::IpAddr;

/// Options without a value, which `no-` turns into their opposite where the second word is true.
const FLAGS: [(&str, bool); 9] = [
    ("restrict", false),
    ("cert-authority", false),
    ("port-forwarding", true),
    ("agent-forwarding", true),
    ("x11-forwarding", true),
    ("touch-required", true),
    ("verify-required", true),
    ("pty", true),
    ("user-rc", true),
];

/// Options with a value, and whether they may be there more than once.
const VALUED: [(&str, bool); 8] = [
    ("command", false),
    ("principals", false),
    ("from", false),
    ("expiry-time", true),
    ("environment", true),
    ("permitopen", true),
    ("permitlisten", true),
    ("tunnel", true),
];

/// `SSH_TUNID_MAX` of OpenSSH.
const LAST_TUNNEL: i64 = 0x7fff_fffd;

/// Why sshd would not take the options of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionFault {
    /// No option of this name.
    #[error("`{0}` is not an option of a key")]
    Unknown(String),
    /// An option without its value, or whose value has no quotes around it.
    #[error("the option `{0}` needs a value in double quotes")]
    Unquoted(String),
    /// Quotes that nothing closes.
    #[error("the quotes after `{0}` are not closed")]
    Open(String),
    /// An option that may be there only once.
    #[error("the option `{0}` is there twice")]
    Twice(String),
    /// A value that sshd does not take.
    #[error("`{name}=\"{value}\"`: {why}")]
    Value {
        /// The option.
        name: String,
        /// Its value.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// `principals` without `cert-authority`.
    #[error("the option `principals` only goes with `cert-authority`")]
    Principals,
}

/// All names, as they are written.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FLAGS.iter().map(|f| f.0).chain(VALUED.iter().map(|v| v.0))
}

/// Checks the options at the beginning of a line, and gives what follows them.
pub(super) fn check(line: &str) -> Result<&str, OptionFault> {
    let mut seen: Vec<String> = Vec::new();
    let mut rest = line;
    loop {
        let (given, after) = rest.split_at(rest.find([',', ' ', '\t', '=', '"']).unwrap_or(rest.len()));
        let name = given.to_ascii_lowercase();
        let after = match (after.strip_prefix('='), VALUED.iter().find(|v| v.0 == name)) {
            (Some(after), Some((_, repeated))) => {
                if !repeated && seen.contains(&name) {
                    return Err(OptionFault::Twice(name));
                }
                let after = after.strip_prefix('"').ok_or_else(|| OptionFault::Unquoted(name.clone()))?;
                let (value, after) = dequote(after).ok_or_else(|| OptionFault::Open(name.clone()))?;
                match fault(&name, &value) {
                    Some(why) => return Err(OptionFault::Value { name, value, why }),
                    None => after,
                }
            }
            (None, Some(_)) => return Err(OptionFault::Unquoted(name)),
            // Between two commas nothing is asked for.
            (None, None) if name.is_empty() || is_flag(&name) => after,
            (_, None) => return Err(OptionFault::Unknown(given.to_owned())),
        };
        seen.push(name);
        match after.chars().next() {
            Some(',') => rest = &after[1..],
            None | Some(' ' | '\t') if seen.iter().any(|n| n == "principals") && !is_ca(&seen) => {
                return Err(OptionFault::Principals);
            }
            None | Some(' ' | '\t') => return Ok(after),
            Some(_) => {
                return Err(OptionFault::Unknown(rest.split([',', ' ', '\t']).next().unwrap_or(rest).to_owned()));
            }
        }
    }
}

fn is_ca(seen: &[String]) -> bool {
    seen.iter().any(|name| name == "cert-authority")
}

fn is_flag(name: &str) -> bool {
    FLAGS.iter().any(|(flag, negated)| name == *flag || *negated && name.strip_prefix("no-") == Some(flag))
}

/// The text up to the closing quote and what follows it; in it `\"` is a quote, and any other backslash itself.
fn dequote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"')?;
        let Some(part) = part.strip_suffix('\\') else {
            value.push_str(part);
            return Some((value, after));
        };
        value.push_str(part);
        value.push('"');
        rest = after;
    }
}

/// What is wrong with the value of an option, if anything is.
fn fault(name: &str, value: &str) -> Option<&'static str> {
    let all = |text: &str, letter: fn(u8) -> bool| !text.is_empty() && text.bytes().all(letter);
    match name {
        "from" => value.split(',').find_map(pattern_fault),
        "expiry-time" if !is_time(value) => {
            Some("a time is written as YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, with Z for UTC")
        }
        "environment" => {
            let named =
                value.split_once('=').is_some_and(|(name, _)| all(name, |b| b.is_ascii_alphanumeric() || b == b'_'));
            (!named).then_some("a variable is written as NAME=value")
        }
        "permitopen" if !is_host_and_port(value) => Some("this is no HOST:PORT"),
        "permitlisten" if !is_host_and_port(value) && !is_port(value) => Some("this is no PORT or HOST:PORT"),
        "tunnel"
            if value != "any"
                && !(value.len() <= 10
                    && all(value, |b| b.is_ascii_digit())
                    && value.parse::<i64>().is_ok_and(|n| n <= LAST_TUNNEL)) =>
        {
            Some("a tunnel is a number or `any`")
        }
        _ => None,
    }
}

/// One of the patterns of `from`: a name or an address, both with wildcards, or a network. One wrong network makes sshd refuse the key
/// from everywhere.
fn pattern_fault(pattern: &str) -> Option<&'static str> {
    let pattern = pattern.strip_prefix('!').unwrap_or(pattern);
    let Some((address, prefix)) = pattern.split_once('/') else {
        return pattern.is_empty().then_some("a pattern is missing");
    };
    let bits = match address.parse() {
        Ok(IpAddr::V4(address)) => (u128::from(address.to_bits()) << 96, 32),
        Ok(IpAddr::V6(address)) => (address.to_bits(), 128),
        Err(_) => return Some("a network is an address with the length of its prefix"),
    };
    let digits = prefix.bytes().all(|b| b.is_ascii_digit()) && (prefix.len() == 1 || !prefix.starts_with('0'));
    match prefix.parse::<u32>() {
        Ok(prefix) if digits && prefix <= bits.1 => {
            let host = bits.0.checked_shl(prefix).unwrap_or(0);
            (host != 0).then_some("the address of a network ends in zeros after its prefix")
        }
        _ => Some("a network is an address with the length of its prefix"),
    }
}

/// A time as `parse_absolute_time` of OpenSSH takes it.
fn is_time(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let digits = lower.strip_suffix("utc").or(lower.strip_suffix('z')).unwrap_or(&lower);
    let within = |range: std::ops::Range<usize>, from: u32, to: u32| {
        digits.get(range).is_none_or(|part| part.parse::<u32>().is_ok_and(|n| (from..=to).contains(&n)))
    };
    [8, 12, 14].contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit())
        && within(4..6, 1, 12)
        && within(6..8, 1, 31)
        && within(8..10, 0, 23)
        && within(10..12, 0, 59)
        && within(12..14, 0, 60)
}

fn is_host_and_port(value: &str) -> bool {
    let (_, port) = match value.strip_prefix('[') {
        Some(inside) => match inside.split_once(']') {
            Some((host, after)) => (host, after.strip_prefix([':', '/'])),
            None => return false,
        },
        None => match value.split_once([':', '/']) {
            Some((host, port)) => (host, Some(port)),
            None => return false,
        },
    };
    port.is_some_and(is_port)
}

fn is_port(value: &str) -> bool {
    value == "*"
        || value.len() <= 5
            && value.bytes().all(|b| b.is_ascii_digit())
            && value.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_the_options_is_given() {
        for (line, rest) in [
            ("restrict key", " key"),
            ("command=\"a \\\"b\\\" c\",no-pty\tkey", "\tkey"),
            (",restrict,,PTY, key", " key"),
            ("principals=\"a\",cert-authority key", " key"),
        ] {
            assert_eq!(check(line), Ok(rest), "{line}");
        }
    }

    #[test]
    fn quotes_are_undone() {
        assert_eq!(dequote(r#"a \"b\" \c" rest"#), Some((r#"a "b" \c"#.to_owned(), " rest")));
        assert_eq!(dequote(r#"a\\" rest"#), None);
    }
}
