//! Unpacks and configures a folder of Debian packages, indexes the modules of its kernels, and writes the tree as an
//! ext4 image, to be compared with a system made by dpkg.
//!
//! `cargo run -p labimg-xtask --example configured_root -- DEBS CACHE IMAGE [TIME]`: a folder of `.deb` files, a folder
//! to keep their decompressed form in, the image, and the build time in seconds since 1970. It prints the packages that
//! stay unpacked to standard output, one name per line, and the reasons to standard error.

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};

use labimg_debian::configure;
use labimg_debian::deb::{self, Deb};
use labimg_debian::deb822::Stanza;
use labimg_debian::kernel;
use labimg_debian::lock::LockedPackage;
use labimg_debian::packages;
use labimg_disk::write::Sparse;
use labimg_disk::write::ext4::{self, Ext4Options};
use labimg_tree::hash::Sha256;
use labimg_tree::{Blob, Tree};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(folder), Some(cache), Some(image)) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err("usage: configured_root DEBS CACHE IMAGE [TIME]".into());
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
    let reporter = labimg_tree::progress::Silent;
    let mut installed = packages::unpack(&mut tree, &architecture, debs, &reporter)?;
    let report = configure::run(&mut tree, &mut installed)?;
    packages::write_database(&mut tree, &installed)?;
    for version in kernel::versions(&tree) {
        kernel::depmod::run(&mut tree, &version)?;
    }

    let (mut out, mut err) = (std::io::stdout().lock(), std::io::stderr().lock());
    for pending in &report.pending {
        writeln!(out, "{}", pending.package)?;
        writeln!(err, "pending: {} {} {}", pending.package, pending.script, pending.reason)?;
    }
    writeln!(err, "{} configured, {} pending", report.configured, report.pending.len())?;

    let mut options = Ext4Options::new(0, [0x42; 16], [0x17; 16], time);
    options.size = ext4::minimum_size(&tree, &options)?;
    let file = fs_err::File::create(&image)?;
    file.set_len(options.size)?;
    ext4::write(&tree, &Sparse::new(file.file()), 0, &options, &labimg_tree::progress::Silent)?;
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
        archive: labimg_debian::lock::ArchiveName::Debian,
        path: String::new(),
        urls: Vec::new(),
        auto: false,
    })
}
