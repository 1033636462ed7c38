//! The release of k3s, its mirrors, and what is added to its configuration.

mod file;
mod settings;
mod shapes;
mod values;

use toml::de::DeTable;

pub use file::{K3sFile, k3s_settings};

use super::{Found, Text, section, text, texts};
use crate::containers::{BadName, ImageName};
use crate::lab::k3s_release::K3sRelease;
use crate::names::mirror_fault;
use crate::parts::Parts;

pub(super) fn check(root: &DeTable<'_>, parts: &Parts, found: &mut Found) {
    settings::check(root, parts, found);
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
}

/// `v1.36.5+k3s1` or `v1.36.5-rc1+k3s1`: the tags of the releases.
fn check_version(version: &Text<'_>, found: &mut Found) {
    let value = version.value;
    if K3sRelease::parse(value).is_some() {
        return;
    }
    let problem = found.mistake(version.span.clone(), format!("`{value}` is not a k3s release"));
    let bare = value.trim_start_matches('v').replace("%2B", "+").replace("-k3s", "+k3s");
    let whole = if bare.contains("+k3s") { format!("v{bare}") } else { format!("v{bare}+k3s1") };
    problem.help(if K3sRelease::parse(&whole).is_some() {
        format!("write it as the release is tagged: `{whole}`")
    } else {
        "write it as the release is tagged, such as `v1.36.5+k3s1`; leave it out for the tested one".to_owned()
    });
}

fn check_url(url: &Text<'_>, help: &str, found: &mut Found) {
    if let Some(why) = mirror_fault(url.value) {
        found.mistake(url.span.clone(), why).help(help);
    }
}
