//! The master's disk and who may mount it.

use toml::de::{DeTable, DeValue};

use super::addresses::{self, Fixed};
use super::{Found, Text, section, sections, text, texts};

/// Labels of file systems that every node has besides the data: a card or a database must never pass for the data.
const TAKEN: [&str; 3] = ["labimg-k3s", "root", "firmware"];

pub(super) fn check(root: &DeTable<'_>, fixed: &[Fixed], found: &mut Found) {
    let Some(storage) = section(root, "storage") else { return };
    if let Some(label) = text(storage, "label") {
        check_label(&label, found);
    }
    if let Some(rule) = section(storage, "disk") {
        check_rule(rule, found);
    }
    check_networks(&texts(storage, "networks"), fixed, sections(root, "nodes").len(), found);
}

/// ext4 keeps 16 bytes; the characters are those that udev and shells leave alone.
fn check_label(label: &Text<'_>, found: &mut Found) {
    let value = label.value;
    if !(1..=16).contains(&value.len()) {
        let problem = found.mistake(label.span.clone(), format!("a label has 1 to 16 bytes, not {}", value.len()));
        problem.help("ext4 has no room for more");
    } else if !value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        let problem = found.mistake(label.span.clone(), format!("`{value}` cannot be the label of a disk"));
        problem.help("use letters, digits, `-`, `_` and `.`");
    } else if TAKEN.contains(&value.to_ascii_lowercase().as_str()) {
        let problem =
            found.mistake(label.span.clone(), format!("another file system of the node is labelled `{value}`"));
        problem.help("choose another label, such as `labimg-data`");
    }
}

fn check_rule(rule: &DeTable<'_>, found: &mut Found) {
    if let Some(serial) = text(rule, "serial") {
        // What udev keeps of a serial number; it writes `_` for the rest.
        let good = |b: u8| b.is_ascii_alphanumeric() || b"#+-.:=@_".contains(&b);
        if serial.value.is_empty() || !serial.value.bytes().all(good) {
            let problem =
                found.mistake(serial.span, format!("`{}` cannot be the serial number of a disk", serial.value));
            problem.help("`lsblk -o NAME,SERIAL` shows it; write `_` for a space");
        }
    }
    if let Some(size) = rule.get("size")
        && let DeValue::Integer(number) = size.get_ref()
        && let Ok(bytes) = u64::from_str_radix(number.as_str(), number.radix())
        && (bytes == 0 || bytes % 512 != 0)
    {
        let problem = found.mistake(size.span(), "no disk has this size: disks have sectors of 512 bytes");
        problem.help("write the exact number of bytes that `lsblk -b` shows");
    }
}

fn check_networks(networks: &[Text<'_>], fixed: &[Fixed], nodes: usize, found: &mut Found) {
    let mut good = Vec::new();
    for network in networks {
        let Some(cidr) = addresses::parse(network, "192.168.1.0/24", found) else { continue };
        let whole = cidr.network();
        if whole == cidr {
            good.push(cidr);
        } else {
            let problem =
                found.mistake(network.span.clone(), format!("`{}` is an address, not a network", network.value));
            problem.help(format!(
                "its network is `{whole}`; for this address alone write `/{}`",
                if cidr.address.is_ipv4() { 32 } else { 128 }
            ));
        }
        if cidr.prefix == 0 {
            let warning = found.warning(network.span.clone(), "whoever reaches the master may write to its disk");
            warning.help("NFS asks for no password: name the networks of the nodes only");
        }
    }
    if networks.is_empty() || good.len() < networks.len() {
        return;
    }
    for (network, text) in good.iter().zip(networks) {
        let inside = || fixed.iter().map(|f| f.cidr).filter(|node| network.contains(node.address));
        // With only fixed addresses it is known what the nodes need.
        let widest = inside().min_by_key(|node| node.prefix);
        if let (true, Some(widest)) = (fixed.len() == nodes, widest)
            && network.prefix < widest.prefix
            && network.prefix > 0
            && inside().all(|node| node.network() == widest.network())
        {
            let warning =
                found.warning(text.span.clone(), format!("`{}` is wider than the nodes' network", text.value));
            warning.help(format!("NFS asks for no password: write `{}`, which all nodes are in", widest.network()));
        }
    }
    // The master has the disk itself.
    let outside = |f: &&Fixed| !f.master && !good.iter().any(|n| n.contains(f.cidr.address));
    for node in fixed.iter().filter(outside) {
        let warning =
            found.warning(node.span.clone(), "this node is in none of `storage.networks` and cannot mount the disk");
        warning.also(networks[0].span.clone(), "may mount it");
    }
}
