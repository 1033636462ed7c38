//! Names that the mirror does not have.

use crate::{Bench, build, fails, shared};

#[test]
fn packages_and_keyrings_that_do_not_exist() {
    let bench = Bench::new();
    let cache = bench.warm();
    let (server, image) = (&shared().server, bench.image());
    let with = |more: &[&str]| {
        let mut command = build(server, &cache, &image);
        command.args(more);
        command
    };
    fails(&mut with(&["--package", "htopp"]), 2, &["htopp", "did you mean `htop`"]);
    fails(&mut with(&["--package", "bash=1.0"]), 2, &["bash"]);
    fails(&mut with(&["--package", "no package"]), 2, &["no package"]);
    fails(
        &mut with(&["--package", "exim4-daemon-light", "--package", "postfix"]),
        2,
        &["cannot be installed together"],
    );
    fails(&mut with(&["--keyring", "/nowhere/keys.pgp"]), 2, &["/nowhere/keys.pgp"]);
    let none = bench.dir.path().join("none.pgp");
    std::fs::write(&none, "no key").unwrap();
    fails(&mut with(&["--keyring", none.to_str().unwrap()]), 2, &["none.pgp"]);
    assert_eq!(bench.outputs(), Vec::<String>::new());
}
