//! Archives of charts: a gzipped tar with one folder, in which `Chart.yaml` is (helm.sh/docs, "Charts", "The Chart File
//! Structure").

use std::io::{self, Read};
use std::path::{Component, Path};

use flate2::read::MultiGzDecoder;
use serde::Deserialize;

use super::ChartRef;
use crate::wording;

/// Most bytes that an archive may unpack to; Helm has the same limit.
pub(super) const UNPACKED_LIMIT: u64 = 100 << 20;

/// Largest `Chart.yaml` that is read, in bytes.
const HEAD_LIMIT: u64 = 1 << 20;

#[derive(Deserialize)]
struct Head {
    name: Option<String>,
    version: Option<String>,
}

/// Checks that Helm could install it: the archive is whole, stays in its own folder, and says that it is this chart.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(archive: &[u8], chart: &ChartRef) -> Result<(), String> {
    if !archive.starts_with(&[0x1f, 0x8b]) {
        return Err(if archive.is_empty() { "it is empty" } else { "it is not a gzipped archive" }.to_owned());
    }
    let damaged = |_: io::Error| "it is damaged or cut off".to_owned();
    // The sum of the gzip file is checked at its end, so that all of it is read.
    let mut unpacked = MultiGzDecoder::new(archive).take(UNPACKED_LIMIT + 1);
    let mut head = None;
    let mut members = tar::Archive::new(&mut unpacked);
    for member in members.entries().map_err(damaged)? {
        let mut member = member.map_err(damaged)?;
        let path = member.path().map_err(damaged)?.into_owned();
        let target = member.link_name().map_err(damaged)?.unwrap_or_default();
        // The target of a symbolic link counts from the link's folder.
        let depth = if member.header().entry_type().is_symlink() { path.components().count() - 1 } else { 0 };
        if let Some(out) =
            [(path.as_path(), 0), (&target, depth)].into_iter().find(|(path, depth)| leads_out(path, *depth))
        {
            return Err(format!("`{}` in it leads out of it", out.0.display()));
        }
        let mut parts = path.components().filter(|part| *part != Component::CurDir);
        let is_head = parts.next().is_some() && parts.next().is_some_and(|p| p.as_os_str() == "Chart.yaml");
        if is_head && parts.next().is_none() && head.is_none() {
            let mut text = String::new();
            member.by_ref().take(HEAD_LIMIT).read_to_string(&mut text).map_err(damaged)?;
            head = Some(text);
        }
    }
    io::copy(&mut unpacked, &mut io::sink()).map_err(damaged)?;
    if unpacked.limit() == 0 {
        return Err(format!("it unpacks to more than {} MiB", UNPACKED_LIMIT >> 20));
    }
    let head = head.ok_or("it has no Chart.yaml")?;
    let heads = wording::from_yaml::<Head>(&head).map_err(|mistake| format!("its Chart.yaml, {mistake}"))?;
    let [Head { name: Some(name), version: Some(version) }] = heads.as_slice() else {
        return Err("its Chart.yaml has no name or no version".to_owned());
    };
    // An index is made from these (helm.sh/docs, "Helm Repo Index").
    if *name != chart.name || bare(version) != bare(&chart.version) {
        return Err(format!("it is chart {name} {version}"));
    }
    Ok(())
}

/// A version without the `v` that some write before it.
pub(super) fn bare(version: &str) -> &str {
    version.strip_prefix('v').unwrap_or(version)
}

/// Whether a path is absolute, or goes up further than the archive, from a folder `depth` below its top.
fn leads_out(path: &Path, mut depth: usize) -> bool {
    path.components().any(|part| match part {
        Component::CurDir => false,
        Component::Normal(_) => {
            depth += 1;
            false
        }
        Component::ParentDir => depth.checked_sub(1).map(|up| depth = up).is_none(),
        Component::RootDir | Component::Prefix(_) => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    /// An archive with these files.
    fn packed(files: &[(&str, &str)]) -> Vec<u8> {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (path, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, path, text.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    }

    /// A good archive with a symbolic link more.
    fn linked(path: &str, target: &str) -> Vec<u8> {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        let mut header = tar::Header::new_gnu();
        header.set_size(HEAD.len() as u64);
        tar.append_data(&mut header, "one/Chart.yaml", HEAD.as_bytes()).unwrap();
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, path, target).unwrap();
        tar.into_inner().unwrap().finish().unwrap()
    }

    fn chart(version: &str) -> ChartRef {
        ChartRef { name: "one".into(), version: version.into(), repository: "https://charts.example".into() }
    }

    const HEAD: &str = "apiVersion: v2\nname: one\nversion: 1.2.0\n";

    #[test]
    fn charts_are_taken() {
        assert_eq!(check(&linked("one/files/x", "../../one/y"), &chart("1.2.0")), Ok(()));
        for files in [
            &[("one/Chart.yaml", HEAD)][..],
            &[("one/values.yaml", ""), ("one/Chart.yaml", HEAD), ("one/charts/two/Chart.yaml", "nonsense: [")],
        ] {
            assert_eq!(check(&packed(files), &chart("1.2.0")), Ok(()), "{files:?}");
        }
    }

    #[test]
    fn what_is_no_chart_is_told() {
        let good = packed(&[("one/Chart.yaml", HEAD)]);
        let mut flipped = good.clone();
        let last = flipped.len() - 6;
        flipped[last] ^= 1;
        for (bytes, needle) in [
            (Vec::new(), "empty"),
            (b"<html>".to_vec(), "not a gzipped archive"),
            (good[..good.len() / 2].to_vec(), "cut off"),
            (flipped, "damaged"),
            (packed(&[]), "no Chart.yaml"),
            (packed(&[("Chart.yaml", HEAD), ("one/x/Chart.yaml", HEAD)]), "no Chart.yaml"),
            (packed(&[("one/Chart.yaml", "name: one\n")]), "no version"),
            (packed(&[("one/Chart.yaml", "")]), "no name"),
            (packed(&[("one/Chart.yaml", &HEAD.replace("one", "two"))]), "it is chart two 1.2.0"),
            (packed(&[("one/Chart.yaml", &HEAD.replace("1.2", "1.3"))]), "it is chart one 1.3.0"),
            (linked("one/x", "/etc/passwd"), "`/etc/passwd` in it leads out"),
            (linked("one/x", "../../y"), "`../../y` in it leads out"),
            (packed(&[("one/Chart.yaml", "name: [\n")]), "Chart.yaml, line"),
        ] {
            let what = check(&bytes, &chart("v1.2.0")).unwrap_err();
            assert!(what.contains(needle), "{needle}: {what}");
        }
    }

    #[test]
    fn an_archive_that_grows_without_end_is_not_read_to_it() {
        let mut zip = GzEncoder::new(Vec::new(), Compression::fast());
        io::copy(&mut io::repeat(0).take(UNPACKED_LIMIT + (1 << 20)), &mut zip).unwrap();
        assert!(check(&zip.finish().unwrap(), &chart("1.2.0")).unwrap_err().contains("more than 100 MiB"));
    }
}
