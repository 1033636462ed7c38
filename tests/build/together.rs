//! Parallel and repeated builds.

use std::process::Stdio;

use crate::network::forget;
use crate::{Bench, build, fails, mirror_of, run, same, shared, stderr, succeeds};

#[test]
fn a_second_build_downloads_no_package_and_gives_the_same_bytes() {
    let bench = Bench::new();
    let cache = bench.cold();
    let (first, second) = (bench.image(), bench.dir.path().join("out/second.img"));
    let pair = [&first, &second].map(|image| {
        let mut command = build(&bench.server, &cache, image);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });
    for child in pair {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    same(&first, &second);
    let packages = |seen: &[labimg_testkit::http_server::Seen]| seen.iter().filter(|s| s.path.contains(".deb")).count();
    let seen = bench.server.seen();
    assert_eq!(packages(&seen), shared().packages.len(), "each package once for both");

    // Time zone, language and home folder are not in the image.
    let third = bench.dir.path().join("out/third.img");
    succeeds(
        build(&bench.server, &cache, &third)
            .env("TZ", "Asia/Kathmandu")
            .env("LANG", "de_DE.UTF-8")
            .env("HOME", "/nowhere"),
    );
    same(&first, &third);
    let again = &bench.server.seen()[seen.len()..];
    let paths: Vec<_> = again.iter().map(|s| s.path.as_str()).collect();
    assert!(paths.len() == 3 && paths.iter().all(|path| path.ends_with("/InRelease")), "{paths:?}");
}

#[test]
fn a_cache_that_may_only_be_read() {
    let bench = Bench::new();
    let cache = bench.warm();
    let modes = |mode: &str| {
        let changed =
            run(std::process::Command::new("find").arg(&cache).args(["-type", "d", "-exec", "chmod", mode, "{}", "+"]));
        assert!(changed.status.success(), "{}", stderr(&changed));
    };
    modes("a-w");
    succeeds(&mut build(&shared().server, &cache, &bench.image()));
    same(&bench.image(), &shared().image);

    let package = &shared().packages[0];
    modes("u+w");
    forget(&cache, package);
    modes("a-w");
    let missing = format!("`{} {}`", package.name, package.version);
    fails(&mut bench.build(&cache), 1, &["may not be written and lacks", &missing, "--cache"]);
    modes("u+w");
}

#[test]
fn a_build_tells_programs_what_it_does() {
    let bench = Bench::new();
    let output = succeeds(bench.build(&bench.warm()).args(["--json", "--hostname", "node-7"]));
    let results: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let result = &results["images"][0];
    assert_eq!(result["image"], bench.image().to_str().unwrap());
    assert_eq!((&result["hostname"], &result["login"]), (&"node-7".into(), &true.into()));
    assert_eq!(result["size"], bench.image().metadata().unwrap().len());
    assert_eq!(result["packages"], shared().packages.len());
    let mut phases = Vec::new();
    for line in stderr(&output).lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        if event["event"] == "end" {
            phases.push(event["text"].as_str().unwrap().to_owned());
        }
    }
    for phase in ["Reading packages", "Configuring", "Writing ext4"] {
        assert!(phases.iter().any(|p| p == phase), "{phases:?}");
    }
    let failed = fails(
        bench.build(&bench.dir.path().join("cache")).args(["--json", "--package", "htopp"]),
        2,
        &["did you mean `htop`"],
    );
    let last: serde_json::Value = serde_json::from_str(failed.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["code"]), (&"error".into(), &2.into()));

    // Without a key it is built with a warning.
    let mut command = crate::labimg();
    command.args(["build", "--quiet", "--board", "virt", "--role", "worker", "--mirror", &mirror_of(&bench.server)]);
    command.arg("--cache").arg(bench.dir.path().join("cache")).arg("-o").arg(bench.image());
    assert!(stderr(&succeeds(&mut command)).contains("nobody can log in"));
}
