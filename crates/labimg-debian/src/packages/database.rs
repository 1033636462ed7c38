//! dpkg's database below `/var/lib/dpkg` and apt's list of automatically installed packages.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Installed, Package, PackagesError, info, stanza};
use labimg_tree::{Tree, TreeError, TreePath};

const DPKG: &str = "var/lib/dpkg";

/// Writes what dpkg and apt know about the packages in their current states: `status`, `triggers/`, `arch`, and
/// `/var/lib/apt/extended_states`. `diversions` and `statoverride` are kept if they exist. Call it when nothing changes
/// the packages any more.
///
/// # Errors
/// A control file that cannot be parsed, or a conflict in the tree.
pub fn write_database(tree: &mut Tree, installed: &Installed) -> Result<(), PackagesError> {
    let mut packages: Vec<&Package> = installed.packages.iter().collect();
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    let mut status = String::new();
    for package in &packages {
        status.push_str(&stanza::text(package)?);
        status.push('\n');
    }
    write_files(tree, installed, &packages, status)
        .map_err(|source| PackagesError::Tree { package: "dpkg's database".to_owned(), source })
}

fn write_files(tree: &mut Tree, installed: &Installed, packages: &[&Package], status: String) -> Result<(), TreeError> {
    tree.begin_layer("dpkg database");
    for folder in ["alternatives", "parts", "triggers", "updates"] {
        if !tree.contains(format!("{DPKG}/{folder}")) {
            tree.mkdir(format!("{DPKG}/{folder}"), 0o755)?;
        }
    }
    tree.write(format!("{DPKG}/status"), 0o644, status)?;
    tree.write(format!("{DPKG}/arch"), 0o644, format!("{}\n", installed.architecture))?;
    tree.write(format!("{DPKG}/arch-native"), 0o644, format!("{}\n", installed.architecture))?;
    tree.write(format!("{}/format", info::FOLDER), 0o644, "1\n")?;
    // dpkg makes its locks with these modes.
    for (name, mode) in [("lock", 0o640), ("lock-frontend", 0o640), ("triggers/Lock", 0o600)] {
        tree.write(format!("{DPKG}/{name}"), mode, "")?;
    }
    for name in ["diversions", "statoverride", "triggers/Unincorp"] {
        if !tree.contains(format!("{DPKG}/{name}")) {
            tree.write(format!("{DPKG}/{name}"), 0o644, "")?;
        }
    }
    write_triggers(tree, &installed.packages)?;
    let mut automatic = String::new();
    for package in packages.iter().filter(|package| package.auto) {
        // Writing to a string cannot fail. apt lists packages of architecture `all` under the native one.
        let _ = write!(
            automatic,
            "Package: {}\nArchitecture: {}\nAuto-Installed: 1\n\n",
            package.name, installed.architecture
        );
    }
    tree.write("var/lib/apt/extended_states", 0o644, automatic)
}

/// Which packages are interested in which paths (`triggers/File`) and names (one file each), as in `triggers.txt` of
/// dpkg's documentation.
fn write_triggers(tree: &mut Tree, packages: &[Package]) -> Result<(), TreeError> {
    let mut paths = String::new();
    let mut names: BTreeMap<&str, String> = BTreeMap::new();
    for package in packages {
        for (name, awaits) in &package.triggers.interest {
            let mode = if *awaits { "" } else { "/noawait" };
            let who = package.info_name();
            // Writing to a string cannot fail.
            let _ = if name.starts_with('/') {
                writeln!(paths, "{name} {who}{mode}")
            } else {
                writeln!(names.entry(name).or_default(), "{who}{mode}")
            };
        }
    }
    tree.write(format!("{DPKG}/triggers/File"), 0o644, paths)?;
    for (name, lines) in names {
        let path = TreePath::new(format!("{DPKG}/triggers/{name}"))?;
        tree.write(&path, 0o644, lines)?;
    }
    Ok(())
}
