//! One table of values (`tests/values.toml`), and the answers that `lab.toml`, `labimg.conf` and the command line give to each.
//! What more than one accepts has the same result.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex};

use labimg::lab::{self, Lab, LabFolder};
use labimg::layers::accounts::Accounts;
use labimg::parts::Parts;
use labimg::plan::target::{Flags, alone, of_lab};
use labimg::seed::{ARCHIVE, Seed, SeedRequest};
use labimg_testkit::{judges, seed_files};
use labimg_tree::Tree;
use labimg_tree::fault::{Fault, whole};
use serde::Deserialize;

use crate::root::{Root, text};

#[derive(Deserialize)]
struct Table {
    keys: BTreeMap<String, String>,
    values: BTreeMap<String, Vec<Row>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    value: String,
    no: Option<String>,
    lab: Option<String>,
    conf: Option<String>,
    flag: Option<String>,
    why: Option<String>,
    router: Option<String>,
}

/// What comes out of a value, or why it is refused.
type Answer = Result<String, String>;

/// Boards and roles, which take a while to read.
static PARTS: LazyLock<Parts> = LazyLock::new(|| Parts::built_in().unwrap());

fn table() -> Table {
    let mut table: Table = toml::from_str(include_str!("../values.toml")).unwrap();
    for row in table.values.values_mut().flatten() {
        for (name, key) in &table.keys {
            row.value = row.value.replace(&format!("{{{name}}}"), key);
        }
    }
    table
}

/// A valid `lab.toml` but for the value.
fn lab_text(kind: &str, row: &Row) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let value = quoted(&row.value);
    let network = |address: &str, rest: &str| format!("address = {address}\n{rest}\n");
    let (name, node) = match kind {
        "host_name" => (value.clone(), String::new()),
        "address" => {
            let router = quoted(row.router.as_deref().unwrap_or("192.168.1.1"));
            ("\"node\"".to_owned(), network(&value, &format!("gateway = {router}")))
        }
        "gateway" => ("\"node\"".to_owned(), network(&quoted(own_address(&row.value)), &format!("gateway = {value}"))),
        "dns" => {
            let rest = format!("gateway = \"192.168.1.1\"\ndns = [{value}]");
            ("\"node\"".to_owned(), network("\"192.168.1.10/24\"", &rest))
        }
        "gateway_alone" => ("\"node\"".to_owned(), format!("gateway = {value}\n")),
        "dns_alone" => ("\"node\"".to_owned(), format!("dns = [{value}]\n")),
        _ => ("\"node\"".to_owned(), String::new()),
    };
    let keys = match kind {
        "ssh_key" => format!("ssh_keys = [{value}]\n"),
        "package" => format!("packages = [{value}]\n"),
        "user" => format!("user = {value}\n"),
        _ => String::new(),
    };
    let wifi = match kind {
        "wifi_ssid" => format!("ssid = {value}\npassphrase = \"12345678\"\ncountry = \"DE\""),
        "wifi_passphrase" => format!("ssid = \"a\"\npassphrase = {value}\ncountry = \"DE\""),
        "wifi_country" => format!("ssid = \"a\"\ncountry = {value}"),
        _ => String::new(),
    };
    let wifi = if wifi.is_empty() { wifi } else { format!("[wifi]\n{wifi}\n") };
    format!("name = \"home\"\n{keys}{wifi}[[nodes]]\nname = {name}\nrole = \"master\"\nboard = \"rpi4\"\n{node}")
}

/// The same as lines of `labimg.conf`.
fn conf_text(kind: &str, row: &Row) -> String {
    let value = &row.value;
    match kind {
        "host_name" => format!("hostname={value}\n"),
        "ssh_key" => format!("ssh_key={value}\n"),
        // One pair of quotes is taken off, and so keeps blanks.
        "wifi_ssid" => format!("wifi_ssid=\"{value}\"\nwifi_passphrase=12345678\nwifi_country=DE\n"),
        "wifi_passphrase" => format!("wifi_ssid=a\nwifi_passphrase=\"{value}\"\nwifi_country=DE\n"),
        "wifi_country" => format!("wifi_ssid=a\nwifi_country={value}\n"),
        "address" => format!("address={value}\ngateway={}\n", row.router.as_deref().unwrap_or("192.168.1.1")),
        "gateway" => format!("address={}\ngateway={value}\n", own_address(value)),
        "dns" => format!("address=192.168.1.10/24\ngateway=192.168.1.1\ndns={value}\n"),
        "gateway_alone" => format!("gateway={value}\n"),
        "dns_alone" => format!("dns={value}\n"),
        _ => panic!("nobody knows how to ask for {kind}"),
    }
}

fn own_address(router: &str) -> &'static str {
    if router.contains(':') { "fd00::10/64" } else { "192.168.1.10/24" }
}

/// The file that a value ends up in, and what of it counts.
fn result(kind: &str, read: impl Fn(&str) -> String) -> String {
    match kind {
        "host_name" => read("etc/hostname"),
        "ssh_key" => read("home/lab/.ssh/authorized_keys"),
        "wifi_ssid" | "wifi_passphrase" | "wifi_country" => read("etc/wpa_supplicant/wpa_supplicant-wlan0.conf"),
        // Which port it is for differs: labimg.conf does not know the board.
        _ => {
            let text = read("etc/systemd/network/10-labimg.network");
            let lines = text.lines().filter(|l| ["Address=", "Gateway=", "DNS="].iter().any(|key| l.starts_with(key)));
            lines.map(|line| format!("{line}\n")).collect()
        }
    }
}

/// A file of the seed of a lab's first node.
pub fn seed_file(lab: &Lab, path: &str) -> String {
    let folder = LabFolder { dir: PathBuf::new(), lab: lab.clone(), parts: PARTS.clone() };
    let flags = Flags { suite: "trixie".to_owned(), ..Flags::default() };
    let request = SeedRequest {
        target: &of_lab(&folder, &[], &flags).unwrap()[0],
        secrets: None,
        accounts: &Accounts::default(),
        date: 7,
        image: "0-02",
    };
    let mut firmware = Tree::new(7);
    Seed::make(&request).unwrap().put(&mut firmware).unwrap();
    let mut files = seed_files(&firmware.read(ARCHIVE).unwrap());
    files.remove(path).unwrap_or_else(|| panic!("the seed has no {path}"))
}

fn ask_lab(kind: &str, row: &Row) -> Answer {
    match lab::parse(&lab_text(kind, row), None, &PARTS) {
        Ok((lab, _)) if kind == "package" => Ok(lab.packages.concat()),
        Ok((lab, _)) if kind == "user" => Ok(lab.user),
        Ok((lab, _)) => Ok(result(kind, |path| seed_file(&lab, path))),
        Err(problems) => Err(problems
            .iter()
            .map(|p| format!("{} ({})\n", p.message, p.help.as_deref().unwrap_or_default()))
            .collect()),
    }
}

/// The answer of a node's `conf` to these lines.
pub fn ask_conf(lines: &str, kind: &str) -> Answer {
    let root = Root::new();
    root.write("boot/firmware/labimg.conf", lines);
    let output = root.run("conf", &[]);
    assert!(output.status.success(), "{lines}: {}", text(&output));
    let says = text(&output);
    if says.contains("warning: ") { Err(says) } else { Ok(result(kind, |path| root.read(path))) }
}

/// The answers to lines with keys, which one file may all hold: line by line.
fn ask_conf_for_keys(rows: &[&Row]) -> Vec<Answer> {
    let root = Root::new();
    root.write("boot/firmware/labimg.conf", rows.iter().map(|row| conf_text("ssh_key", row)).collect::<String>());
    let output = root.run("conf", &[]);
    assert!(output.status.success(), "{}", text(&output));
    let (says, keys) = (text(&output), root.read("home/lab/.ssh/authorized_keys"));
    let answer = |(at, row): (usize, &&Row)| {
        let line = format!("warning: labimg.conf, line {}: ", at + 1);
        let key = row.value.trim();
        match says.lines().find_map(|said| said.strip_prefix(&line)) {
            Some(why) => Err(why.to_owned()),
            None if keys.lines().any(|line| line == key) => Ok(format!("{key}\n")),
            None => Err("nothing is said, and the key is not there".to_owned()),
        }
    };
    rows.iter().enumerate().map(answer).collect()
}

fn ask_flag(kind: &str, row: &Row) -> Answer {
    let mut flags = Flags { suite: "trixie".to_owned(), ..Flags::default() };
    let hostname = (kind == "host_name").then_some(row.value.as_str());
    match kind {
        "ssh_key" => flags.ssh_keys = vec![row.value.clone()],
        "package" => flags.packages = vec![row.value.clone()],
        _ => {}
    }
    match alone("rpi4", "master", hostname, &flags, &PARTS) {
        Ok(target) if kind == "host_name" => Ok(format!("{}\n", target.node.name)),
        Ok(target) if kind == "package" => {
            let asked = target.plan.packages.iter().filter(|(_, why)| why.contains("--package"));
            Ok(asked.map(|(name, _)| name.as_str()).collect())
        }
        Ok(target) => Ok(target.ssh_keys.iter().map(|key| format!("{key}\n")).collect()),
        Err(error) => Err(format!("{} ({})", whole(&error), error.help().unwrap_or_default())),
    }
}

/// Where the answers to a row differ from what it says, or from each other.
fn wrong_answers(kind: &str, row: &Row, conf: Option<Answer>) -> String {
    let mut answers = vec![("lab", &row.lab, ask_lab(kind, row))];
    if !["package", "user"].contains(&kind) {
        answers.push(("conf", &row.conf, conf.unwrap_or_else(|| ask_conf(&conf_text(kind, row), kind))));
    }
    if ["host_name", "package", "ssh_key"].contains(&kind) {
        answers.push(("flag", &row.flag, ask_flag(kind, row)));
    }
    let mut wrong = String::new();
    for (place, own, answer) in &answers {
        let expected = own.as_ref().or(row.no.as_ref()).filter(|word| !word.is_empty());
        let right = match (expected, answer) {
            (None, Ok(_)) => true,
            (Some(word), Err(said)) => said.contains(word.as_str()),
            _ => false,
        };
        if !right {
            writeln!(wrong, "{kind} {:?}, {place}: {answer:?}, not {expected:?}", row.value).unwrap();
        }
    }
    let good: Vec<&String> = answers.iter().filter_map(|a| a.2.as_ref().ok()).collect();
    if good.windows(2).any(|two| two[0] != two[1]) {
        writeln!(wrong, "{kind} {:?} becomes {good:#?}", row.value).unwrap();
    }
    if (good.is_empty() || good.len() == answers.len()) != row.why.is_none() {
        writeln!(wrong, "{kind} {:?}: `why` goes with answers that differ, and only with them", row.value).unwrap();
    }
    wrong
}

#[test]
fn a_value_has_one_answer_wherever_it_is_given() {
    if judges::missing(&["ssh-keygen", "wpa_passphrase"]) {
        return;
    }
    let table = table();
    let keys: Vec<&Row> = table.values["ssh_key"].iter().collect();
    let of_keys = keys.iter().zip(ask_conf_for_keys(&keys)).map(|(row, answer)| ("ssh_key", *row, Some(answer)));
    let others = table.values.iter().filter(|(kind, _)| *kind != "ssh_key");
    let others = others.flat_map(|(kind, rows)| rows.iter().map(|row| (kind.as_str(), row, None)));
    let rows: Vec<_> = of_keys.chain(others).collect();
    assert!(rows.len() > 150);
    let (rows, wrong) = (Mutex::new(rows.into_iter()), Mutex::new(String::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some((kind, row, conf)) = rows.lock().unwrap().next() else { return };
                    let said = wrong_answers(kind, row, conf);
                    wrong.lock().unwrap().push_str(&said);
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{wrong}");
}
