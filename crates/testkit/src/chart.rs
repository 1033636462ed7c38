//! Archives of Helm charts.

use flate2::Compression;
use flate2::write::GzEncoder;

/// The archive of a chart without templates; always the same bytes.
pub fn archive(name: &str, version: &str) -> Vec<u8> {
    archive_with(name, version, &[])
}

/// The same with these files in its folder: path and text.
pub fn archive_with(name: &str, version: &str, files: &[(&str, &str)]) -> Vec<u8> {
    let head = format!("apiVersion: v2\nname: {name}\nversion: {version}\n");
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, text) in [("Chart.yaml", head.as_str())].iter().chain(files) {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("{name}/{path}"), text.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}
