//! Unpacks and configures a folder of Debian packages and lists the tree, to be compared with one that dpkg made.
//!
//! `cargo run --example configure_listing DEBS CACHE [TIME]`: a folder of `.deb` files, a folder to keep their
//! decompressed form in, and the time of the build in seconds since 1970. A line for each path:
//! path, kind, mode, uid, gid, SHA-256 or target. The listing goes to standard output, packages that stay unpacked to
//! standard error. With `LABIMG_EXTRACT=FOLDER`, files that configuration wrote are also put there, for `diff`.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};

use labimg::deb::{self, Deb};
use labimg::debian::deb822::Stanza;
use labimg::hash::Sha256;
use labimg::layers::configure;
use labimg::layers::packages::{self, Excludes};
use labimg::lock::LockedPackage;
use labimg::report::Reporter;
use labimg::tree::{Blob, ContentReader, Inode, Kind, Tree};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(folder), Some(cache)) = (arguments.next(), arguments.next()) else {
        return Err("usage: configure_listing DEBS CACHE [TIME]".into());
    };
    let time = arguments.next().map_or(Ok(0), |t| t.to_string_lossy().parse())?;
    fs_err::create_dir_all(&cache)?;

    let mut debs = Vec::new();
    let mut architecture = String::new();
    let mut files: Vec<PathBuf> = fs_err::read_dir(&folder)?.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
    files.sort();
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "deb")) {
        let deb = open(file, &cache)?;
        let locked = locked(&deb)?;
        if locked.architecture != "all" {
            architecture.clone_from(&locked.architecture);
        }
        debs.push((locked, deb));
    }
    let mut tree = Tree::new(time);
    let reporter = Reporter::silent();
    let mut installed = packages::unpack(&mut tree, &architecture, debs, &Excludes::none(), &reporter)?;
    let report = configure::run(&mut tree, &mut installed)?;
    packages::write_database(&mut tree, &installed)?;

    let mut err = std::io::stderr().lock();
    for pending in &report.pending {
        writeln!(err, "pending: {} {} {}", pending.package, pending.script, pending.reason)?;
    }
    writeln!(err, "{} configured, {} pending", report.configured, report.pending.len())?;
    list(&tree)?;
    if let Some(to) = std::env::var_os("LABIMG_EXTRACT") {
        extract(&tree, Path::new(&to))?;
    }
    Ok(())
}

fn open(file: &Path, cache: &Path) -> Result<Deb, Box<dyn Error>> {
    let name = file.file_name().ok_or("a package file has a name")?;
    let plain = cache.join(name).with_extension("plain");
    if !plain.exists() {
        let part = cache.join(name).with_extension("part");
        deb::decompress(file, &mut std::fs::File::create(&part)?)?;
        fs_err::rename(&part, &plain)?;
    }
    Ok(Deb::from_plain(Blob::open(plain)?)?)
}

fn locked(deb: &Deb) -> Result<LockedPackage, Box<dyn Error>> {
    let control = String::from_utf8_lossy(deb.control.get("control").ok_or("no control file")?).into_owned();
    let stanza = Stanza::parse(&control)?;
    let field = |name| stanza.get(name).unwrap_or_default().to_owned();
    Ok(LockedPackage {
        name: field("Package"),
        version: field("Version"),
        architecture: field("Architecture"),
        size: 0,
        sha256: Sha256::of(b""),
        archive: labimg::lock::ArchiveName::Debian,
        path: String::new(),
        urls: Vec::new(),
        auto: false,
    })
}

fn list(tree: &Tree) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut hashes = BTreeMap::new();
    for (path, id, inode) in tree.iter() {
        let (kind, what) = match &inode.kind {
            Kind::Dir => ('d', String::new()),
            Kind::File(content) => {
                if let std::collections::btree_map::Entry::Vacant(slot) = hashes.entry(id) {
                    slot.insert(Sha256::of_reader(ContentReader::new(content))?.to_string());
                }
                ('f', hashes.get(&id).cloned().unwrap_or_default())
            }
            Kind::Symlink(to) => ('l', String::from_utf8_lossy(to).into_owned()),
            Kind::Char(..) => ('c', String::new()),
            Kind::Block(..) => ('b', String::new()),
            Kind::Fifo => ('p', String::new()),
            Kind::Socket => ('s', String::new()),
        };
        let Inode { mode, uid, gid, .. } = inode;
        writeln!(out, "{path}\t{kind}\t{mode:o}\t{uid}\t{gid}\t{what}")?;
    }
    Ok(out.flush()?)
}

fn extract(tree: &Tree, to: &Path) -> Result<(), Box<dyn Error>> {
    for (path, _, inode) in tree.iter() {
        let Kind::File(content) = &inode.kind else { continue };
        if !tree.layer_name(inode.layer).starts_with("package ") {
            let file = to.join(path.to_string().trim_start_matches('/'));
            fs_err::create_dir_all(file.parent().unwrap_or(to))?;
            fs_err::write(file, content.to_vec()?)?;
        }
    }
    Ok(())
}
