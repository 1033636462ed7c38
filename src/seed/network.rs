//! The seed's network files: a fixed address for systemd-networkd, a wireless network for `wpa_supplicant`.

use std::fmt::Write;

use crate::lab::Wifi;

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

/// A `wpa_supplicant.conf(5)` for one network.
#[must_use]
pub fn wpa_supplicant(wifi: &Wifi) -> String {
    // Any name is safe in hexadecimal. A quoted passphrase ends at the line's last quote, so it may contain quotes.
    let ssid: String = wifi.ssid.bytes().map(|b| format!("{b:02x}")).collect();
    let secret = match &wifi.passphrase {
        // WPA3 if the access point and the chip support it, else WPA2.
        Some(passphrase) => format!("\tkey_mgmt=WPA-PSK SAE\n\tieee80211w=1\n\tpsk=\"{passphrase}\"\n"),
        None => "\tkey_mgmt=NONE\n".to_owned(),
    };
    format!(
        "ctrl_interface=/run/wpa_supplicant\ncountry={}\nnetwork={{\n\tssid={ssid}\n\tscan_ssid=1\n{secret}}}\n",
        wifi.country
    )
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

    #[test]
    fn odd_names_and_passphrases_are_kept() {
        let wifi = Wifi {
            ssid: "Café \"1\"".to_owned(),
            passphrase: Some("a\"b c#d\\e".to_owned()),
            country: "DE".to_owned(),
        };
        let text = wpa_supplicant(&wifi);
        assert!(text.contains("ssid=436166c3a920223122\n") && text.contains("psk=\"a\"b c#d\\e\"\n"), "{text}");
        assert!(wpa_supplicant(&Wifi { passphrase: None, ..wifi }).contains("key_mgmt=NONE\n"));
    }
}
