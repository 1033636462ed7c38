//! What `labimg check` advises, followed: afterwards it says something else, or nothing. Each hint about a file in `bad/` has
//! a row here that follows it, and each command in a hint is run as it stands there.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use labimg_testkit::command::{quote, succeed};
use labimg_testkit::http_server::Server;
use labimg_testkit::{judges, skipped};

use crate::{KEY, labimg, stderr, stdout};

/// How a hint is followed.
enum Follow {
    /// What the hint has in backquotes takes the place of what the message has in backquotes.
    Take,
    /// The line is taken out.
    Out,
    /// A part of the line becomes another, which the hint names or asks for.
    Write(&'static str, &'static str),
    /// A line is added below.
    Add(&'static str),
    /// Lines are added at the top.
    Top(&'static str),
    /// Lines are added at the end.
    End(&'static str),
}
use Follow::{Add, End, Out, Take, Top, Write};

/// The file in `bad/`, how the message about it begins, and what follows the hint.
const ROWS: &[(&str, &str, Follow)] = &[
    ("addresses", "`192.168.1.256/24` is not", Write("192.168.1.256/24", "192.168.1.10/24")),
    ("addresses", "`192.168.1.11` lacks", Take),
    ("addresses", "the gateway 192.168.2.1", Write("192.168.2.1", "192.168.1.1")),
    ("addresses", "a fixed address needs", Add("gateway = \"192.168.1.1\"")),
    ("addresses", "192.168.1.255 is", Write("192.168.1.255", "192.168.1.15")),
    ("empty", "`name` is missing", Top("name = \"home\"")),
    ("empty", "there are no nodes", End("[[nodes]]\nname = \"master\"\nrole = \"master\"\nboard = \"rpi4\"")),
    ("k3s-config", "labimg sets `token`", Out),
    ("k3s-config", "k3s has no setting `node_label`", Take),
    ("k3s-config", "labimg sets `data-dir`", Out),
    ("k3s-flags", "k3s has no setting `disabled`", Take),
    ("k3s-flags", "k3s has no packaged component `treafik`", Take),
    ("k3s-flags", "a cluster of labimg cannot have", Out),
    ("k3s-flags", "k3s v1.36.5 does not have", Out),
    ("k3s-flags", "`flannel-backend` cannot be", Write("\"wireguard\"", "\"wireguard-native\"")),
    ("k3s-flags", "`kubelet-arg` must be a list", Write("{ max-pods = \"50\" }", "[\"max-pods=50\"]")),
    ("k3s-flags", "the taint `dedicated=db`", Write("dedicated=db", "dedicated=db:NoSchedule")),
    ("k3s-flags", "`disable` is an option of `k3s server`", Out),
    (
        "k3s-flags",
        "a node may not give itself",
        Write("node-role.kubernetes.io/worker=true", "lab.example/worker=true"),
    ),
    ("k3s-flags", "the label `disk` has no value", Write("\"disk\"", "\"disk=true\"")),
    ("k3s", "`1.36.5` is not", Take),
    ("k3s", "this is not a URL", Write("mirror.example/k3s", "https://mirror.example/k3s/releases")),
    ("keys", "there is no key file", Write("keys/nobody.pub", "~/.ssh/id_ed25519.pub")),
    ("keys", "nobody can log in with this key: the data", Write("ssh-ed25519 AAAAC3NzaC1lZDI1 me@home", "FILE.pub")),
    ("keys", ". is a folder", Write("\".\"", "\"~/.ssh/id_ed25519.pub\"")),
    ("keys", "nobody can log in with this key: labimg does not fetch", Write("gh:me", "keys.pub")),
    ("keys", "nobody can log in with this key: this public key", Write("---- BEGIN SSH2 PUBLIC KEY ----", "FILE.pub")),
    (
        "keys",
        "nobody can log in with this key: this is a certificate",
        Write("ssh-rsa-cert-v01@openssh.com AAAAHHNzaC1yc2EtY2VydC12MDFAb3BlbnNzaC5jb20 me@home", "FILE.pub"),
    ),
    ("keys", "nobody can log in with this key: `form`", Write("form=", "from=")),
    ("keys", "nobody can log in with this key: `from=", Write("192.168.1.10/24", "192.168.1.0/24")),
    ("missing", "`name` is missing", Top("name = \"home\"")),
    ("missing", "`ssid` is missing", Add("ssid = \"home\"")),
    ("missing", "`country` is missing", Add("country = \"DE\"")),
    ("missing", "`role` is missing", Add("role = \"master\"")),
    ("missing", "`board` is missing", Add("board = \"rpi4\"")),
    ("names", "`My Lab` cannot", Take),
    ("names", "`.local` is for", Write("lab.local", "lab.home.arpa")),
    ("names", "unknown time zone", Take),
    ("names", "`de_DE` is not", Take),
    ("names", "`pi_1` cannot", Take),
    ("names", "unknown role", Take),
    ("names", "unknown board", Take),
    ("networks", "the pod network", Write("10.43.128.0/17", "10.42.0.0/16")),
    ("networks", "10.43.0.0/24 of", Write("10.43.0.0/24", "192.168.1.0/24")),
    ("networks", "the node's address 10.43.200.10 is in the pod", Write("10.43.200.10", "192.168.1.10")),
    ("networks", "the node's address 10.43.200.10 is in the service", Write("10.43.200.10", "192.168.1.10")),
    ("networks", "the name server", Write("10.43.0.10", "192.168.1.1")),
    ("no-master", "this worker has no", Write("worker", "master")),
    ("no-nodes", "there are no nodes", End("[[nodes]]\nname = \"master\"\nrole = \"master\"\nboard = \"rpi4\"")),
    ("storage", "`disk` cannot", Write("first", "only")),
    ("storage", "`my USB disk` cannot", Write("my USB disk", "my-USB_disk.1")),
    ("storage", "`192.168.1.10/24` is an address", Take),
    ("storage", "`lan` is not", Take),
    ("syntax", "not valid TOML: a text must", Write("home", "\"home\"")),
    ("syntax", "not valid TOML: a text ends", Write("Etc/UTC", "Etc/UTC\"")),
    ("syntax", "not valid TOML: unclosed", Write("[storage", "[storage]")),
    ("twice", "this is in the file twice", Out),
    ("twins", "two nodes are called", Write("master", "master-2")),
    ("two-masters", "there can be only one", Write("master", "server")),
    ("types", "`name` must", Write("5", "\"5\"")),
    ("types", "`ssh_keys` must", Write("\"~/.ssh/id_ed25519.pub\"", "[\"~/.ssh/id_ed25519.pub\"]")),
    ("types", "an entry of", Write("3", "\"three\"")),
    ("types", "`size` must", Write("\"2 TB\"", "2000000000000")),
    ("types", "`nodes` must", Write("[nodes]", "[[nodes]]")),
    ("unknown-settings", "unknown setting `timezoen`", Take),
    ("unknown-settings", "unknown setting `hostname`", Take),
    ("unknown-settings", "unknown setting `role_`", Take),
    ("unknown-settings", "unknown setting `psk`", Take),
    ("unknown-settings", "unknown setting `locale`", Out),
    ("wifi", "a Wi-Fi passphrase has", Out),
    ("wifi", "`UK` is not", Take),
];

/// What is to be mended next, as these files have several mistakes at the same place.
const NEXT: &[&str] = &[
    "this is in the file twice",
    "the gateway 10.43.200.1",
    "the router 10.43.200.1",
    "the name server",
    "there is no key file",
    "`role` is",
    "`board` is",
];

/// The texts in backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The mistakes that `check` finds in a folder.
fn mistakes(dir: &Path) -> Vec<Value> {
    let output = labimg(dir, &["check", "--json"]);
    let said = stderr(&output);
    let Some(error) = said.lines().last().filter(|_| !output.status.success()) else { return Vec::new() };
    let error: Value = serde_json::from_str(error).unwrap_or_else(|e| panic!("{e}: {said}"));
    assert!(error["problems"].is_array(), "{said}");
    error["problems"].as_array().unwrap().clone()
}

/// Replaces a part of a line, at or after a column if it is there.
fn replaced(line: &str, column: usize, from: &str, to: &str) -> Option<String> {
    let at = line.char_indices().nth(column - 1).map_or(0, |(at, _)| at);
    let found = line[at..].find(from).map(|found| at + found).or_else(|| line.find(from))?;
    Some(format!("{}{to}{}", &line[..found], &line[found + from.len()..]))
}

fn follow(text: &str, mistake: &Value, how: &Follow) -> String {
    let number = |field: &str| usize::try_from(mistake[field].as_u64().unwrap()).unwrap();
    let (line, column) = (number("line"), number("column"));
    let (message, help) = (mistake["message"].as_str().unwrap(), mistake["help"].as_str().unwrap());
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let there = || lines.get(line - 1).cloned().unwrap_or_default();
    let written = |from: &str, to: &str| {
        replaced(&there(), column, from, to).unwrap_or_else(|| panic!("no `{from}` in {}", there()))
    };
    let of_message = quoted(message).find(|word| there().contains(*word));
    match how {
        Take => lines[line - 1] = written(of_message.unwrap(), quoted(help).next().unwrap()),
        Write(from, to) => lines[line - 1] = written(from, to),
        Out => drop(lines.remove(line - 1)),
        Add(more) => lines.insert(line, (*more).to_owned()),
        Top(more) => lines.insert(0, (*more).to_owned()),
        End(more) => lines.push((*more).to_owned()),
    }
    lines.join("\n") + "\n"
}

/// Runs a command of a hint in a folder, which is the home as well, with the program of this test as `labimg`.
fn shell(dir: &Path, command: &str) {
    let program = Path::new(env!("CARGO_BIN_EXE_labimg")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    succeed(Command::new("sh").args(["-ec", command]).current_dir(dir).env("HOME", dir).env("PATH", path));
}

/// The commands in a hint.
fn commands(help: &str) -> Vec<&str> {
    // The word before the first space, and `kubectl`, for which there is no cluster here.
    let programs = ["labimg", "ssh-keygen", "curl", "chmod", "mkdir", "gpg", "jq", "puttygen"];
    let is_command = |text: &&str| text.split_once(' ').is_some_and(|(program, _)| programs.contains(&program));
    quoted(help).filter(is_command).collect()
}

/// Runs a command of a hint, with what the user would put in the places of its capitals.
fn run(dir: &Path, command: &str) {
    match command.split_once(' ').unwrap().0 {
        // It asks for a file and a passphrase.
        "ssh-keygen" if command == "ssh-keygen -t ed25519" => {
            shell(dir, &format!("rm -rf .ssh; mkdir -m 700 .ssh; {command} -q -N '' -f .ssh/id_ed25519"));
        }
        "curl" => {
            let server = Server::start();
            server.file("/me.keys", format!("{KEY}\n"));
            shell(dir, &command.replace("https://github.com", &server.url("")));
        }
        _ => shell(dir, command),
    }
}

#[test]
fn hints_about_lab_files_are_right() {
    if judges::missing(&["ssh-keygen", "curl"]) {
        return;
    }
    let bad = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/bad");
    let mut names: Vec<_> = std::fs::read_dir(&bad).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let (mut used, mut wrong) = (Vec::new(), Vec::new());
    for path in names {
        let (name, text) = (path.file_stem().unwrap().to_str().unwrap(), std::fs::read_to_string(&path).unwrap());
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let keys = "ssh-keygen -q -t ed25519 -N '' -f key; ssh-keygen -e -f key.pub > FILE; cp key.pub FILE.pub";
        shell(dir, keys);
        std::fs::write(dir.join("lab.toml"), &text).unwrap();
        let before = mistakes(dir);
        for mistake in before.iter().filter(|mistake| mistake["help"].is_string()) {
            let (message, help) = (mistake["message"].as_str().unwrap(), mistake["help"].as_str().unwrap());
            let row = ROWS.iter().position(|(file, begin, _)| *file == name && message.starts_with(begin));
            let Some(row) = row else {
                wrong.push(format!("{name}: nobody follows `{help}` ({message})"));
                continue;
            };
            used.push(row);
            for command in commands(help) {
                run(dir, command);
            }
            std::fs::write(dir.join("lab.toml"), follow(&text, mistake, &ROWS[row].2)).unwrap();
            let after = mistakes(dir);
            if after.iter().any(|other| other["message"] == message && other["line"] == mistake["line"]) {
                wrong.push(format!("{name}: `{help}` was followed, and the same is said again: {message}"));
            }
            let is_new = |other: &&Value| !before.iter().any(|known| known["message"] == other["message"]);
            let is_next =
                |other: &Value| NEXT.iter().any(|begin| other["message"].as_str().unwrap().starts_with(begin));
            // Behind a mistake of syntax are others that could not be seen.
            let mut new = after.iter().filter(is_new).filter(|_| !message.starts_with("not valid TOML"));
            if let Some(other) = new.find(|other| !is_next(other)) {
                wrong.push(format!("{name}: `{help}` was followed, and leads to {other:?}"));
            }
            std::fs::write(dir.join("lab.toml"), &text).unwrap();
        }
    }
    for (number, (file, begin, _)) in ROWS.iter().enumerate().filter(|(number, _)| !used.contains(number)) {
        wrong.push(format!("row {number} ({file}: {begin}) belongs to no hint"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Files of keys in other forms, made by a command; the hint's own command makes `FILE.pub` of `FILE`.
const FOREIGN: &[(&[&str], &str)] = &[
    (&["ssh-keygen"], "ssh-keygen -q -t ed25519 -N '' -f key; ssh-keygen -e -f key.pub > FILE"),
    (&["ssh-keygen"], "ssh-keygen -q -t rsa -N '' -f key; ssh-keygen -e -m PEM -f key.pub > FILE"),
    (&["ssh-keygen"], "ssh-keygen -q -t rsa -N '' -f key; ssh-keygen -e -m PKCS8 -f key.pub > FILE"),
    (&["ssh-keygen"], "ssh-keygen -q -t ed25519 -N '' -f FILE; rm FILE.pub"),
    (&["ssh-keygen", "puttygen"], "ssh-keygen -q -t rsa -N '' -f key; puttygen key -o FILE"),
    (&["ssh-keygen", "jq"], "ssh-keygen -q -t ed25519 -N '' -f key; jq -nR '[{id: 1, key: input}]' < key.pub > FILE"),
    (&["ssh-keygen", "jq"], "ssh-keygen -q -t ed25519 -N '' -f key; jq -nR '{id: 1, key: input}' < key.pub > FILE"),
    (
        &["gpg", "gpgconf"],
        "mkdir -m 700 .gnupg; gpg -q --batch --passphrase '' --quick-gen-key NAME ed25519 auth; gpg -a --export NAME > FILE",
    ),
];

#[test]
fn hints_about_keys_in_other_forms_are_right() {
    for (programs, made) in FOREIGN {
        let lacking = programs.iter().find(|program| !Path::new("/usr/bin").join(program).exists());
        if let Some(program) = lacking {
            skipped("a key in another form, converted", &format!("no {program}"));
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        shell(dir, made);
        let lab = |file: &str| {
            format!(
                "name = \"home\"\nssh_keys = [\"{file}\"]\nnodes = [{{ name = \"master\", role = \"master\", board = \"rpi4\" }}]\n"
            )
        };
        std::fs::write(dir.join("lab.toml"), lab("FILE")).unwrap();
        let found = mistakes(dir);
        let help = found[0]["help"].as_str().unwrap();
        let [command] = commands(help)[..] else { panic!("{made}: one command in {found:?}") };
        run(dir, command);
        if programs.contains(&"gpgconf") {
            shell(dir, "gpgconf --kill all");
        }
        std::fs::write(dir.join("lab.toml"), lab("FILE.pub")).unwrap();
        let after = mistakes(dir);
        assert!(after.is_empty(), "{made}: `{command}`: {after:?}");
    }
}

/// What is wrong with a folder, made by a command in the lab's folder, whose name is no single word; what to run, and what
/// makes its hint's command end well.
#[test]
fn hints_about_folders_are_right() {
    let name = "My Lab's";
    for (made, asks) in [
        ("mkdir -m 755 secrets", &["secrets", "show", "--lab", name][..]),
        ("rm lab.toml", &["check", name]),
        ("rm lab.toml", &["lock", "--lab", name]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        shell(dir, &format!("labimg new {}; cd {0}; {made}", quote(name)));
        let before = stderr(&labimg(dir, asks));
        let help =
            before.lines().find_map(|line| line.trim().strip_prefix("help: ")).unwrap_or_else(|| panic!("{before}"));
        let [command] = commands(help)[..] else { panic!("{made}: one command in {before}") };
        shell(dir, command);
        let after = labimg(dir, asks);
        assert_ne!(stderr(&after), before, "{command}: {}", stdout(&after));
    }
}
