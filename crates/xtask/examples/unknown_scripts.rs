//! Lists the maintainer scripts that labimg does not know, with the hash for the table of known scripts.
//!
//! `cargo run -p labimg-xtask --example unknown_scripts -- FOLDER…`, where each folder was made by `dpkg-deb --control
//! PACKAGE.deb FOLDER`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use labimg_debian::configure::unknown;
use labimg_debian::deb822::Stanza;
use labimg_debian::packages::{Package, State, Triggers};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout().lock();
    let mut count = 0;
    for folder in std::env::args_os().skip(1) {
        let package = package(Path::new(&folder))?;
        for script in unknown(&package)? {
            writeln!(out, "=== {} {}\nsha256 {}\n{}", package.name, script.script, script.sha256, script.rest)?;
            count += 1;
        }
    }
    writeln!(out, "{count} unknown")?;
    Ok(())
}

fn package(folder: &Path) -> Result<Package, Box<dyn std::error::Error>> {
    let control = fs_err::read_to_string(folder.join("control"))?;
    let stanza = Stanza::parse(&control)?;
    let field = |name| stanza.get(name).unwrap_or_default().to_owned();
    let mut scripts = BTreeMap::new();
    for name in ["preinst", "config", "postinst"] {
        let path = folder.join(name);
        if path.exists() {
            scripts.insert(name.to_owned(), fs_err::read(path)?);
        }
    }
    Ok(Package {
        name: field("Package"),
        version: field("Version"),
        architecture: field("Architecture"),
        control: control.clone(),
        scripts,
        info: BTreeMap::new(),
        triggers: Triggers::default(),
        conffiles: Vec::new(),
        auto: false,
        files: Vec::new(),
        state: State::Unpacked,
    })
}
