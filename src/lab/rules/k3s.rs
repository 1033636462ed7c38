//! The release of k3s and what is added to its configuration.

use toml::de::DeTable;

use super::{Found, Text, section, text, texts};
use crate::containers::{BadName, ImageName};

/// What labimg writes into k3s' configuration itself. A second value would win or clash without a word.
const OURS: [(&str, &str); 8] = [
    ("token", "it is in `secrets/`"),
    ("token-file", "the token is in `secrets/`"),
    ("agent-token", "it is in `secrets/`"),
    ("agent-token-file", "the agent token is in `secrets/`"),
    ("server", "nodes find the master by its name"),
    ("node-name", "it is the node's `name`"),
    ("cluster-init", "it follows from the number of servers"),
    ("data-dir", "storage and manifests rely on where it is"),
];

pub(super) fn check(root: &DeTable<'_>, found: &mut Found) {
    let Some(k3s) = section(root, "k3s") else { return };
    if let Some(version) = text(k3s, "version") {
        check_version(&version, found);
    }
    if let Some(url) = text(k3s, "url") {
        check_url(
            &url,
            "such as `https://mirror.example/k3s/releases`: files are looked for below URL/VERSION/",
            found,
        );
        if reqwest::Url::parse(url.value).is_ok_and(|u| u.password().is_some() || !u.username().is_empty()) {
            let problem = found.mistake(url.span.clone(), "a password in this URL would be readable on every node");
            problem.help("use a mirror that asks for none");
        }
    }
    if let Some(url) = text(k3s, "charts") {
        check_url(
            &url,
            "such as `https://mirror.example/charts`: what lies at https://HOST/PATH is looked for at URL/HOST/PATH",
            found,
        );
    }
    for image in texts(k3s, "images") {
        if let Err(BadName { name, what }) = image.value.parse::<ImageName>() {
            found.mistake(image.span.clone(), format!("`{name}` is not the full name of a container image")).help(what);
        }
    }
    if let Some(url) = text(k3s, "registries") {
        check_url(
            &url,
            "such as `https://mirror.example`: HOST/REPOSITORY is asked for as URL/v2/HOST/REPOSITORY",
            found,
        );
    }
    for config in ["server_config", "agent_config"] {
        for key in section(k3s, config).iter().flat_map(|c| c.keys()) {
            check_setting(&Text { value: key.get_ref(), span: key.span() }, config, found);
        }
    }
}

/// `v1.36.5+k3s1` or `v1.36.5-rc1+k3s1`: the tags of the releases.
fn check_version(version: &Text<'_>, found: &mut Found) {
    let number = |t: &str| !t.is_empty() && t.len() <= 4 && t.bytes().all(|b| b.is_ascii_digit());
    let three = |t: &str| t.split('.').count() == 3 && t.split('.').all(number);
    let rc = |t: &str| t.strip_prefix("rc").is_some_and(number);
    let kubernetes = |t: &str| t.split_once('-').map_or_else(|| three(t), |(v, pre)| three(v) && rc(pre));
    let release = |t: &str| {
        let parts = t.strip_prefix('v').and_then(|t| t.split_once("+k3s"));
        parts.is_some_and(|(v, build)| kubernetes(v) && number(build))
    };
    let value = version.value;
    if release(value) {
        return;
    }
    let problem = found.mistake(version.span.clone(), format!("`{value}` is not a k3s release"));
    let bare = value.trim_start_matches('v').replace("%2B", "+").replace("-k3s", "+k3s");
    let whole = if bare.contains("+k3s") { format!("v{bare}") } else { format!("v{bare}+k3s1") };
    problem.help(if release(&whole) {
        format!("write it as the release is tagged: `{whole}`")
    } else {
        "write it as the release is tagged, such as `v1.36.5+k3s1`; leave it out for the tested one".to_owned()
    });
}

fn check_url(url: &Text<'_>, help: &str, found: &mut Found) {
    let mut bad = |why: &str| {
        found.mistake(url.span.clone(), why).help(help);
    };
    match reqwest::Url::parse(url.value) {
        Ok(u) if !["http", "https"].contains(&u.scheme()) => bad("a mirror has an http or https URL"),
        Ok(u) if u.query().is_some() || u.fragment().is_some() => {
            bad("file names cannot follow on `?` or `#` in a URL");
        }
        Ok(_) => {}
        Err(_) => bad("this is not a URL"),
    }
}

/// Settings are the long options of `k3s server` and `k3s agent`; a `+` at the end adds to a list.
fn check_setting(key: &Text<'_>, config: &str, found: &mut Found) {
    let name = key.value.trim_end_matches('+');
    let dashed = name.replace('_', "-").to_ascii_lowercase();
    if let Some((_, why)) = OURS.iter().find(|(ours, _)| *ours == dashed) {
        let problem = found.mistake(key.span.clone(), format!("labimg sets `{dashed}` itself: {why}"));
        problem.help("take the line out");
    } else if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        let problem = found.mistake(key.span.clone(), format!("k3s has no setting `{}`", key.value));
        let program = if config == "server_config" { "server" } else { "agent" };
        problem.help(format!("settings are the options of `k3s {program}` without `--`, such as `node-label`"));
    }
}
