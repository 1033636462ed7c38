//! Names, time zone, locale, packages, Wi-Fi.

use toml::de::DeTable;

use super::{Found, Text, section, sections, text, texts};
use crate::names::{HostnameError, check_hostname, is_dns_domain};
use labimg_tree::suggest::{did_you_mean, nearest_of_many};

/// One name a line, sorted; `#` begins a comment.
const TIMEZONES: &str = include_str!("../timezones.txt");

/// The time zones that a node knows.
pub(in crate::lab) fn timezones() -> impl Iterator<Item = &'static str> {
    TIMEZONES.lines().filter(|line| !line.starts_with('#'))
}

pub(super) fn check(root: &DeTable<'_>, found: &mut Found) {
    if let Some(name) = text(root, "name") {
        host_name(&name, found);
    }
    if let Some(domain) = text(root, "domain") {
        check_domain(&domain, found);
    }
    if let Some(timezone) = text(root, "timezone") {
        check_timezone(&timezone, found);
    }
    if let Some(locale) = text(root, "locale") {
        check_locale(&locale, found);
    }
    let of_nodes = sections(root, "nodes");
    for package in [root].into_iter().chain(of_nodes).flat_map(|t| texts(t, "packages")) {
        check_package(&package, found);
    }
    if let Some(wifi) = section(root, "wifi") {
        check_wifi(wifi, found);
    }
}

/// Why `name` cannot be the name of a node or cluster, if so: those are single DNS labels.
#[must_use]
pub fn name_fault(name: &str) -> Option<&'static str> {
    match check_hostname(name) {
        Err(HostnameError { why, .. }) => Some(why),
        // The machine itself, on every machine (RFC 6761, section 6.3).
        _ if name == "localhost" => Some("every computer calls itself so"),
        _ => None,
    }
}

/// Says so when it cannot be the name of a node or cluster.
pub(super) fn host_name(name: &Text<'_>, found: &mut Found) {
    let Some(why) = name_fault(name.value) else { return };
    let problem = found.mistake(name.span.clone(), format!("`{}` cannot be a name: {why}", name.value));
    let better = label(name.value);
    if better != name.value && !better.is_empty() {
        problem.help(format!("`{better}` would do"));
    }
}

/// `text` turned into a DNS label as well as that goes; empty when nothing is left.
#[must_use]
pub fn label(text: &str) -> String {
    let first = text.split('.').next().unwrap_or_default();
    let letters = first.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    let label: String = letters.take(63).collect();
    label.trim_matches('-').to_owned()
}

fn check_domain(domain: &Text<'_>, found: &mut Found) {
    if !is_dns_domain(domain.value) {
        let problem = found.mistake(domain.span.clone(), format!("`{}` is not a DNS domain", domain.value));
        problem.help("write small letters, digits and `-` with dots between, such as `lab.home.arpa`");
    } else if domain.value.rsplit('.').next() == Some("local") {
        let problem = found.mistake(domain.span.clone(), "`.local` is for the nodes' own names (mDNS, RFC 6762)");
        problem.help("take another, such as `lab.home.arpa`: `home.arpa` is reserved for homes");
    }
}

fn check_timezone(timezone: &Text<'_>, found: &mut Found) {
    let name = timezone.value;
    if timezones().any(|t| t == name) {
        return;
    }
    let city = |t: &&str| t.rsplit('/').next().is_some_and(|c| c.eq_ignore_ascii_case(&name.replace(' ', "_")));
    let same: Vec<_> = timezones().filter(|t| t.eq_ignore_ascii_case(name)).chain(timezones().filter(city)).collect();
    // Many names share their region, so that what counts is how few letters differ. Comparing takes long with what is not a
    // name at all.
    let near = match same.first() {
        Some(same) => vec![(*same).to_owned()],
        None if name.len() < 64 => nearest_of_many(name, timezones()),
        None => Vec::new(),
    };
    let problem = found.mistake(timezone.span.clone(), format!("unknown time zone `{name}`"));
    problem.help(did_you_mean(&near).unwrap_or_else(|| {
        "write region and city, such as `Europe/Berlin` or `America/New_York`, or `Etc/UTC`".to_owned()
    }));
}

/// `C.UTF-8` or language, country and `UTF-8` with an optional modifier, as glibc names them (locale(7)).
fn check_locale(locale: &Text<'_>, found: &mut Found) {
    let name = locale.value;
    let (base, modifier) = name.split_once('@').unwrap_or((name, "latin"));
    let (place, charset) = base.split_once('.').unwrap_or((base, ""));
    let letters = |t: &str, range: std::ops::RangeInclusive<usize>, small: bool| {
        range.contains(&t.len())
            && t.bytes().all(|b| if small { b.is_ascii_lowercase() } else { b.is_ascii_uppercase() })
    };
    let place_is_good = place == "C"
        || place.split_once('_').is_some_and(|(lang, land)| letters(lang, 2..=3, true) && letters(land, 2..=2, false));
    if place_is_good && charset == "UTF-8" && letters(modifier, 1..=16, true) {
        return;
    }
    let problem = found.mistake(locale.span.clone(), format!("`{name}` is not a locale that labimg knows"));
    problem.help(if ["C", "POSIX"].contains(&place) {
        "write `C.UTF-8`".to_owned()
    } else if place_is_good {
        format!("locales are in UTF-8 here: write `{place}.UTF-8`")
    } else {
        "write language, country and `UTF-8`, such as `de_DE.UTF-8`, or `C.UTF-8`".to_owned()
    });
}

/// A package as `labimg build --package` takes it (names: Debian policy, section 5.6.1).
fn check_package(package: &Text<'_>, found: &mut Found) {
    let name = package.value.split(['=', '/']).next().unwrap_or_default();
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let good = name.len() >= 2
        && name.bytes().next().is_some_and(letter)
        && name.bytes().all(|b| letter(b) || b"+-.".contains(&b))
        && !package.value.contains(|c: char| c.is_whitespace() || c.is_control());
    if !good {
        let problem =
            found.mistake(package.span.clone(), format!("`{}` is not the name of a Debian package", package.value));
        problem.help("one name an entry, such as \"htop\"; \"name=version\" and \"name/suite\" go too");
    }
}

/// IEEE 802.11: names of 1 to 32 bytes; a passphrase of WPA has 8 to 63 characters of printable ASCII.
fn check_wifi(wifi: &DeTable<'_>, found: &mut Found) {
    if let Some(ssid) = text(wifi, "ssid") {
        let bytes = ssid.value.len();
        if !(1..=32).contains(&bytes) {
            found.mistake(ssid.span, format!("the name of a Wi-Fi network has 1 to 32 bytes, not {bytes}"));
        } else if ssid.value.contains(char::is_control) {
            found.mistake(ssid.span, "a control character is in the name of the Wi-Fi network");
        }
    }
    if let Some(passphrase) = text(wifi, "passphrase") {
        let value = passphrase.value;
        if !value.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            let problem =
                found.mistake(passphrase.span, "the Wi-Fi passphrase holds a character that is not plain ASCII");
            problem.help("Wi-Fi takes letters, digits, punctuation and spaces only");
        } else if value.len() == 64 && value.bytes().all(|b| b.is_ascii_hexdigit()) {
            let problem = found.mistake(passphrase.span, "this is a key of 64 hexadecimal digits, not a passphrase");
            problem.help("write the passphrase that people type, of 8 to 63 characters");
        } else if !(8..=63).contains(&value.len()) {
            let message = format!("a Wi-Fi passphrase has 8 to 63 characters, not {}", value.len());
            found.mistake(passphrase.span, message).help("leave the line out when the network is open");
        }
    }
    if let Some(country) = text(wifi, "country") {
        let value = country.value;
        let help = match value {
            "UK" => "the United Kingdom is `GB` (ISO 3166-1)".to_owned(),
            _ if value.len() == 2 && value.bytes().all(|b| b.is_ascii_uppercase()) => return,
            _ if value.len() == 2 && value.bytes().all(|b| b.is_ascii_alphabetic()) => {
                format!("in capitals: `{}`", value.to_ascii_uppercase())
            }
            _ => "two capital letters (ISO 3166-1), such as `DE`, `GB` or `US`".to_owned(),
        };
        found.mistake(country.span, format!("`{value}` is not a country code")).help(help);
    }
}
