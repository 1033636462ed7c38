//! debconf: the questions that packages load into debconf in a fresh, non-interactive installation, and their answers.

mod database;

use super::super::{ConfigureError, Context};
use super::{pam_auth_update, update_ca_certificates};
use crate::packages::Package;
use database::Database;
use labimg_tree::Tree;
use labimg_tree::interrupt;

/// Questions that a `config` script of these packages asks at some priority. They get their default as answer and count
/// as not seen, since nobody was there to see them.
const ASKED: [&str; 4] = ["ca-certificates/trust_new_crts", "debconf/frontend", "debconf/priority", "iproute2/setcaps"];

/// These only source debconf's shell library to report problems on an upgrade.
const SILENT: [&str; 1] = ["dash"];

/// Writes the database for configured packages, in the order of configuration. Runs after PAM and certificates are
/// configured: their answers are read from the files that they wrote.
///
/// # Errors
/// When a package's templates are damaged.
pub(crate) fn write(context: &mut Context<'_>, packages: &[&Package]) -> Result<(), ConfigureError> {
    let tree = &mut *context.tree;
    let mut database = Database::default();
    // debconf takes a package's name from the script's file name, which has no architecture before unpacking.
    for package in packages.iter().filter(|p| sources_debconf(p, "preinst")) {
        load(&mut database, package, &package.name)?;
    }
    for package in packages.iter().filter(|p| sources_debconf(p, "postinst") || sources_debconf(p, "config")) {
        interrupt::check()?;
        load(&mut database, package, &package.info_name())?;
    }
    // The program ucf loads its own questions whenever it handles a file.
    if let Some(ucf) = packages.iter().find(|p| p.name == "ucf")
        && tree.read("/var/lib/ucf/hashfile").is_ok_and(|hashes| !hashes.is_empty())
    {
        load(&mut database, ucf, &ucf.name)?;
    }
    answer(tree, &mut database)?;
    database.write(tree)
}

fn load(database: &mut Database, package: &Package, owner: &str) -> Result<(), ConfigureError> {
    let Some(templates) = package.info.get("templates") else { return Ok(()) };
    database.load(owner, &format!("{}.templates", package.info_name()), &String::from_utf8_lossy(templates))
}

fn sources_debconf(package: &Package, script: &str) -> bool {
    let Some(script) = package.scripts.get(script) else { return false };
    let text = String::from_utf8_lossy(script);
    let mut lines = text.lines().map(str::trim_start);
    !SILENT.contains(&package.name.as_str()) && lines.any(|line| line.starts_with(". /usr/share/debconf/confmodule"))
}

fn answer(tree: &Tree, database: &mut Database) -> Result<(), ConfigureError> {
    for name in ASKED {
        let default = database.default_answer(name).to_owned();
        database.set(name, default);
    }
    if database.knows("ca-certificates/enable_crts") {
        let certificates = update_ca_certificates::available(tree)?.join(", ");
        database.set("ca-certificates/enable_crts", certificates.as_str());
        database.substitute("ca-certificates/enable_crts", "enable_crts", certificates);
        database.substitute("ca-certificates/new_crts", "new_crts", "");
    }
    if database.knows("libpam-runtime/profiles") {
        let profiles = pam_auth_update::chosen(tree)?;
        let (names, titles): (Vec<String>, Vec<String>) = profiles.known.into_iter().unzip();
        database.set("libpam-runtime/profiles", profiles.enabled.join(", "));
        database.substitute("libpam-runtime/profiles", "profile_names", names.join(", "));
        database.substitute("libpam-runtime/profiles", "profiles", titles.join(", "));
        database.set("libpam-runtime/override", "false");
    }
    // tzdata reads the zone from the link and counts the question as answered.
    if let Some((area, zone)) = time_zone(tree) {
        let zones = format!("tzdata/Zones/{area}");
        database.set("tzdata/Areas", area);
        database.seen("tzdata/Areas");
        database.set(&zones, zone);
        database.seen(&zones);
    }
    Ok(())
}

fn time_zone(tree: &Tree) -> Option<(String, String)> {
    let labimg_tree::Kind::Symlink(to) = &tree.get("etc/localtime")?.kind else { return None };
    let (area, zone) = std::str::from_utf8(to).ok()?.split_once("zoneinfo/")?.1.split_once('/')?;
    Some((area.to_owned(), zone.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::testing::{Reference, same_files};
    use super::*;
    use crate::packages::{State, Triggers};

    fn package(name: &str, multi_arch: &str, script: (&str, &str), templates: &str) -> Package {
        Package {
            name: name.to_owned(),
            version: "1".to_owned(),
            architecture: "arm64".to_owned(),
            control: format!("Package: {name}\n{multi_arch}"),
            scripts: BTreeMap::from([(script.0.to_owned(), script.1.as_bytes().to_vec())]),
            info: BTreeMap::from([("templates".to_owned(), templates.as_bytes().to_vec())]),
            triggers: Triggers::default(),
            conffiles: Vec::new(),
            auto: false,
            files: Vec::new(),
            state: State::Installed,
        }
    }

    #[test]
    fn only_packages_that_use_debconf_load_their_templates() {
        let mut tree = Tree::new(0);
        tree.symlink("etc/localtime", "/usr/share/zoneinfo/Etc/UTC").unwrap();
        let source = "  . /usr/share/debconf/confmodule\n";
        let same = "Multi-Arch: same\n";
        let text = |name: &str| format!("Template: {name}\nType: boolean\nDefault: false\nDescription: D\n");
        let packages = [
            package("iproute2", "", ("config", source), &text("iproute2/setcaps")),
            package("early", same, ("preinst", source), &text("early/q")),
            package("late", same, ("postinst", source), &text("late/q")),
            package("quiet", "", ("postinst", "exit 0\n"), &text("quiet/q")),
            package("tzdata", "", ("config", source), &(text("tzdata/Areas") + "\n" + &text("tzdata/Zones/Etc"))),
        ];
        write(&mut Context::new(&mut tree, "arm64"), &packages.iter().collect::<Vec<_>>()).unwrap();
        let config = tree.read_text("var/cache/debconf/config.dat").unwrap();
        assert!(config.contains("Template: iproute2/setcaps\nValue: false\nOwners: iproute2\n\n"));
        assert!(config.contains("Owners: early\n") && config.contains("Owners: late:arm64\n"));
        assert!(config.contains("Template: tzdata/Zones/Etc\nValue: UTC\nOwners: tzdata\nFlags: seen\n"));
        assert!(!config.contains("quiet/q"));
    }

    #[test]
    #[ignore = "needs LABIMG_REFERENCE_TREE, a tree made with the real maintainer scripts"]
    fn same_as_the_reference() {
        let reference = Reference::open();
        let tree = reference.tree(&["var/lib/dpkg/info", "var/lib/dpkg/status"]);
        let status = tree.read_text("var/lib/dpkg/status").unwrap();
        let mut packages = Vec::new();
        for stanza in crate::deb822::Stanzas::new(&status) {
            let stanza = stanza.unwrap();
            let mut package = package(stanza.get("Package").unwrap(), "", ("none", ""), "");
            package.architecture = stanza.get("Architecture").unwrap().to_owned();
            package.control.extend(["Multi-Arch: ", stanza.get("Multi-Arch").unwrap_or("no"), "\n"]);
            let name = package.info_name();
            let member = |kind: &str| tree.read(format!("var/lib/dpkg/info/{name}.{kind}")).ok();
            package.info = member("templates").map(|t| ("templates".to_owned(), t)).into_iter().collect();
            let scripts = ["preinst", "config", "postinst"];
            package.scripts = scripts.iter().filter_map(|s| Some(((*s).to_owned(), member(s)?))).collect();
            packages.push(package);
        }
        let mut found = reference.tree(&[
            "etc/localtime",
            "usr/share/ca-certificates",
            "usr/share/pam-configs",
            "var/lib/pam",
            "var/lib/ucf",
        ]);
        write(&mut Context::new(&mut found, "arm64"), &packages.iter().collect::<Vec<_>>()).unwrap();
        let files = ["config.dat", "templates.dat", "passwords.dat"].map(|f| format!("var/cache/debconf/{f}"));
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        same_files(&found, &reference.tree(&files), &files);
    }
}
