//! Makes a small tree in layers and lists it: `cargo run -p labimg-tree --example list`.

#![allow(clippy::print_stdout, reason = "an example shows what it made")]

use labimg_tree::{Tree, TreeError, listing};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut tree = Tree::new(1_760_000_000);
    base(&mut tree)?;
    tree.begin_layer("overlay");
    // A layer may replace a file of an earlier layer.
    tree.write("etc/motd", 0o644, "hello\n")?;
    for line in listing(&tree) {
        println!("{}", line?);
    }
    for (path, _, inode) in tree.iter() {
        println!("{path} comes from {}", tree.layer_name(inode.layer));
    }
    Ok(())
}

fn base(tree: &mut Tree) -> Result<(), TreeError> {
    tree.begin_layer("base");
    tree.mkdir("usr/lib", 0o755)?;
    tree.symlink("lib", "usr/lib")?;
    tree.write("etc/motd", 0o644, "to be replaced\n")
}
