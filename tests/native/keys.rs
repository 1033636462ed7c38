//! SSH keys: what `tests/values.toml` says of them is what the sshd of an image does.

use std::fmt::Write;

use labimg_testkit::checks::minutes;
use labimg_testkit::command::quote;
use labimg_testkit::machine::Machine;
use labimg_testkit::native::Network;

use crate::lab::{ready, shared};

/// A line as the table has it, with names of keys in braces, and whether somebody can log in with it.
struct Row {
    line: String,
    good: bool,
}

fn table() -> (toml::Table, Vec<Row>) {
    let table: toml::Table = toml::from_str(include_str!("../values.toml")).unwrap();
    let rows = table["values"]["ssh_key"].as_array().unwrap().iter().map(|row| Row {
        line: row["value"].as_str().unwrap().to_owned(),
        good: row.get("no").is_none() && row.get("lab").is_none(),
    });
    let rows = rows.collect();
    (table["keys"].as_table().unwrap().clone(), rows)
}

/// A second sshd with the node's settings, which does not slow down who fails. Each line becomes the only one of
/// `authorized_keys`; `MINE` in it is a key at hand, `CERTIFICATE` its certificate, which it has signed itself.
const LOG_IN: &str = r#"
cd /root
ssh-keygen -q -t ed25519 -N '' -f id
ssh-keygen -q -s id -I me -n lab id.pub
/usr/sbin/sshd -p 2222 -o ListenAddress=127.0.0.1 -o PerSourcePenalties=no -o PidFile=/root/sshd.pid
mine=$(cut -d' ' -f1,2 id.pub) certificate=$(cut -d' ' -f1,2 id-cert.pub)
while IFS= read -r line; do
    printf '%s\n' "$line" | sed "s|MINE|$mine|; s|CERTIFICATE|$certificate|" > /home/lab/.ssh/authorized_keys
    ssh -q -n -p 2222 -i id -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes -o IdentitiesOnly=yes \
        lab@127.0.0.1 true > /dev/null
    # A command of the key may fail; 255 is that of a login that failed.
    if [ $? = 255 ]; then echo no; else echo yes; fi
done
kill "$(cat sshd.pid)"
"#;

/// Whether the line is the whole of a key's.
const LOOK: &str = r#"
while IFS= read -r line; do
    printf '%s\n' "$line" > /root/key
    if ssh-keygen -l -f /root/key > /dev/null 2>&1; then echo yes; else echo no; fi
done
"#;

#[test]
fn keys_that_are_taken_let_in_and_others_do_not() {
    if !ready("keys::keys_that_are_taken_let_in_and_others_do_not") {
        return;
    }
    let (keys, rows) = table();
    let lab = shared();
    let network = Network::start();
    let card = lab.flash(&network, "worker1");
    let mut node = lab.boot(&network, &card);
    node.wait_for_ssh(minutes(6));
    let settings = node.run("sudo sshd -T");
    assert!(settings.lines().any(|line| line == "requiredrsasize 1024"), "{settings}");
    assert!(!settings.contains("ssh-dss"), "{settings}");

    // The private half of the table's keys is not known: the data of each are looked at, and options are tried with another key.
    let (whole, tried): (Vec<Row>, Vec<Row>) = rows
        .into_iter()
        .filter(|row| row.line.contains('{'))
        .filter(|row| !row.line.contains("\"key\""))
        .partition(|row| !row.line.contains("{ed25519}") && !row.line.contains("{certificate}"));
    assert!(whole.len() > 15 && tried.len() > 50);
    let filled = |line: &str| {
        let mut line = line.replace("{ed25519}", "MINE").replace("{certificate}", "CERTIFICATE");
        for (name, key) in &keys {
            line = line.replace(&format!("{{{name}}}"), key.as_str().unwrap());
        }
        line
    };
    let mut wrong = String::new();
    for (script, rows) in [(LOOK, whole), (LOG_IN, tried)] {
        let lines: String = rows.iter().map(|row| filled(&row.line) + "\n").collect();
        let answers = node.run_inside(&format!("printf %s {} | {{ {script} }}", quote(&lines)));
        let answers: Vec<&str> = answers.lines().collect();
        assert_eq!(answers.len(), rows.len(), "{answers:?}");
        for (row, answer) in rows.iter().zip(answers) {
            if row.good != (answer == "yes") {
                writeln!(wrong, "{}: sshd says {answer}", row.line).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    node.power_off(minutes(1));
}
