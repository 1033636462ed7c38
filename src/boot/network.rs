//! What a machine's network port is connected to, and its MAC address.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use labimg_tree::hash::Sha256;

/// What the network port is connected to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Network {
    /// QEMU's user network: a router just for this machine, with DHCP and access to the outside.
    #[default]
    User,
    /// Nothing: the cable is unplugged.
    None,
    /// The socket of another QEMU or of a switch, as `HOST:PORT`: Ethernet frames, each after its length (QEMU,
    /// "-netdev socket").
    Socket(String),
}

impl Network {
    /// Checks that something listens there: QEMU would silently start a machine without a network.
    ///
    /// # Errors
    /// When nothing does.
    pub fn check(&self) -> std::io::Result<()> {
        match self {
            Self::Socket(address) => std::net::TcpStream::connect(address).map(drop),
            Self::User | Self::None => Ok(()),
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "user" => Ok(Self::User),
            "none" => Ok(Self::None),
            _ => match text.rsplit_once(':') {
                Some((host, port)) if !host.is_empty() && !host.contains(',') && port.parse::<u16>().is_ok() => {
                    Ok(Self::Socket(text.to_owned()))
                }
                _ => Err(format!("`{text}` is not a network; write user, none or HOST:PORT")),
            },
        }
    }
}

/// The Ethernet (MAC) address of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The address of the machine with the disk at this path. So machines on one network have different addresses, and
    /// each keeps its own, by which routers know it.
    #[must_use]
    pub fn of_disk(disk: &Path) -> Self {
        let hash = Sha256::of(disk.as_os_str().as_encoded_bytes());
        let [a, b, c, ..] = *hash.as_bytes();
        // The first three bytes are those of QEMU's machines.
        Self([0x52, 0x54, 0, a, b, c])
    }
}

impl FromStr for Mac {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is not the address of one network port; write 52:54:00:12:34:56");
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()));
            *byte = u8::from_str_radix(part.ok_or_else(bad)?, 16).map_err(|_| bad())?;
        }
        // The lowest bit of the first byte marks a multicast address.
        if parts.next().is_some() || bytes[0] & 1 == 1 || bytes == [0; 6] {
            return Err(bad());
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: Vec<String> = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        f.write_str(&bytes.join(":"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        assert_eq!("user".parse(), Ok(Network::User));
        assert_eq!("none".parse(), Ok(Network::None));
        assert_eq!("127.0.0.1:1234".parse(), Ok(Network::Socket("127.0.0.1:1234".to_owned())));
        for wrong in ["", "tap", ":1", "host:", "host:65536", "a,b:1"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_socket_that_nobody_listens_on_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let network = Network::Socket(listener.local_addr().unwrap().to_string());
        assert!(network.check().is_ok());
        drop(listener);
        assert!(network.check().is_err());
    }

    #[test]
    fn addresses() {
        let mac: Mac = "52:54:00:aB:00:01".parse().unwrap();
        assert_eq!(mac.to_string(), "52:54:00:ab:00:01");
        for wrong in [
            "",
            "52:54:00:ab:00",
            "52:54:00:ab:00:01:02",
            "52:54:0:ab:00:01",
            "+2:54:00:ab:00:01",
            "01:00:5e:00:00:fb",
            "00:00:00:00:00:00",
        ] {
            assert!(wrong.parse::<Mac>().is_err(), "{wrong}");
        }
        assert_eq!(Mac::of_disk(Path::new("/a")), Mac::of_disk(Path::new("/a")));
        assert_ne!(Mac::of_disk(Path::new("/a")), Mac::of_disk(Path::new("/b")));
    }
}
