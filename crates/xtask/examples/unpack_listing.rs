//! Unpacks the `.deb` files of a folder into a tree, writes dpkg's database, and lists the tree, for comparison with
//! other listings: `unpack_listing DEBS PLAIN [ARCHITECTURE] > listing`. PLAIN is a folder for the decompressed
//! packages. With `DUMP=DIR` in the environment, the tree is written there instead (as root).

use std::collections::HashMap;
use std::error::Error;
use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::time::Instant;

use labimg_debian::deb::{self, Deb};
use labimg_debian::deb822::Stanza;
use labimg_debian::lock::LockedPackage;
use labimg_debian::packages::{unpack, write_database};
use labimg_tree::hash::Sha256;
use labimg_tree::progress::Silent;
use labimg_tree::{Blob, ContentReader, InodeId, Kind, Tree, listing};
use rayon::prelude::*;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn read(path: &Path, plain: &Path) -> Result<(LockedPackage, Deb)> {
    let kept = plain.join(path.file_name().ok_or("no file name")?);
    if !kept.exists() {
        let mut out = tempfile::NamedTempFile::new_in(plain)?;
        deb::decompress(path, out.as_file_mut())?;
        out.persist(&kept)?;
    }
    let deb = Deb::from_plain(Blob::open(kept)?)?;
    let control = String::from_utf8(deb.control["control"].clone())?;
    let control = Stanza::parse(&control)?;
    let field = |name| control.get(name).unwrap_or_default().to_owned();
    let locked = LockedPackage {
        name: field("Package"),
        version: field("Version"),
        architecture: field("Architecture"),
        size: 0,
        sha256: Sha256::of(""),
        archive: labimg_debian::lock::ArchiveName::Debian,
        path: String::new(),
        urls: Vec::new(),
        auto: false,
    };
    Ok((locked, deb))
}

fn dump(tree: &Tree, folder: &Path) -> Result<()> {
    let mut links: HashMap<InodeId, PathBuf> = HashMap::new();
    for (path, id, inode) in tree.iter() {
        let to = folder.join(path.to_string().trim_start_matches('/'));
        match &inode.kind {
            Kind::Dir => std::fs::create_dir_all(&to)?,
            Kind::Symlink(target) => symlink(OsStr::from_bytes(target), &to)?,
            Kind::File(_) if links.contains_key(&id) => std::fs::hard_link(&links[&id], &to)?,
            Kind::File(content) => {
                std::io::copy(&mut ContentReader::new(content), &mut File::create(&to)?)?;
                links.insert(id, to.clone());
            }
            _ => return Err(format!("{path}: a device").into()),
        }
        lchown(&to, Some(inode.uid), Some(inode.gid))?;
        if !matches!(inode.kind, Kind::Symlink(_)) {
            std::fs::set_permissions(&to, Permissions::from_mode(inode.mode.into()))?;
        }
    }
    Ok(())
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, plain, rest @ ..] = args.as_slice() else { return Err("usage: unpack_listing DEBS PLAIN …".into()) };
    let architecture = rest.first().map_or("amd64", String::as_str);
    std::fs::create_dir_all(plain)?;
    let entries = std::fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
    let mut paths: Vec<PathBuf> =
        entries.into_iter().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "deb")).collect();
    paths.sort_by_key(|p| std::cmp::Reverse(p.metadata().map_or(0, |m| m.len())));
    let begun = Instant::now();
    let debs = paths.par_iter().map(|p| read(p, Path::new(plain))).collect::<Result<Vec<_>>>()?;
    let opened = begun.elapsed();
    let mut tree = Tree::new(1_700_000_000);
    let installed = unpack(&mut tree, architecture, debs, &Silent)?;
    write_database(&mut tree, &installed)?;
    eprintln!("opened in {opened:.3?}, all in {:.3?}, {} paths", begun.elapsed(), tree.len());
    if let Some(folder) = std::env::var_os("DUMP").map(PathBuf::from) {
        dump(&tree, &folder)?;
        let order: Vec<_> = installed.packages.iter().map(|p| p.name.as_str()).collect();
        writeln!(std::io::stdout(), "{}", order.join("\n"))?;
        return Ok(());
    }
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in listing(&tree) {
        writeln!(out, "{}", line?)?;
    }
    Ok(out.flush()?)
}
