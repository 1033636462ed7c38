//! `update-alternatives --install` on a system that nobody has changed by hand: links in `/etc/alternatives` and the
//! state in `/var/lib/dpkg/alternatives` (update-alternatives(1), section FILES, and dpkg's own parser).

use std::collections::BTreeMap;

use super::super::{ConfigureError, Context};
use super::exists;
use labimg_tree::{Inode, Kind, Tree, TreeError, TreePath};

/// One package's offer for a name that several packages can provide.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Offer {
    /// The generic name's path, such as `/usr/bin/pager`.
    link: String,
    /// The name in `/etc/alternatives`.
    name: String,
    /// The package's file for it.
    path: String,
    /// The highest wins.
    priority: i32,
    /// Links that follow the choice: name to link and path.
    slaves: BTreeMap<String, (String, String)>,
}

impl Offer {
    /// Reads the words after `update-alternatives`.
    ///
    /// # Errors
    /// When they are not a complete `--install` call.
    fn parse<S: AsRef<str>>(words: &[S]) -> Result<Self, ConfigureError> {
        let call = || {
            let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
            format!("update-alternatives {}", words.join(" "))
        };
        let bad = |what: &str| ConfigureError::Call { call: call(), what: what.to_owned() };
        let mut words = words.iter().map(AsRef::as_ref);
        let mut offer = None;
        while let Some(word) = words.next() {
            match word {
                "--quiet" | "--force" => {}
                "--install" => {
                    let (Some(link), Some(name), Some(path), Some(priority)) =
                        (words.next(), words.next(), words.next(), words.next())
                    else {
                        return Err(bad("`--install` needs link, name, path and priority"));
                    };
                    let priority = priority.parse().map_err(|_| bad("the priority is not a number"))?;
                    let (link, name, path) = (link.to_owned(), name.to_owned(), path.to_owned());
                    offer = Some(Self { link, name, path, priority, slaves: BTreeMap::new() });
                }
                "--slave" => {
                    let (Some(offer), Some(link), Some(name), Some(path)) =
                        (offer.as_mut(), words.next(), words.next(), words.next())
                    else {
                        return Err(bad("`--slave` needs link, name and path, and comes after `--install`"));
                    };
                    offer.slaves.insert(name.to_owned(), (link.to_owned(), path.to_owned()));
                }
                _ => return Err(bad("only `--install` and `--slave` are known")),
            }
        }
        offer.ok_or_else(|| bad("`--install` is missing"))
    }
}

/// One alternative for a name: priority, and the slaves' paths by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Choice {
    priority: i32,
    slaves: BTreeMap<String, String>,
}

/// A file of `/var/lib/dpkg/alternatives`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Group {
    link: String,
    /// Slave name to link.
    slaves: BTreeMap<String, String>,
    /// Choices by path, in the order in which dpkg writes them.
    choices: BTreeMap<String, Choice>,
}

impl Group {
    fn parse(path: &str, text: &str) -> Result<Self, ConfigureError> {
        let short = || ConfigureError::format(path, "ends too early for a file of update-alternatives");
        let mut lines = text.lines();
        let mut next = || lines.next().ok_or_else(short);
        if next()? != "auto" {
            return Err(ConfigureError::format(path, "is not in automatic mode: somebody chose by hand"));
        }
        let mut group = Self { link: next()?.to_owned(), ..Self::default() };
        let mut order = Vec::new();
        loop {
            let name = next()?;
            if name.is_empty() {
                break;
            }
            order.push(name);
            group.slaves.insert(name.to_owned(), next()?.to_owned());
        }
        loop {
            let choice = next()?;
            if choice.is_empty() {
                return Ok(group);
            }
            let priority = next()?.parse().map_err(|_| ConfigureError::format(path, "a priority is not a number"))?;
            let mut slaves = BTreeMap::new();
            for &name in &order {
                let slave = next()?;
                if !slave.is_empty() {
                    slaves.insert(name.to_owned(), slave.to_owned());
                }
            }
            group.choices.insert(choice.to_owned(), Choice { priority, slaves });
        }
    }

    fn text(&self) -> String {
        let mut text = format!("auto\n{}\n", self.link);
        for (name, link) in &self.slaves {
            text.extend([name, "\n", link, "\n"]);
        }
        text.push('\n');
        for (path, choice) in &self.choices {
            text.extend([path, "\n", &choice.priority.to_string(), "\n"]);
            for name in self.slaves.keys() {
                text += choice.slaves.get(name).map_or("", String::as_str);
                text.push('\n');
            }
        }
        text.push('\n');
        text
    }

    /// The choice with the highest priority; of equal ones the first in the file.
    fn best(&self) -> Option<(&String, &Choice)> {
        self.choices.iter().rev().max_by_key(|(_, choice)| choice.priority)
    }
}

/// `update-alternatives` with `words`, the words after the program's name.
///
/// # Errors
/// A call that is not `--install`, a path that does not exist, or a state file that is damaged or in manual mode.
pub(crate) fn call<S: AsRef<str>>(context: &mut Context<'_>, words: &[S]) -> Result<(), ConfigureError> {
    install(context.tree, &Offer::parse(words)?)
}

/// Adds an offer to its group and sets the links to the best one.
///
/// # Errors
/// When the offered file does not exist, or the group's state file is damaged or in manual mode.
fn install(tree: &mut Tree, offer: &Offer) -> Result<(), ConfigureError> {
    if !exists(tree, &offer.path) {
        return Err(TreeError::NotFound(TreePath::new(&offer.path)?).into());
    }
    let file = format!("/var/lib/dpkg/alternatives/{}", offer.name);
    let mut group = if exists(tree, &file) { Group::parse(&file, &tree.read_text(&file)?)? } else { Group::default() };
    group.link.clone_from(&offer.link);
    let mut choice = Choice { priority: offer.priority, slaves: BTreeMap::new() };
    for (name, (link, path)) in &offer.slaves {
        group.slaves.insert(name.clone(), link.clone());
        choice.slaves.insert(name.clone(), path.clone());
    }
    group.choices.insert(offer.path.clone(), choice);

    if let Some((path, choice)) = group.best() {
        link(tree, &group.link, &offer.name, path)?;
        for (name, slave_link) in &group.slaves {
            // A slave whose file is missing (such as an excluded manual page) gets no link.
            match choice.slaves.get(name).filter(|path| exists(tree, path)) {
                Some(path) => link(tree, slave_link, name, path)?,
                None => unlink(tree, slave_link, name)?,
            }
        }
    }
    tree.write(file, 0o644, group.text())?;
    Ok(())
}

fn link(tree: &mut Tree, generic: &str, name: &str, path: &str) -> Result<(), ConfigureError> {
    let place = tree.place(generic)?;
    // Anything other than a link stays: dpkg only warns.
    if matches!(tree.get(&place), None | Some(Inode { kind: Kind::Symlink(_), .. })) {
        tree.symlink(&place, format!("/etc/alternatives/{name}"))?;
    }
    tree.symlink(format!("/etc/alternatives/{name}"), path)?;
    Ok(())
}

fn unlink(tree: &mut Tree, generic: &str, name: &str) -> Result<(), ConfigureError> {
    let current = format!("/etc/alternatives/{name}");
    let place = tree.place(generic)?;
    if matches!(tree.get(&place), Some(Inode { kind: Kind::Symlink(to), .. }) if *to == current.as_bytes()) {
        tree.remove(&place);
    }
    tree.remove(&TreePath::new(current)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Reference, same_files};
    use super::*;
    use proptest::prelude::*;

    fn words(call: &str) -> Vec<&str> {
        call.split_whitespace().collect()
    }

    #[test]
    fn the_highest_priority_wins_with_its_slaves() {
        let mut tree = Tree::new(0);
        for path in ["usr/bin/more", "usr/bin/less", "usr/share/man/man1/less.1.gz", "usr/share/man/man1/more.1.gz"] {
            tree.write(path, 0o755, "").unwrap();
        }
        tree.symlink("bin", "usr/bin").unwrap();
        let man = "--slave /usr/share/man/man1/pager.1.gz pager.1.gz /usr/share/man/man1";
        call(
            &mut Context::new(&mut tree, "arm64"),
            &words(&format!("--install /usr/bin/pager pager /bin/more 50 {man}/more.1.gz")),
        )
        .unwrap();
        assert_eq!(tree.resolve("usr/bin/pager").unwrap().to_string(), "/usr/bin/more");
        call(
            &mut Context::new(&mut tree, "arm64"),
            &words(&format!("--quiet --install /usr/bin/pager pager /usr/bin/less 77 {man}/less.1.gz")),
        )
        .unwrap();
        assert_eq!(tree.resolve("usr/bin/pager").unwrap().to_string(), "/usr/bin/less");
        assert_eq!(tree.resolve("usr/share/man/man1/pager.1.gz").unwrap().to_string(), "/usr/share/man/man1/less.1.gz");
        assert_eq!(
            tree.read_text("var/lib/dpkg/alternatives/pager").unwrap(),
            "auto\n/usr/bin/pager\npager.1.gz\n/usr/share/man/man1/pager.1.gz\n\n\
             /bin/more\n50\n/usr/share/man/man1/more.1.gz\n/usr/bin/less\n77\n/usr/share/man/man1/less.1.gz\n\n"
        );
    }

    #[test]
    fn a_missing_slave_gets_no_link_and_loses_an_old_one() {
        let mut tree = Tree::new(0);
        for path in ["usr/bin/a", "usr/bin/b", "usr/share/a.1"] {
            tree.write(path, 0o755, "").unwrap();
        }
        call(
            &mut Context::new(&mut tree, "arm64"),
            &words("--install /x x /usr/bin/a 1 --slave /x.1 x.1 /usr/share/a.1"),
        )
        .unwrap();
        assert!(exists(&tree, "x.1"));
        call(
            &mut Context::new(&mut tree, "arm64"),
            &words("--install /x x /usr/bin/b 2 --slave /x.1 x.1 /usr/share/b.1"),
        )
        .unwrap();
        assert!(!tree.contains("x.1") && !tree.contains("etc/alternatives/x.1"));
    }

    #[test]
    fn bad_calls_and_states_are_refused() {
        let mut tree = Tree::new(0);
        tree.write("usr/bin/a", 0o755, "").unwrap();
        for wrong in ["", "--install /x x /usr/bin/a", "--install /x x /usr/bin/a ten", "--remove x /usr/bin/a"] {
            assert!(call(&mut Context::new(&mut tree, "arm64"), &words(wrong)).is_err(), "{wrong}");
        }
        assert!(call(&mut Context::new(&mut tree, "arm64"), &words("--install /x x /usr/bin/none 1")).is_err());
        for state in ["", "auto\n", "manual\n/x\n\n/usr/bin/a\n1\n\n", "auto\n/x\n\n/usr/bin/a\nten\n\n"] {
            tree.write("var/lib/dpkg/alternatives/x", 0o644, state).unwrap();
            assert!(
                call(&mut Context::new(&mut tree, "arm64"), &words("--install /x x /usr/bin/a 1")).is_err(),
                "{state}"
            );
        }
    }

    proptest! {
        #[test]
        fn states_are_read_back(
            links in proptest::collection::btree_map("[a-z.]{1,4}", "/[a-z]{1,4}", 0..4),
            choices in proptest::collection::btree_map("/[a-z]{1,4}", -9i32..99, 1..4),
        ) {
            let choice = |priority| Choice { priority, slaves: links.clone() };
            let choices = choices.into_iter().map(|(path, priority)| (path, choice(priority))).collect();
            let group = Group { link: "/x".to_owned(), slaves: links.clone(), choices };
            prop_assert_eq!(Group::parse("x", &group.text()).unwrap(), group);
        }

        #[test]
        fn damaged_states_never_panic(text in "(auto\n)?[a-z/0-9\n]{0,60}") {
            let _ = Group::parse("x", &text);
        }
    }

    #[test]
    #[ignore = "needs LABIMG_REFERENCE_TREE, a tree made with the real maintainer scripts"]
    fn same_as_the_reference() {
        let reference = Reference::open();
        let wanted = reference.tree(&["etc/alternatives", "var/lib/dpkg/alternatives"]);
        // The offers are read from the state files, so the offered files must exist, but no links.
        let mut tree =
            reference.tree(&["usr/bin", "usr/sbin", "usr/share/man", "usr/lib/firmware", "bin", "sbin", "lib"]);
        let folder = TreePath::new("var/lib/dpkg/alternatives").unwrap();
        let mut groups = 0;
        for (path, _, inode) in wanted.below(&folder) {
            if !matches!(inode.kind, Kind::File(_)) {
                continue;
            }
            groups += 1;
            let group = Group::parse(&path.to_string(), &wanted.read_text(path).unwrap()).unwrap();
            tree.remove(&tree.place(&group.link).unwrap());
            for link in group.slaves.values() {
                tree.remove(&tree.place(link).unwrap());
            }
            for (choice_path, choice) in &group.choices {
                let slaves = choice
                    .slaves
                    .iter()
                    .map(|(name, path)| (name.clone(), (group.slaves[name].clone(), path.clone())))
                    .collect();
                let name = String::from_utf8_lossy(path.name()).into_owned();
                let offer = Offer {
                    link: group.link.clone(),
                    name,
                    path: choice_path.clone(),
                    priority: choice.priority,
                    slaves,
                };
                install(&mut tree, &offer).unwrap();
            }
        }
        assert!(groups > 10);
        let mut wanted = wanted;
        wanted.remove(&TreePath::new("etc/alternatives/README").unwrap());
        same_files(&tree, &wanted, &["etc/alternatives", "var/lib/dpkg/alternatives"]);
    }
}
