//! Every command that writes, killed (SIGKILL) at random times: nothing half written has a final name, what was there
//! before is there still or has been replaced by what was to come, and the same command again gives what it would have
//! given at once, without anything left over. `scripts/test --long` kills at many more times.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use labimg_testkit::random::{Random, long, seed};

use crate::archive::hex;
use crate::{Session, copy, damage, golden};

/// A command, and what its folder has before.
struct Case {
    name: &'static str,
    args: Vec<&'static str>,
    /// Whether it takes the options that say where packages come from.
    from: bool,
    /// Makes the folder from the one that all share.
    prepare: fn(&Path),
    /// Whether what it makes is random.
    is_random: bool,
}

fn nothing(_: &Path) {}

fn without_cache(dir: &Path) {
    std::fs::remove_dir_all(dir.join("cache")).unwrap();
}

fn cases() -> Vec<Case> {
    let plain = |name, args: &[&'static str], prepare| Case {
        name,
        args: args.to_vec(),
        from: true,
        prepare,
        is_random: false,
    };
    let home = |name, args: &[&'static str]| Case { from: false, ..plain(name, args, nothing) };
    vec![
        home("new", &["new", "attic", "--board", "virt"]),
        plain("lock", &["lock", "--lab", "home"], |dir| {
            without_cache(dir);
            std::fs::remove_file(dir.join("home/labimg.lock")).unwrap();
        }),
        plain("update", &["update", "--lab", "home"], |dir| {
            let lock = dir.join("home/labimg.lock");
            let text = std::fs::read_to_string(&lock).unwrap();
            std::fs::write(
                &lock,
                text.replace("name = \"nano\"\nversion = \"1.1\"", "name = \"nano\"\nversion = \"0.9\""),
            )
            .unwrap();
        }),
        plain("build", &["build", "worker-1", "--lab", "home", "--generic", "-o", "out.img"], without_cache),
        plain("build over others", &["build", "--lab", "home", "--locked", "-o", "home"], |dir| {
            for name in ["master-virt.img", "worker-1-virt.img", "worker-1-virt.img.json"] {
                std::fs::write(dir.join("home").join(name), "an older one").unwrap();
            }
        }),
        Case {
            is_random: true,
            ..plain("build with new secrets", &["build", "worker-1", "--lab", "home", "-o", "out.img"], |dir| {
                std::fs::remove_dir_all(dir.join("home/secrets")).unwrap();
                std::fs::remove_file(dir.join("home/kubeconfig")).unwrap();
            })
        },
        Case { is_random: true, ..home("rotate", &["secrets", "rotate", "--all", "--yes", "--lab", "home"]) },
        Case { is_random: true, ..home("kubeconfig", &["secrets", "kubeconfig", "--lab", "home"]) },
        home("export", &["export", "worker.img", "--tar", "worker.tar"]),
        Case {
            prepare: |dir| std::fs::write(dir.join("worker.tar"), "an older one").unwrap(),
            ..home("export over another", &["export", "worker.img", "--tar", "worker.tar"])
        },
        home("prune", &["cache", "prune", "--size", "0", "--cache", "cache"]),
    ]
}

/// The folder that all cases begin with: a lab with its lock, secrets and a cache, and an image.
fn folder() -> (Session, Vec<String>) {
    let session = Session::with_archive();
    let from = golden::lab_with_everything(&session);
    let from: Vec<String> = from.into_iter().skip_while(|option| option != "--mirror").collect();
    let run = |args: &[&str]| {
        let from: Vec<&str> = from.iter().map(String::as_str).collect();
        let output = session.unheard(&[args, &from, &["--quiet"]].concat());
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run(&["lock", "--lab", "home"]);
    run(&["build", "worker-1", "--lab", "home", "-o", "worker.img"]);
    // `build` only writes it for the master's image.
    run(&["build", "master", "--lab", "home", "-o", "master.img"]);
    for name in ["master.img", "master.img.json"] {
        std::fs::remove_file(session.path(name)).unwrap();
    }
    (session, from)
}

/// Files → hash of what is in them, without the cache, whose entries are checked when they are used.
fn content(dir: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() && name != "cache" {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "img") {
                let (size, pieces) = damage::content(&path);
                let pieces = pieces.into_iter().flat_map(|(at, bytes)| [at.to_le_bytes().to_vec(), bytes].concat());
                found.insert(name, hex(&[size.to_le_bytes().to_vec(), pieces.collect()].concat()));
            } else if name != "cache" && !name.ends_with("/.lock") {
                found.insert(name, hex(&std::fs::read(&path).unwrap()));
            }
        }
    }
    found
}

/// Whether a name says that its file is not finished.
fn is_unfinished(name: &str) -> bool {
    name.contains(".partial") || name.contains("/.new-")
}

/// Whether each run makes it anew.
fn is_secret(name: &str) -> bool {
    name.starts_with("home/secrets/") || name == "home/kubeconfig"
}

struct Bench {
    session: Session,
    from: Vec<String>,
}

impl Bench {
    /// A folder of its own for one round.
    fn round(&self, case: &Case) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(self.session.dir.path()).unwrap() {
            let from = entry.unwrap().path();
            let to = dir.path().join(from.file_name().unwrap());
            if from.is_dir() {
                copy(&from, &to);
            } else if from.extension().is_some_and(|e| e == "img") {
                assert!(Command::new("cp").arg("--sparse=always").args([from, to]).status().unwrap().success());
            } else {
                std::fs::copy(from, to).unwrap();
            }
        }
        golden::private(&dir.path().join("home/secrets"));
        (case.prepare)(dir.path());
        dir
    }

    fn command(&self, dir: &Path, case: &Case) -> Command {
        let mut command = self.session.command();
        command.current_dir(dir).env("HOME", dir).args(&case.args).arg("--quiet");
        if case.from {
            command.args(&self.from);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// What a case gives at once, and how long it takes.
    fn undisturbed(&self, case: &Case) -> (BTreeMap<String, String>, Duration) {
        let (dir, begun) = (self.round(case), Instant::now());
        let output = self.command(dir.path(), case).output().unwrap();
        assert!(output.status.success(), "{}: {}", case.name, String::from_utf8_lossy(&output.stderr));
        (content(dir.path()), begun.elapsed())
    }

    /// Kills a case after a time; what is wrong then, and after the next run.
    fn kill(&self, case: &Case, whole: &BTreeMap<String, String>, after: Duration) -> Vec<String> {
        let dir = self.round(case);
        let before = content(dir.path());
        let mut child = self.command(dir.path(), case).spawn().unwrap();
        std::thread::sleep(after);
        child.kill().unwrap();
        let ended = child.wait_with_output().unwrap();
        let mut wrong = Vec::new();
        let found = content(dir.path());
        for (name, hash) in found.iter().filter(|(name, _)| !is_unfinished(name)) {
            let known = [&before, whole].iter().any(|all| all.get(name) == Some(hash));
            if !known && !(case.is_random && (is_secret(name) || name.starts_with("out.img"))) {
                wrong.push(format!("{name} is neither the old one nor the new one"));
            }
        }
        for name in before.keys().filter(|name| !(found.contains_key(*name) || case.is_random && is_secret(name))) {
            wrong.push(format!("{name} is gone"));
        }
        let again = self.command(dir.path(), case).output().unwrap();
        let said = String::from_utf8_lossy(&again.stderr);
        // A lab that is whole is not made again.
        let is_made = case.name == "new" && said.contains("left as it is");
        if !again.status.success() && !is_made {
            wrong.push(format!("the next run fails: {said}"));
        }
        let now = content(dir.path());
        if case.is_random {
            // A rotation that was cut leaves two folders of old secrets, or one that is its own.
            let kept = |all: &BTreeMap<String, String>| -> Vec<String> {
                all.keys().filter(|name| !name.contains("/old-")).cloned().collect()
            };
            if kept(&now) != kept(whole) {
                wrong.push(format!("other files: {:?}, not {:?}", kept(&now), kept(whole)));
            }
            let shown =
                self.session.command().current_dir(dir.path()).args(["secrets", "show", "--lab", "home"]).output();
            if !shown.as_ref().unwrap().status.success() {
                wrong.push(format!("bad secrets: {}", String::from_utf8_lossy(&shown.unwrap().stderr)));
            }
        } else if now != *whole {
            let names = now.keys().chain(whole.keys()).filter(|name| now.get(*name) != whole.get(*name));
            wrong.push(format!("differs from an undisturbed run: {:?}", names.collect::<Vec<_>>()));
        }
        let sound =
            self.session.command().current_dir(dir.path()).args(["cache", "verify", "--cache", "cache"]).output();
        let sound = sound.unwrap();
        if case.from && !sound.status.success() {
            wrong.push(format!("a wrong cache: {}", String::from_utf8_lossy(&sound.stdout)));
        }
        if !wrong.is_empty() {
            wrong.push(format!("{}, {}", ended.status, String::from_utf8_lossy(&ended.stderr)));
        }
        wrong
    }
}

#[test]
fn every_command_that_writes_may_be_killed_at_any_time() {
    let (session, from) = folder();
    let bench = Bench { session, from };
    let seed = seed();
    let rounds = if long() { 60 } else { 1 };
    let (cases, wrong) = (Mutex::new(cases().into_iter().enumerate().collect::<Vec<_>>()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while let Some((number, case)) = { cases.lock().unwrap().pop() } {
                    let mut random = Random::new(seed.wrapping_mul(2 * number as u64 + 1) | 1);
                    // The first numbers follow from a small seed alone.
                    (0..10).for_each(|_| _ = random.below(2));
                    let (whole, took) = bench.undisturbed(&case);
                    for _ in 0..rounds {
                        let after = took * random.below(1000) as u32 / 1000;
                        let found = bench.kill(&case, &whole, after);
                        if !found.is_empty() {
                            let at = format!("{} killed after {after:?} of {took:?}", case.name);
                            wrong.lock().unwrap().push(format!("{at}: {found:#?}"));
                        }
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "LABIMG_TEST_SEED={seed}: {}", wrong.join("\n"));
}
