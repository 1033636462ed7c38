//! Wi-Fi: which names and passphrases there are, and the file that `wpa_supplicant` reads. `usr/lib/labimg/wifi.sh` writes the same
//! file on the node, from `labimg.conf`.

use std::num::NonZeroU32;

use ring::pbkdf2;

/// Countries whose radio rules the kernel knows, a code a line; `#` begins a comment. The node reads the same file.
const COUNTRIES: &str = include_str!("../overlays/common/usr/lib/labimg/countries");

/// IEEE 802.11-2020, annex J.4.1: how often the hash of a passphrase is hashed.
const ROUNDS: NonZeroU32 = NonZeroU32::MIN.saturating_add(4095);

/// Why this is no name of a network, if so: IEEE 802.11 allows any 1 to 32 bytes.
#[must_use]
pub fn ssid_fault(ssid: &str) -> Option<String> {
    let bytes = ssid.len();
    if !(1..=32).contains(&bytes) {
        Some(format!("the name of a Wi-Fi network has 1 to 32 bytes, not {bytes}"))
    } else if ssid.contains(|c: char| c.is_ascii_control()) {
        Some("a control character is in the name of the Wi-Fi network".to_owned())
    } else {
        None
    }
}

/// Why this is neither a passphrase (IEEE 802.11: 8 to 63 characters of ASCII) nor a key, if so.
#[must_use]
pub fn passphrase_fault(passphrase: &str) -> Option<String> {
    let characters = passphrase.chars().count();
    if is_key(passphrase) {
        None
    } else if !passphrase.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        Some("a Wi-Fi passphrase has plain letters, digits, signs and blanks only (ASCII)".to_owned())
    } else if !(8..=63).contains(&characters) {
        Some(format!("a Wi-Fi passphrase has 8 to 63 characters, or 64 hexadecimal digits, not {characters}"))
    } else {
        None
    }
}

/// Whether this is the key itself, which a passphrase and a network's name are otherwise made into.
fn is_key(passphrase: &str) -> bool {
    passphrase.len() == 64 && passphrase.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Whether the kernel knows radio rules of this country; capital and small letters are the same.
#[must_use]
pub fn is_country(code: &str) -> bool {
    COUNTRIES.lines().any(|line| line.eq_ignore_ascii_case(code)) && !code.starts_with('#')
}

/// A `wpa_supplicant.conf(5)` for one network, open without a passphrase. Nothing in it is in quotes, so that any character may be in name
/// and passphrase.
#[must_use]
pub fn wpa_supplicant(ssid: &str, passphrase: Option<&str>, country: &str) -> String {
    let country = country.to_ascii_uppercase();
    let ssid_digits = digits(ssid.as_bytes());
    let secret = match passphrase {
        None => "\tkey_mgmt=NONE\n".to_owned(),
        // WPA3 knows no such key.
        Some(key) if is_key(key) => {
            format!("\tkey_mgmt=WPA-PSK WPA-PSK-SHA256\n\tieee80211w=1\n\tpsk={}\n", key.to_ascii_lowercase())
        }
        // WPA3 if the access point and the chip support it, else WPA2.
        Some(passphrase) => {
            let mut key = [0; 32];
            pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA1, ROUNDS, ssid.as_bytes(), passphrase.as_bytes(), &mut key);
            format!(
                "\tkey_mgmt=WPA-PSK WPA-PSK-SHA256 SAE\n\tieee80211w=1\n\tpsk={}\n\tsae_password={}\n",
                digits(&key),
                digits(passphrase.as_bytes())
            )
        }
    };
    format!(
        "# Written by labimg.\nctrl_interface=/run/wpa_supplicant\ncountry={country}\nnetwork={{\n\tssid={ssid_digits}\n\t\
         scan_ssid=1\n{secret}}}\n"
    )
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_passphrases_are_written_in_digits() {
        let text = wpa_supplicant("Café \"1\"", Some("a\"b c#d\\e"), "de");
        for line in ["country=DE\n", "ssid=436166c3a920223122\n", "sae_password=612262206323645c65\n"] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(!text.contains('"'), "{text}");
        assert!(wpa_supplicant("a", None, "DE").contains("key_mgmt=NONE\n}\n"));
    }

    /// The test vectors of IEEE 802.11-2020, annex J.4.3.
    #[test]
    fn keys_are_made_of_passphrase_and_name() {
        for (ssid, passphrase, key) in [
            ("IEEE", "password", "f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e"),
            ("ThisIsASSID", "ThisIsAPassword", "0dc0d6eb90555ed6419756b9a15ec3e3209b63df707dd508d14581f8982721af"),
        ] {
            assert!(wpa_supplicant(ssid, Some(passphrase), "DE").contains(&format!("\tpsk={key}\n")), "{ssid}");
        }
        let key = "0123456789ABCDEF".repeat(4);
        let text = wpa_supplicant("a", Some(&key), "DE");
        assert!(text.contains(&format!("\tpsk={}\n}}\n", key.to_lowercase())) && !text.contains("SAE"), "{text}");
    }

    #[test]
    fn countries_are_those_with_radio_rules() {
        for code in ["DE", "us", "Gb"] {
            assert!(is_country(code), "{code}");
        }
        for code in ["", "UK", "EU", "ZZ", "00", "DEU", "#"] {
            assert!(!is_country(code), "{code}");
        }
    }
}
