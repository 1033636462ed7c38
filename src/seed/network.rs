//! The seed's network file: a fixed address for systemd-networkd.

use std::fmt::Write;

/// A `systemd.network(5)` file that gives the interface `port` a fixed address.
#[must_use]
pub fn fixed_address(port: &str, address: &str, gateway: Option<&str>, dns: &[String]) -> String {
    // mDNS stays on: nodes find each other by name, also with fixed addresses.
    let mut text = format!(
        "# The node's fixed address.\n[Match]\nName={port}\n\n[Network]\nAddress={address}\nIPv6AcceptRA=yes\nMulticastDNS=yes\n"
    );
    let gateway = gateway.into_iter();
    let servers =
        if dns.is_empty() { gateway.clone().collect() } else { dns.iter().map(String::as_str).collect::<Vec<_>>() };
    // Writing to a String cannot fail.
    for gateway in gateway {
        let _ = writeln!(text, "Gateway={gateway}");
    }
    for server in servers {
        let _ = writeln!(text, "DNS={server}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_router_serves_names_unless_others_are_named() {
        let text = fixed_address("eth0", "192.168.1.10/24", Some("192.168.1.1"), &[]);
        assert!(text.ends_with(
            "Address=192.168.1.10/24\nIPv6AcceptRA=yes\nMulticastDNS=yes\nGateway=192.168.1.1\nDNS=192.168.1.1\n"
        ));
        let text = fixed_address("eth0", "192.168.1.10/24", Some("192.168.1.1"), &["9.9.9.9".to_owned()]);
        assert!(text.ends_with("Gateway=192.168.1.1\nDNS=9.9.9.9\n"), "{text}");
    }
}
