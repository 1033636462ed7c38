//! Fetches a file into a cache by its hash: `cargo run -p labimg-store --example fetch -- CACHE URL SHA256 SIZE`.

#![allow(clippy::print_stdout, reason = "an example shows what it made")]

use std::path::Path;

use labimg_store::http::Http;
use labimg_store::{Request, Store};
use labimg_tree::progress::Silent;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [cache, url, sha256, size] = arguments.as_slice() else {
        return Err("usage: fetch CACHE URL SHA256 SIZE".into());
    };
    let store = Store::open(Path::new(cache))?;
    let request = Request { name: url.clone(), sha256: sha256.parse()?, size: size.parse()?, urls: vec![url.clone()] };
    // At most four downloads at once; here there is only one.
    store.fetch(std::slice::from_ref(&request), 4, &Http::new()?, &Silent)?;
    let blob = store.fetched(&request.sha256, &Silent)?;
    println!("{} bytes in {}", blob.len(), store.dir().display());
    Ok(())
}
