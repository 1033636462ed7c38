//! Names, time zone, locale, packages, Wi-Fi.

use toml::de::DeTable;

use super::{Found, Text, section, sections, text, texts};
use crate::names::{better, host_fault, is_dns_domain, label_fault};
use crate::user_name::user_fault;
use crate::wifi;
use labimg_tree::suggest::{did_you_mean, nearest_of_many};

/// One name a line, sorted; `#` begins a comment.
const TIMEZONES: &str = include_str!("../timezones.txt");

/// Names that zones had once, a line each, with a blank and the zone's name of today; `#` begins a comment.
const OLD_TIMEZONES: &str = include_str!("../old-timezones.txt");

/// The time zones that a node knows.
pub(in crate::lab) fn timezones() -> impl Iterator<Item = &'static str> {
    TIMEZONES.lines().filter(|line| !line.starts_with('#'))
}

pub(super) fn check(root: &DeTable<'_>, found: &mut Found) {
    if let Some(name) = text(root, "name") {
        name_is(label_fault(name.value), &name, found);
    }
    if let Some(user) = text(root, "user")
        && let Some(why) = user_fault(user.value)
    {
        found.mistake(user.span, format!("`{}` cannot be the user's name: {why}", user.value));
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

/// Says so when it cannot be the name of a node.
pub(super) fn host_name(name: &Text<'_>, found: &mut Found) {
    name_is(host_fault(name.value), name, found);
}

fn name_is(fault: Option<&str>, name: &Text<'_>, found: &mut Found) {
    let Some(why) = fault else { return };
    let problem = found.mistake(name.span.clone(), format!("`{}` cannot be a name: {why}", name.value));
    if let Some(better) = better(name.value) {
        problem.help(better);
    }
}

fn check_domain(domain: &Text<'_>, found: &mut Found) {
    if !is_dns_domain(domain.value) {
        let problem = found.mistake(domain.span.clone(), format!("`{}` is not a DNS domain", domain.value));
        problem.help("write small letters, digits and `-` with dots between, such as `lab.home.arpa`");
    } else if domain.value.rsplit('.').next() == Some("local") {
        let problem = found.mistake(domain.span.clone(), "`.local` is for the nodes' own names (mDNS, RFC 6762)");
        problem.help("take another, such as `lab.home.arpa`: `home.arpa` is reserved for homes");
    } else if let Some(why) = no_site_below(domain.value) {
        let problem =
            found.mistake(domain.span.clone(), format!("no browser finds a site below `{}`: {why}", domain.value));
        problem.help("take another, such as `lab.home.arpa`: `home.arpa` is reserved for homes");
    }
}

/// Why browsers take names below this domain for something else.
fn no_site_below(domain: &str) -> Option<&'static str> {
    match domain.rsplit('.').next()? {
        // The URL standard, "ends in a number": such a host is an IPv4 address, or an error.
        last if last.bytes().all(|b| b.is_ascii_digit()) => Some("what ends in a number is an IPv4 address"),
        // RFC 6761, 6.3.
        "localhost" => Some("`localhost` is the computer itself"),
        _ => None,
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
    let old =
        OLD_TIMEZONES.lines().filter_map(|line| line.split_once(' ')).find(|(old, _)| old.eq_ignore_ascii_case(name));
    if let Some((_, new)) = old {
        problem.help(format!("this is an old name: write `{new}`"));
        return;
    }
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

/// Whether a text names a package as `labimg build --package` takes it: `name`, `name=version` or `name/suite` (names: Debian
/// policy, section 5.6.1).
#[must_use]
pub fn is_package(text: &str) -> bool {
    let name = text.split(['=', '/']).next().unwrap_or_default();
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    name.len() >= 2
        && name.bytes().next().is_some_and(letter)
        && name.bytes().all(|b| letter(b) || b"+-.".contains(&b))
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

fn check_package(package: &Text<'_>, found: &mut Found) {
    if !is_package(package.value) {
        let problem =
            found.mistake(package.span.clone(), format!("`{}` is not the name of a Debian package", package.value));
        problem.help("one name an entry, such as \"htop\"; \"name=version\" and \"name/suite\" go too");
    }
}

fn check_wifi(wifi: &DeTable<'_>, found: &mut Found) {
    if let Some(ssid) = text(wifi, "ssid")
        && let Some(why) = wifi::ssid_fault(ssid.value)
    {
        found.mistake(ssid.span, why);
    }
    if let Some(passphrase) = text(wifi, "passphrase")
        && let Some(why) = wifi::passphrase_fault(passphrase.value)
    {
        found.mistake(passphrase.span, why).help("leave the line out when the network is open");
    }
    if let Some(country) = text(wifi, "country")
        && !wifi::is_country(country.value)
    {
        let problem =
            found.mistake(country.span, format!("`{}` is not a country whose radio rules are known", country.value));
        problem.help(match country.value.to_ascii_uppercase().as_str() {
            "UK" => "the United Kingdom is `GB` (ISO 3166-1)",
            _ => "two letters (ISO 3166-1), such as `DE`, `GB` or `US`",
        });
    }
}
