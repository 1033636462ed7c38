//! Fixed addresses of the nodes, their routers and name servers.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;

use toml::de::DeTable;

use super::super::cidr::{Cidr, CidrError};
use super::{Found, Text, key_span, sections, text, texts};
use crate::parts::role::FOUNDER;

/// A node's fixed address.
pub(super) struct Fixed {
    pub(super) cidr: Cidr,
    pub(super) span: Range<usize>,
    pub(super) master: bool,
}

/// Gives the fixed addresses that are right.
pub(super) fn check(root: &DeTable<'_>, found: &mut Found) -> Vec<Fixed> {
    let mut all: Vec<Fixed> = Vec::new();
    let mut seen = BTreeMap::<IpAddr, Range<usize>>::new();
    for node in sections(root, "nodes") {
        for server in texts(node, "dns") {
            if server.value.parse::<IpAddr>().is_err() {
                let problem = found.mistake(server.span, format!("`{}` is not an IP address", server.value));
                problem.help("name servers are given by address, such as \"192.168.1.1\", one an entry");
            }
        }
        let Some(address) = text(node, "address") else {
            without_address(node, found);
            continue;
        };
        let cidr = check_address(&address, found);
        check_gateway(node, &address, cidr, found);
        let Some(cidr) = cidr else { continue };
        if let Some(first) = seen.get(&cidr.address) {
            let problem = found.mistake(address.span.clone(), format!("two nodes have the address {}", cidr.address));
            problem.also(first.clone(), "the first");
        } else {
            seen.insert(cidr.address, address.span.clone());
        }
        let master = text(node, "role").is_some_and(|r| r.value == FOUNDER);
        all.push(Fixed { cidr, span: address.span, master });
    }
    out_of_reach(&all, found);
    all
}

fn check_address(address: &Text<'_>, found: &mut Found) -> Option<Cidr> {
    // What people write who want none.
    if ["dhcp", "auto"].contains(&address.value.to_lowercase().as_str()) {
        found.mistake(address.span.clone(), "an address is missing").help("for DHCP leave the line out");
        return None;
    }
    let cidr = parse(address, "192.168.1.10/24", found)?;
    let why = match cidr.address {
        a if a.is_unspecified() || a.is_loopback() || a.is_multicast() => Some("an address that no node can have"),
        IpAddr::V4(a) if a.is_broadcast() => Some("an address that no node can have"),
        a => cidr.reserved(a),
    };
    if let Some(why) = why {
        let problem = found.mistake(address.span.clone(), format!("{} is {why}", cidr.address));
        if cidr.reserved(cidr.address).is_some() {
            problem.help(format!("give the node another address of {}", cidr.network()));
        }
        return None;
    }
    Some(cidr)
}

/// Says what is wrong when it is none.
pub(super) fn parse(text: &Text<'_>, example: &str, found: &mut Found) -> Option<Cidr> {
    let error = match text.value.parse::<Cidr>() {
        Ok(cidr) => return Some(cidr),
        Err(error) => error,
    };
    let problem = found.mistake(text.span.clone(), format!("{error} (in `{}`)", text.value));
    match error {
        CidrError::Address(_) => problem.message = format!("`{}` is not an IP address with prefix length", text.value),
        CidrError::NoPrefix(_) => problem.message = format!("`{}` lacks its prefix length", text.value),
        CidrError::Prefix { .. } => {}
    }
    problem.help(match error {
        CidrError::NoPrefix(IpAddr::V4(a)) => format!("`{a}/24` when the netmask is 255.255.255.0"),
        CidrError::NoPrefix(IpAddr::V6(a)) => format!("`{a}/64` in most networks"),
        CidrError::Prefix { netmask: Some(bits), ref given, .. } => format!("write the netmask {given} as `/{bits}`"),
        CidrError::Prefix { most, .. } => format!("a prefix length is a number from 0 to {most}"),
        CidrError::Address(_) => format!("write it like `{example}`"),
    });
    None
}

fn check_gateway(node: &DeTable<'_>, address: &Text<'_>, cidr: Option<Cidr>, found: &mut Found) {
    let Some(gateway) = text(node, "gateway") else {
        if !node.contains_key("gateway") {
            let problem = found.mistake(address.span.clone(), "a fixed address needs a `gateway`");
            problem.help("add gateway = \"…\", the address of the router; k3s does not start without a default route");
        }
        return;
    };
    let Ok(router) = gateway.value.parse::<IpAddr>() else {
        let problem = found.mistake(gateway.span, format!("`{}` is not an IP address", gateway.value));
        problem.help("write the router's address alone, such as `192.168.1.1`");
        return;
    };
    let Some(cidr) = cidr else { return };
    // IPv6 routers are mostly known by their link-local address, which is in every network.
    let link_local = matches!(router, IpAddr::V6(a) if a.is_unicast_link_local()) && cidr.address.is_ipv6();
    if router == cidr.address {
        let problem = found.mistake(gateway.span, "the node cannot be its own gateway");
        problem.also(address.span.clone(), "the node's address").help("write the address of the router");
    } else if !cidr.contains(router) && !link_local {
        let message = format!("the gateway {router} is not in the node's network {}", cidr.network());
        let problem = found.mistake(gateway.span, message);
        problem.also(address.span.clone(), "the node's address");
        problem
            .help("a node reaches only routers of its own network: mend the gateway, the address or its prefix length");
    } else if let Some(what) = cidr.reserved(router) {
        found.mistake(gateway.span, format!("the gateway {router} is {what}")).help("write the address of the router");
    }
}

/// With DHCP the router gives both, and these would have no effect.
fn without_address(node: &DeTable<'_>, found: &mut Found) {
    if node.contains_key("address") {
        return;
    }
    let dns = Some("dns").filter(|dns| !texts(node, dns).is_empty());
    for name in Some("gateway").into_iter().chain(dns) {
        let Some(span) = key_span(node, name) else { continue };
        let problem = found.mistake(span, format!("`{name}` without `address`"));
        problem.help("with DHCP the router says it by itself: take the line out, or add address = \"192.168.1.10/24\"");
    }
}

/// Nodes find the master by mDNS, which does not leave a network.
fn out_of_reach(all: &[Fixed], found: &mut Found) {
    let Some(master) = all.iter().find(|f| f.master) else { return };
    let apart = |f: &&Fixed| {
        f.cidr.address.is_ipv4() == master.cidr.address.is_ipv4() && f.cidr.network() != master.cidr.network()
    };
    for other in all.iter().filter(|f| !f.master).filter(apart) {
        let warning = found.warning(other.span.clone(), "this node is in another network than the master");
        warning.also(master.span.clone(), "the master's address");
        warning.help("the master is found as NAME.local, which routers do not pass on");
    }
}
