//! What packages put into a tree: `cargo run -p labimg-debian --example tree -- FILE.deb…`.

#![allow(clippy::print_stdout, reason = "an example shows what it made")]

use std::path::Path;

use labimg_debian::deb::{Deb, decompress};
use labimg_tree::Blob;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for path in std::env::args().skip(1) {
        // The plain form that the store keeps: uncompressed, with all headers in one place.
        let mut plain = tempfile::NamedTempFile::new()?;
        decompress(Path::new(&path), plain.as_file_mut())?;
        let deb = Deb::from_plain(Blob::open(plain.path())?)?;
        let scripts: Vec<&str> = ["preinst", "postinst", "prerm", "postrm"]
            .into_iter()
            .filter(|name| deb.control.contains_key(*name))
            .collect();
        println!("{path}: {} entries, scripts: {}", deb.entries.len(), scripts.join(" "));
        for entry in &deb.entries {
            let size = deb.content(entry).map_or(0, |content| content.len());
            println!("{size:>10} {:04o} {}", entry.mode, String::from_utf8_lossy(&entry.path));
        }
    }
    Ok(())
}
