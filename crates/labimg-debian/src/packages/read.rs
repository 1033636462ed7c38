//! From a package file's control archive to a [`Package`].

use std::collections::BTreeMap;
use std::fmt::Write;

use md5::{Digest, Md5};

use super::files::inner_path;
use super::package::NOT_INSTALLED;
use super::{Conffile, Package, PackagesError, State, Triggers};
use crate::deb::Deb;
use crate::deb822::Stanza;
use crate::lock::LockedPackage;

/// The scripts in a control archive.
const SCRIPTS: [&str; 5] = ["preinst", "postinst", "prerm", "postrm", "config"];

/// The package as known before it is unpacked.
pub(super) fn package(locked: &LockedPackage, deb: &Deb) -> Result<Package, PackagesError> {
    let name = &locked.name;
    let bad = |what: String| PackagesError::Control { package: name.clone(), what };
    let text = |member: &str| deb.control.get(member).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let control = text("control").unwrap_or_default();
    let stanza = Stanza::parse(&control).map_err(|e| bad(e.to_string()))?;
    for (field, want) in [("Package", name), ("Version", &locked.version), ("Architecture", &locked.architecture)] {
        let have = stanza.get(field).unwrap_or_default();
        if have != want {
            return Err(bad(format!("`{field}: {have}` where the lock says `{want}`")));
        }
    }
    let is_script = |name: &str| SCRIPTS.contains(&name);
    let (scripts, info): (BTreeMap<_, _>, BTreeMap<_, _>) = deb
        .control
        .iter()
        .filter(|(name, _)| name.as_str() != "control")
        .map(|(name, bytes)| (name.clone(), bytes.clone()))
        .partition(|(name, _)| is_script(name));
    Ok(Package {
        name: name.clone(),
        version: locked.version.clone(),
        architecture: locked.architecture.clone(),
        triggers: triggers(&text("triggers").unwrap_or_default()).map_err(|e| bad(format!("triggers: {e}")))?,
        conffiles: conffiles(&text("conffiles").unwrap_or_default(), deb)
            .map_err(|e| bad(format!("conffiles: {e}")))?,
        control,
        scripts,
        info,
        auto: locked.auto,
        files: Vec::new(),
        state: State::Unpacked,
    })
}

/// deb-triggers(5).
fn triggers(text: &str) -> Result<Triggers, String> {
    let mut triggers = Triggers::default();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let (directive, name) =
            line.split_once(|c: char| c.is_ascii_whitespace()).ok_or_else(|| format!("`{line}` names no trigger"))?;
        let (list, awaits) = match directive {
            "interest" | "interest-await" => (&mut triggers.interest, true),
            "interest-noawait" => (&mut triggers.interest, false),
            "activate" | "activate-await" => (&mut triggers.activate, true),
            "activate-noawait" => (&mut triggers.activate, false),
            _ => return Err(format!("`{directive}` is no directive that dpkg knows")),
        };
        list.push((name.trim().to_owned(), awaits));
    }
    Ok(triggers)
}

/// deb-conffiles(5), with the MD5 of each file as packaged.
fn conffiles(text: &str, deb: &Deb) -> Result<Vec<Conffile>, String> {
    let mut conffiles = Vec::new();
    for line in text.lines().map(str::trim_end).filter(|l| !l.is_empty()) {
        let (remove_on_upgrade, path) = match line.strip_prefix("remove-on-upgrade ") {
            Some(path) => (true, path.trim_start()),
            None => (false, line),
        };
        let path = path.strip_prefix('/').ok_or_else(|| format!("`{line}` is no absolute path"))?;
        let path = inner_path(path.as_bytes()).map_err(|e| format!("`{line}` {e}"))?;
        conffiles.push(Conffile { path, md5: NOT_INSTALLED.to_owned(), remove_on_upgrade });
    }
    if conffiles.is_empty() {
        return Ok(conffiles);
    }
    for entry in &deb.entries {
        let Some(content) = deb.content(entry) else { continue };
        let path = inner_path(&entry.path)?;
        if let Some(conffile) = conffiles.iter_mut().find(|c| c.path == path) {
            let bytes = content.to_vec().map_err(|e| e.to_string())?;
            conffile.md5 = hex(&Md5::digest(bytes));
        }
    }
    Ok(conffiles)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
