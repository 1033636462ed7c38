//! Compares unpacking with dpkg: the same packages are installed by `dpkg --root` and by labimg; files, lists and
//! status must be the same. Needs `dpkg` and `dpkg-deb` (package dpkg). Runs as any user.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use labimg_debian::configure;
use labimg_debian::deb::{self, Deb};
use labimg_debian::lock::LockedPackage;
use labimg_debian::packages::{Installed, PackagesError, State, unpack, write_database};
use labimg_tree::hash::Sha256;
use labimg_tree::{Blob, Tree, TreePath, listing};

/// Packages made for a test, in their own folder.
struct Packages {
    folder: tempfile::TempDir,
    debs: Vec<(String, PathBuf)>,
}

impl Packages {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), debs: Vec::new() }
    }

    /// Makes a package from the files that `fill` puts into a folder.
    fn add(&mut self, name: &str, fields: &str, fill: impl FnOnce(&Path)) -> &mut Self {
        let root = self.folder.path().join(format!("make-{name}"));
        fs::create_dir_all(root.join("DEBIAN")).unwrap();
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
        let control = format!(
            "Package: {name}\nVersion: 1.0-1\nArchitecture: all\nMaintainer: Nobody <nobody@mirror.example>\n{fields}\
             Description: test package {name}\n Nothing else.\n"
        );
        fs::write(root.join("DEBIAN/control"), control).unwrap();
        fill(&root);
        let deb = self.folder.path().join(format!("{name}.deb"));
        run(Command::new("dpkg-deb").args(["--build", "-Zxz"]).arg(&root).arg(&deb));
        self.debs.push((name.to_owned(), deb));
        self
    }

    fn open(&self) -> Vec<(LockedPackage, Deb)> {
        let open = |(name, path): &(String, PathBuf)| {
            let plain = path.with_extension("plain");
            deb::decompress(path, &mut fs::File::create(&plain).unwrap()).unwrap();
            let locked = LockedPackage {
                name: name.clone(),
                version: "1.0-1".into(),
                architecture: "all".into(),
                size: 0,
                sha256: Sha256::of(name),
                archive: labimg_debian::lock::ArchiveName::Debian,
                path: String::new(),
                urls: Vec::new(),
                auto: false,
            };
            (locked, Deb::from_plain(Blob::open(plain).unwrap()).unwrap())
        };
        self.debs.iter().map(open).collect()
    }

    fn unpack(&self) -> Result<(Tree, Installed), PackagesError> {
        let mut tree = Tree::new(0);
        let mut installed = unpack(&mut tree, "all", self.open(), &labimg_tree::progress::Silent)?;
        for package in &mut installed.packages {
            package.state = State::Installed;
        }
        write_database(&mut tree, &installed)?;
        Ok((tree, installed))
    }

    /// Installs the packages in this order with dpkg, or only unpacks them; returns the root folder and dpkg's output.
    fn dpkg<'a>(&self, action: &str, order: impl Iterator<Item = &'a str>) -> (PathBuf, Output) {
        let root = self.folder.path().join("root");
        let admin = root.join("var/lib/dpkg");
        fs::create_dir_all(admin.join("info")).unwrap();
        fs::create_dir_all(admin.join("updates")).unwrap();
        fs::write(admin.join("status"), "").unwrap();
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new("dpkg");
        command.arg(format!("--root={}", root.display())).args(["--force-not-root", "--force-bad-path", "--no-debsig"]);
        command.arg(action).args(order.map(|name| self.folder.path().join(format!("{name}.deb"))));
        let output = command.env("LC_ALL", "C").output().expect("dpkg must be installed");
        (root, output)
    }

    /// Both must give the same files, lists and status.
    fn agree(&self) {
        let (tree, installed) = self.unpack().unwrap();
        self.is_as_by_dpkg("--install", &tree, &installed);
    }

    fn is_as_by_dpkg(&self, action: &str, tree: &Tree, installed: &Installed) {
        let (root, output) = self.dpkg(action, installed.packages.iter().map(|p| p.name.as_str()));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let is_database = |line: &String| line.starts_with("/var/lib") || line.starts_with("/var dir");
        let ours: Vec<String> = listing(tree).map(Result::unwrap).filter(|line| !is_database(line)).collect();
        let theirs = scan(&root);
        assert_eq!(ours, theirs);
        for package in &installed.packages {
            let list = format!("var/lib/dpkg/info/{}.list", package.name);
            assert_eq!(tree.read_text(&list).unwrap(), fs::read_to_string(root.join(&list)).unwrap(), "{list}");
        }
        let status = "var/lib/dpkg/status";
        assert_eq!(tree.read_text(status).unwrap(), fs::read_to_string(root.join(status)).unwrap());
    }

    /// Both must refuse; returns labimg's reason.
    fn both_refuse(&self) -> String {
        let error = self.unpack().unwrap_err().to_string();
        let (_, output) = self.dpkg("--install", self.debs.iter().map(|(name, _)| name.as_str()));
        assert!(!output.status.success(), "dpkg installed what labimg refused: {error}");
        error
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The lines of `tree::listing` for a folder on disk.
fn scan(root: &Path) -> Vec<String> {
    fn add(lines: &mut BTreeMap<Vec<u8>, String>, root: &Path, path: &Path) {
        let info = fs::symlink_metadata(path).unwrap();
        let inner = TreePath::new(path.strip_prefix(root).unwrap().to_str().unwrap()).unwrap();
        if inner.to_string().starts_with("/var/lib") {
            return;
        }
        let (kind, what) = if info.is_dir() {
            ("dir", String::new())
        } else if info.is_symlink() {
            ("link", fs::read_link(path).unwrap().to_str().unwrap().to_owned())
        } else if info.file_type().is_fifo() {
            ("fifo", String::new())
        } else {
            ("file", Sha256::of(fs::read(path).unwrap()).to_string()[..16].to_owned())
        };
        let line = format!("{inner} {kind} {:o} {} {} {what}", info.mode() & 0o7777, info.uid(), info.gid());
        lines.insert(inner.as_bytes().to_vec(), line.trim_end().to_owned());
        if info.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                add(lines, root, &entry.unwrap().path());
            }
        }
    }
    let mut lines = BTreeMap::new();
    add(&mut lines, root, root);
    // The folder on disk belongs to the user who runs the test.
    lines.insert(Vec::new(), "/ dir 755 0 0".to_owned());
    let skip = |line: &String| line.starts_with("/var dir");
    lines.into_values().filter(|line| !skip(line)).collect()
}

fn file(root: &Path, path: &str, mode: u32, content: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn every_kind_of_file() {
    if labimg_testkit::judges::missing(&["dpkg", "dpkg-deb"]) {
        return;
    }
    let long = format!("usr/share/{}/{}", "folder".repeat(20), "name".repeat(40));
    let mut packages = Packages::new();
    packages.add("kinds", "Section: misc\nPriority: optional\nX-Own: kept\n", |root| {
        file(root, "usr/bin/tool", 0o755, "tool");
        file(root, "usr/bin/setuid", 0o4755, "setuid");
        file(root, "usr/share/empty", 0o600, "");
        file(root, &long, 0o644, "long");
        fs::hard_link(root.join("usr/bin/tool"), root.join("usr/bin/other")).unwrap();
        symlink("tool", root.join("usr/bin/link")).unwrap();
        symlink("t".repeat(150), root.join("usr/bin/long-link")).unwrap();
        run(Command::new("mkfifo").arg("-m").arg("640").arg(root.join("usr/pipe")));
        fs::set_permissions(root.join("usr/share"), fs::Permissions::from_mode(0o2775)).unwrap();
    });
    packages.agree();
    let (tree, _) = packages.unpack().unwrap();
    assert_eq!(tree.id("usr/bin/tool"), tree.id("usr/bin/other"));
    assert_eq!(tree.layer_name(tree.get("usr/bin/link").unwrap().layer), "package kinds 1.0-1");
}

#[test]
fn conffiles_relations_and_multi_arch_in_the_status_file() {
    if labimg_testkit::judges::missing(&["dpkg", "dpkg-deb"]) {
        return;
    }
    let mut packages = Packages::new();
    let fields = "Source: fields (0.9)\nSection: misc\nPriority: optional\nMulti-Arch: foreign\nEssential: no\n\
                  Provides: virtual(=2),other\nRecommends: some(>=1)|  another , third [!hurd-any]\nSuggests: x\n\
                  Homepage: http://mirror.example/\nInstalled-Size: 12\nTag: a::b\n";
    let fields = fields.replace(" [!hurd-any]", "");
    packages.add("fields", &fields, |root| {
        file(root, "etc/z.conf", 0o644, "z");
        file(root, "etc/a.conf", 0o640, "a");
        file(root, "DEBIAN/conffiles", 0o644, "/etc/z.conf\n/etc/a.conf\n");
    });
    packages.add("plain", "", |root| file(root, "usr/share/plain", 0o644, "plain"));
    packages.agree();
}

/// Two packages, where the second takes over a configuration file from the first, which may have a `postinst`.
fn two_with_conffiles(postinst: &str) -> Packages {
    let mut packages = Packages::new();
    packages.add("early", "", |root| {
        file(root, "etc/early.conf", 0o644, "early");
        file(root, "etc/both.conf", 0o644, "early");
        file(root, "DEBIAN/conffiles", 0o644, "/etc/early.conf\n/etc/both.conf\n");
        if !postinst.is_empty() {
            file(root, "DEBIAN/postinst", 0o755, &format!("#!/bin/sh\n{postinst}\n"));
        }
    });
    packages.add("late", "Depends: early\nReplaces: early\n", |root| {
        file(root, "etc/late.conf", 0o640, "late");
        file(root, "etc/both.conf", 0o600, "late");
        file(root, "etc/no-conffile", 0o644, "");
        file(root, "DEBIAN/conffiles", 0o644, "/etc/late.conf\n/etc/both.conf\n");
    });
    packages
}

#[test]
fn a_conffile_that_another_package_takes_over_is_obsolete() {
    if labimg_testkit::judges::missing(&["dpkg", "dpkg-deb"]) {
        return;
    }
    two_with_conffiles("").agree();
}

#[test]
fn what_the_node_has_to_configure_is_as_dpkg_unpacks_it() {
    if labimg_testkit::judges::missing(&["dpkg", "dpkg-deb"]) {
        return;
    }
    let packages = two_with_conffiles("what-nobody-knows");
    let mut tree = Tree::new(0);
    let mut installed = unpack(&mut tree, "all", packages.open(), &labimg_tree::progress::Silent).unwrap();
    let report = configure::run(&mut tree, &mut installed).unwrap();
    assert_eq!(report.pending.iter().map(|p| p.package.as_str()).collect::<Vec<_>>(), ["early", "late"]);
    write_database(&mut tree, &installed).unwrap();
    assert_eq!(tree.read_text("etc/both.conf.dpkg-new").unwrap(), "late");
    assert!(tree.contains("etc/no-conffile") && !tree.contains("etc/late.conf"));
    packages.is_as_by_dpkg("--unpack", &tree, &installed);
}

#[test]
fn paths_go_through_links_to_folders() {
    if labimg_testkit::judges::missing(&["dpkg", "dpkg-deb"]) {
        return;
    }
    let mut packages = Packages::new();
    packages.add("layout", "Essential: yes\n", |root| {
        fs::create_dir_all(root.join("usr/lib")).unwrap();
        fs::create_dir_all(root.join("opt/real")).unwrap();
        symlink("usr/lib", root.join("lib")).unwrap();
        symlink("../opt/real", root.join("usr/relative")).unwrap();
    });
    packages.add("user", "", |root| {
        file(root, "lib/here", 0o644, "here");
        file(root, "usr/relative/there", 0o644, "there");
        // A link in the place of another package's folder: the folder stays.
        symlink("elsewhere", root.join("usr/lib-not")).unwrap();
        symlink("elsewhere", root.join("opt")).unwrap();
    });
    packages.agree();
    // dpkg follows this one only in a chroot, so it cannot be the judge here.
    packages.add("absolute", "Protected: yes\n", |root| {
        fs::create_dir_all(root.join("usr")).unwrap();
        symlink("/opt/real", root.join("usr/absolute")).unwrap();
    });
    packages.add("zuser", "Depends: absolute\n", |root| file(root, "usr/absolute/too", 0o644, "too"));
    let (tree, _) = packages.unpack().unwrap();
    assert_eq!(tree.read_text("opt/real/too").unwrap(), "too");
    assert_eq!(tree.read_text("usr/lib/here").unwrap(), "here");
    assert_eq!(tree.read_text("opt/real/there").unwrap(), "there");
}

#[test]
fn the_order_of_the_packages_does_not_matter() {
    if labimg_testkit::judges::missing(&["dpkg", "dpkg-deb"]) {
        return;
    }
    let mut packages = Packages::new();
    for name in ["one", "two", "three"] {
        packages.add(name, "", |root| file(root, &format!("lib/{name}"), 0o644, name));
    }
    packages.add("layout", "", |root| {
        fs::create_dir_all(root.join("usr/lib")).unwrap();
        symlink("usr/lib", root.join("lib")).unwrap();
    });
    let lines = |packages: &Packages| listing(&packages.unpack().unwrap().0).map(Result::unwrap).collect::<Vec<_>>();
    let first = lines(&packages);
    assert!(first.iter().any(|line| line.starts_with("/usr/lib/one ")));
    for _ in 0..4 {
        packages.debs.rotate_left(1);
        assert_eq!(lines(&packages), first);
    }
}

#[test]
fn replaces_in_both_directions() {
    if labimg_testkit::judges::missing(&["dpkg", "dpkg-deb"]) {
        return;
    }
    for (a, b) in [("Replaces: b\n", ""), ("", "Replaces: a (<< 2)\n"), ("Replaces: b\n", "Replaces: a\n")] {
        let mut packages = Packages::new();
        packages.add("a", a, |root| {
            file(root, "usr/share/both", 0o644, "a");
            file(root, "usr/share/a", 0o644, "a");
        });
        packages.add("b", b, |root| {
            file(root, "usr/share/both", 0o600, "b");
            file(root, "usr/share/b", 0o644, "b");
        });
        packages.agree();
    }
}

#[test]
fn a_file_of_two_packages_is_refused() {
    if labimg_testkit::judges::missing(&["dpkg", "dpkg-deb"]) {
        return;
    }
    for fields in ["", "Replaces: a (<< 1.0-1)\n"] {
        let mut packages = Packages::new();
        packages.add("a", "", |root| file(root, "usr/share/both", 0o644, "a"));
        packages.add("b", fields, |root| file(root, "usr/share/both", 0o644, "b"));
        let error = packages.both_refuse();
        assert!(error.contains("/usr/share/both") && error.contains("package a") && error.contains('b'), "{error}");
    }
}

#[test]
fn a_file_where_another_package_has_a_folder_is_refused() {
    if labimg_testkit::judges::missing(&["dpkg", "dpkg-deb"]) {
        return;
    }
    let mut packages = Packages::new();
    packages.add("a", "", |root| file(root, "usr/thing/file", 0o644, "a"));
    packages.add("b", "", |root| file(root, "usr/thing", 0o644, "b"));
    packages.both_refuse();
}

#[test]
fn paths_that_leave_the_tree_are_refused() {
    if labimg_testkit::judges::missing(&["dpkg", "dpkg-deb"]) {
        return;
    }
    for (path, link) in [("../escape", None), ("/etc/absolute", None), ("out/file", Some("../../elsewhere"))] {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        header.set_mode(0o644);
        if let Some(link) = link {
            header.set_entry_type(tar::EntryType::Symlink);
            tar.append_link(&mut header, "out", link).unwrap();
            header.set_entry_type(tar::EntryType::Regular);
        }
        // The builder would refuse such names.
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_gnu_mut().unwrap().name[path.len()..].fill(0);
        header.as_gnu_mut().unwrap().linkname.fill(0);
        header.set_cksum();
        tar.append(&header, &b""[..]).unwrap();
        let data = tar.into_inner().unwrap();
        let mut control = tar::Builder::new(Vec::new());
        let text = b"Package: bad\nVersion: 1.0-1\nArchitecture: all\n";
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        control.append_data(&mut header, "control", &text[..]).unwrap();
        let control = control.into_inner().unwrap();
        let mut packages = Packages::new();
        let path_of_deb = packages.folder.path().join("bad.deb");
        let mut ar = ar::Builder::new(fs::File::create(&path_of_deb).unwrap());
        for (name, bytes) in [("debian-binary", &b"2.0\n"[..]), ("control.tar", &control), ("data.tar", &data)] {
            ar.append(&ar::Header::new(name.into(), bytes.len() as u64), bytes).unwrap();
        }
        drop(ar);
        packages.debs.push(("bad".into(), path_of_deb));
        let error = packages.unpack().unwrap_err().to_string();
        assert!(error.contains("package bad"), "{error}");
    }
}

#[test]
fn dpkg_reads_every_state() {
    if labimg_testkit::judges::missing(&["dpkg", "dpkg-deb"]) {
        return;
    }
    let mut packages = Packages::new();
    for name in ["done", "pending", "unpacked"] {
        packages.add(name, "", |root| {
            file(root, &format!("etc/{name}.conf"), 0o644, name);
            file(root, "DEBIAN/conffiles", 0o644, &format!("/etc/{name}.conf\n"));
            // dpkg's audit expects one.
            file(root, "DEBIAN/md5sums", 0o644, "");
            file(root, "DEBIAN/triggers", 0o644, "interest /usr/share/watched\ninterest-noawait by-name\n");
            file(root, "DEBIAN/postinst", 0o755, "#!/bin/sh\n");
        });
    }
    let mut tree = Tree::new(0);
    let mut installed = unpack(&mut tree, "all", packages.open(), &labimg_tree::progress::Silent).unwrap();
    installed.get_mut("done").unwrap().state = State::Installed;
    installed.get_mut("pending").unwrap().state = State::TriggersPending(vec!["by-name".into()]);
    write_database(&mut tree, &installed).unwrap();
    let admin = packages.folder.path().join("admin");
    for (path, _, inode) in tree.below(&TreePath::new("var/lib/dpkg").unwrap()) {
        let to = admin.join(path.to_string().strip_prefix("/var/lib/dpkg/").unwrap());
        match &inode.kind {
            labimg_tree::Kind::File(content) => fs::write(to, content.to_vec().unwrap()).unwrap(),
            _ => fs::create_dir_all(to).unwrap(),
        }
    }
    let ask = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        let output = command.env("LC_ALL", "C").arg(format!("--admindir={}", admin.display())).args(arguments).output();
        let output = output.expect("dpkg must be installed");
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let states = ask("dpkg-query", &["-W", "-f", "${Package} ${db:Status-Status} ${Triggers-Pending}\n"]);
    let states = states.replace("  ", " ");
    assert_eq!(states, "done installed \npending triggers-pending by-name\nunpacked unpacked \n");
    assert_eq!(ask("dpkg-query", &["-L", "done"]), "/.\n/etc\n/etc/done.conf\n");
    assert_eq!(ask("dpkg-query", &["-S", "/etc/pending.conf"]), "pending: /etc/pending.conf\n");
    let audit = ask("dpkg", &["--audit"]);
    let named: Vec<_> =
        audit.lines().filter(|l| l.starts_with(' ')).filter_map(|l| l.split_whitespace().next()).collect();
    assert_eq!(named, ["unpacked", "pending"]);
    let interest = tree.read_text("var/lib/dpkg/triggers/File").unwrap();
    assert_eq!(interest.lines().filter(|l| l.starts_with("/usr/share/watched ")).count(), 3);
    assert!(tree.read_text("var/lib/dpkg/triggers/by-name").unwrap().contains("pending/noawait\n"));
}
