//! `pam-auth-update`: `/etc/pam.d/common-*` from the profiles that packages put into `/usr/share/pam-configs`, and the
//! state in `/var/lib/pam`, as the tool writes them on a system without local changes (pam-auth-update(8)).

use std::collections::{BTreeMap, BTreeSet};

use super::super::{ConfigureError, Context};
use super::text_of;
use labimg_tree::{Kind, Tree, TreePath};

const PROFILES: &str = "usr/share/pam-configs";
const STATE: &str = "/var/lib/pam";
const TYPES: [&str; 5] = ["auth", "account", "password", "session", "session-noninteractive"];

/// The known and the chosen profiles: the content of `libpam-runtime/profiles` in the debconf database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Profiles {
    /// File names and titles of all profiles, highest priority first.
    pub known: Vec<(String, String)>,
    /// File names of the chosen profiles, highest priority first.
    pub enabled: Vec<String>,
}

/// Fields of one profile by lower-case name; the lines of a long field are separated by newlines.
type Profile = BTreeMap<String, String>;

/// `pam-auth-update --package`: rewrites the five files with the profiles chosen before, those in `enable`, and new
/// ones that are enabled by default.
///
/// # Errors
/// When a profile or a template of `libpam-runtime` does not have the expected format.
pub(crate) fn package(context: &mut Context<'_>, enable: &[&str]) -> Result<(), ConfigureError> {
    let tree = &mut *context.tree;
    let profiles = read_profiles(tree)?;
    let sorted = by_priority(&profiles);

    let seen_file = format!("{STATE}/seen");
    let seen = text_of(tree, &seen_file)?;
    let before = chosen_before(tree)?;
    // Without an earlier choice every profile counts as new.
    let seen: BTreeSet<&str> =
        if before.is_empty() && enable.is_empty() { BTreeSet::new() } else { seen.lines().collect() };
    let mut enabled: Vec<&String> = Vec::new();
    for &name in &sorted {
        let default = field(&profiles[name], "default") == "yes" && !seen.contains(name.as_str());
        // Of two profiles that exclude each other, the one with lower priority is dropped.
        let excluded = enabled.iter().any(|&other| excludes(&profiles[other], name));
        if (default || before.contains(name) || enable.contains(&name.as_str())) && !excluded {
            enabled.push(name);
        }
    }
    if enabled.is_empty() {
        return Err(ConfigureError::format(PROFILES, "holds no profile that is chosen by default"));
    }
    for kind in TYPES {
        let chosen: Vec<(&String, &Profile)> = enabled.iter().map(|&name| (name, &profiles[name])).collect();
        let template = format!("/usr/share/pam/common-{kind}");
        let text = fill_template(&template, &tree.read_text(&template)?, &chosen, kind)?;
        tree.write(format!("/etc/pam.d/common-{kind}"), 0o644, text)?;
        tree.write(format!("{STATE}/{kind}"), 0o644, state_text(&chosen, kind))?;
    }
    tree.write(seen_file, 0o644, sorted.iter().flat_map(|name| [name.as_str(), "\n"]).collect::<String>())?;
    Ok(())
}

/// The profiles according to the files.
pub(crate) fn chosen(tree: &Tree) -> Result<Profiles, ConfigureError> {
    let profiles = read_profiles(tree)?;
    let before = chosen_before(tree)?;
    let sorted = by_priority(&profiles);
    let enabled = sorted.iter().filter(|&&name| before.contains(name)).map(|&name| name.clone()).collect();
    let known = sorted.iter().map(|&name| (name.clone(), field(&profiles[name], "name").to_owned())).collect();
    Ok(Profiles { known, enabled })
}

/// Names, highest priority first.
fn by_priority(profiles: &BTreeMap<String, Profile>) -> Vec<&String> {
    let mut sorted: Vec<&String> = profiles.keys().collect();
    sorted.sort_by_key(|&name| std::cmp::Reverse((priority(&profiles[name]), name)));
    sorted
}

fn field<'a>(profile: &'a Profile, name: &str) -> &'a str {
    profile.get(name).map_or("", String::as_str)
}

fn priority(profile: &Profile) -> i64 {
    field(profile, "priority").trim().parse().unwrap_or(0)
}

fn excludes(profile: &Profile, other: &str) -> bool {
    field(profile, "conflicts").split(", ").any(|name| name == other)
}

fn read_profiles(tree: &Tree) -> Result<BTreeMap<String, Profile>, ConfigureError> {
    let mut profiles = BTreeMap::new();
    for (path, _, inode) in tree.below(&TreePath::new(PROFILES)?) {
        let name = String::from_utf8_lossy(path.name()).into_owned();
        let backup = name.ends_with('~') || (name.starts_with('#') && name.ends_with('#'));
        if matches!(inode.kind, Kind::File(_) | Kind::Symlink(_)) && !backup {
            let profile = parse_profile(&path.to_string(), &tree.read_text(path)?)?;
            profiles.insert(name, profile);
        }
    }
    Ok(profiles)
}

fn parse_profile(path: &str, text: &str) -> Result<Profile, ConfigureError> {
    let mut profile = Profile::new();
    let mut last: Option<String> = None;
    for line in text.lines() {
        let named = line.split_once(':').filter(|(name, rest)| {
            !name.is_empty()
                && !name.contains(char::is_whitespace)
                && (rest.is_empty() || rest.starts_with([' ', '\t']))
        });
        if let Some((name, value)) = named {
            let name = name.strip_suffix("-Final").unwrap_or(name).to_ascii_lowercase();
            profile.insert(name.clone(), value.trim().to_owned());
            last = Some(name);
        } else if !line.trim().is_empty() {
            let Some(value) = last.as_ref().and_then(|name| profile.get_mut(name)) else {
                return Err(ConfigureError::format(path, "starts with a line that is not a field"));
            };
            if !value.is_empty() {
                value.push('\n');
            }
            value.push_str(line.trim());
        }
    }
    if field(&profile, "session-interactive-only") != "yes" {
        for part in ["-type", "", "-initial"] {
            if let Some(value) = profile.get(&format!("session{part}")).cloned() {
                profile.insert(format!("session-noninteractive{part}"), value);
            }
        }
    }
    Ok(profile)
}

/// The profiles in the saved state.
fn chosen_before(tree: &Tree) -> Result<BTreeSet<String>, ConfigureError> {
    let mut names = BTreeSet::new();
    for kind in TYPES {
        let text = text_of(tree, &format!("{STATE}/{kind}"))?;
        names.extend(text.lines().filter_map(|l| l.strip_prefix("Module: ")).map(str::to_owned));
    }
    Ok(names)
}

/// Names and lines of the profiles with a part of this type in this block. The first one may have other lines: there is
/// no earlier module whose password it could reuse.
fn block<'a>(chosen: &[(&'a String, &'a Profile)], kind: &str, primary: bool) -> Vec<(&'a str, Vec<&'a str>)> {
    let wanted = if primary { "Primary" } else { "Additional" };
    let mut parts = Vec::new();
    for (name, profile) in chosen {
        if field(profile, &format!("{kind}-type")) != wanted {
            continue;
        }
        let initial = field(profile, &format!("{kind}-initial"));
        let text = if parts.is_empty() && !initial.is_empty() { initial } else { field(profile, kind) };
        parts.push((name.as_str(), text.lines().collect()));
    }
    parts
}

fn state_text(chosen: &[(&String, &Profile)], kind: &str) -> String {
    let mut text = String::new();
    let primary = block(chosen, kind, true);
    if primary.is_empty() {
        text += "Module: null\n[default=1]\t\t\tpam_permit.so\n";
    }
    for (name, lines) in primary.into_iter().chain(block(chosen, kind, false)) {
        if !lines.is_empty() {
            text.extend(["Module: ", name, "\n", &lines.join("\n"), "\n"]);
        }
    }
    text
}

/// Puts the lines of the chosen profiles between the marks of the template.
fn fill_template(
    path: &str,
    template: &str,
    chosen: &[(&String, &Profile)],
    kind: &str,
) -> Result<String, ConfigureError> {
    const PRIMARY: &str = "# here are the per-package modules (the \"Primary\" block)";
    const ADDITIONAL: &str = "# and here are more per-package modules (the \"Additional\" block)";
    let ends = ["# here's the fallback if no module succeeds", "# end of pam-auth-update config"];
    let realm = kind.strip_suffix("-noninteractive").unwrap_or(kind);
    let mut text = String::new();
    // The end mark: everything before it is replaced.
    let mut until: Option<&str> = None;
    let mut marks = 0;
    for line in template.lines() {
        if let Some(end) = until {
            if !line.starts_with(end) {
                continue;
            }
            until = None;
        }
        text += line;
        text.push('\n');
        let primary = line.starts_with(PRIMARY);
        if !primary && !line.starts_with(ADDITIONAL) {
            continue;
        }
        marks += 1;
        until = Some(if primary { ends[0] } else { ends[1] });
        let lines: Vec<&str> = block(chosen, kind, primary).into_iter().flat_map(|(_, lines)| lines).collect();
        if primary && lines.is_empty() {
            text.extend([realm, "\t[default=1]\t\t\tpam_permit.so\n"]);
        }
        // `end` in a control field means: skip the rest of the block. Nothing may be skipped after the last block.
        let count = lines.len();
        for (index, line) in lines.into_iter().enumerate() {
            let left = if primary { count - index } else { count - index - 1 };
            text.extend([realm, "\t", &module_line(path, line, left)?, "\n"]);
        }
    }
    if marks != 2 || until.is_some() {
        return Err(ConfigureError::format(path, "does not have the marks between which modules go"));
    }
    Ok(text)
}

/// Control and module with `end` as a number, then the options, separated by one space.
fn module_line(path: &str, line: &str, left: usize) -> Result<String, ConfigureError> {
    let control = match line.find(']') {
        Some(end) if line.starts_with('[') => end + 1,
        _ => line.find(char::is_whitespace).unwrap_or(line.len()),
    };
    let (control, rest) = line.split_at(control);
    let module = rest.trim_start();
    let gap = &rest[..rest.len() - module.len()];
    let (module, options) = module.split_once(char::is_whitespace).unwrap_or((module, ""));
    if control.is_empty() || gap.is_empty() || module.is_empty() {
        return Err(ConfigureError::format(
            path,
            format!("a profile has `{line}`, which is not `control module options`"),
        ));
    }
    let options: Vec<&str> = options.split_whitespace().collect();
    Ok(format!("{} {}", format!("{control}{gap}{module}").replace("end", &left.to_string()), options.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Reference, same_files};
    use super::*;
    use proptest::prelude::*;

    fn tree() -> Tree {
        let mut tree = Tree::new(0);
        for kind in TYPES {
            let text = "# x\n# here are the per-package modules (the \"Primary\" block)\n$p\n\
                        # here's the fallback if no module succeeds\nfallback\n\
                        # and here are more per-package modules (the \"Additional\" block)\n$a\n\
                        # end of pam-auth-update config\n";
            tree.write(format!("usr/share/pam/common-{kind}"), 0o644, text).unwrap();
        }
        let unix = "Name: Unix\nDefault: yes\nPriority: 256\nAuth-Type: Primary\nAuth:\n\t[success=end default=ignore]\tpam_unix.so  nullok try_first_pass\nAuth-Initial:\n\t[success=end default=ignore]\tpam_unix.so nullok\n";
        let local = "Name: Local\nDefault: yes\nPriority: 512\nAuth-Type: Primary\nAuth:\n\t[success=end default=ignore]\tpam_localuser.so\n\t[success=end]\tpam_x.so\nSession-Type: Additional\nSession-Interactive-Only: yes\nSession:\n\toptional\tpam_s.so\n";
        let off = "Name: Off\nDefault: no\nPriority: 0\nSession-Type: Additional\nSession:\n\toptional\tpam_off.so\n";
        for (name, text) in [("unix", unix), ("local", local), ("off", off)] {
            tree.write(format!("{PROFILES}/{name}"), 0o644, text).unwrap();
        }
        tree
    }

    #[test]
    fn jumps_lead_behind_the_block() {
        let mut tree = tree();
        package(&mut Context::new(&mut tree, "arm64"), &[]).unwrap();
        let found = chosen(&tree).unwrap();
        assert_eq!(found.enabled, ["local", "unix"]);
        assert_eq!(found.known[2], ("off".to_owned(), "Off".to_owned()));
        let auth = tree.read_text("etc/pam.d/common-auth").unwrap();
        let start = auth.find("block)\n").unwrap() + 7;
        assert_eq!(
            &auth[start..auth.find("# here's").unwrap()],
            "auth\t[success=3 default=ignore]\tpam_localuser.so \nauth\t[success=2]\tpam_x.so \n\
             auth\t[success=1 default=ignore]\tpam_unix.so nullok try_first_pass\n"
        );
        assert!(tree.read_text("etc/pam.d/common-session").unwrap().contains("session\toptional\tpam_s.so \n# end"));
        assert!(!tree.read_text("etc/pam.d/common-session-noninteractive").unwrap().contains("pam_s.so"));
        assert_eq!(tree.read_text("var/lib/pam/seen").unwrap(), "local\nunix\noff\n");
    }

    #[test]
    fn choices_last() {
        let mut tree = tree();
        package(&mut Context::new(&mut tree, "arm64"), &["off"]).unwrap();
        package(&mut Context::new(&mut tree, "arm64"), &[]).unwrap();
        let found = chosen(&tree).unwrap();
        assert_eq!(found.enabled, ["local", "unix", "off"]);
        let session = tree.read_text("etc/pam.d/common-session-noninteractive").unwrap();
        assert!(session.contains("session\t[default=1]\t\t\tpam_permit.so\n") && session.contains("pam_off.so"));
    }

    #[test]
    fn damage_is_an_error() {
        let mut without_marks = tree();
        without_marks.write("usr/share/pam/common-auth", 0o644, "nothing\n").unwrap();
        assert!(package(&mut Context::new(&mut without_marks, "arm64"), &[]).is_err());
        let mut bad_profile = tree();
        bad_profile.write(format!("{PROFILES}/unix"), 0o644, "\tno field\n").unwrap();
        assert!(package(&mut Context::new(&mut bad_profile, "arm64"), &[]).is_err());
    }

    proptest! {
        #[test]
        fn no_profile_panics(text in "(Session|Priority|[\\[\\]a=: \n\té]){0,60}", left in 0usize..9) {
            let _ = parse_profile("x", &text);
            let _ = module_line("x", &text, left);
        }
    }

    #[test]
    #[ignore = "needs LABIMG_REFERENCE_TREE, a tree made with the real maintainer scripts"]
    fn same_as_the_reference() {
        let reference = Reference::open();
        let mut tree = reference.tree(&["usr/share/pam", PROFILES]);
        package(&mut Context::new(&mut tree, "arm64"), &[]).unwrap();
        let types = TYPES.map(|kind| format!("etc/pam.d/common-{kind}"));
        let mut files: Vec<&str> = types.iter().map(String::as_str).collect();
        files.push("var/lib/pam");
        same_files(&tree, &reference.tree(&files), &files);
    }
}
