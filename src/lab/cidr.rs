//! Addresses with a prefix length (RFC 4632 section 3.1, RFC 4291 section 2.3), such as `192.168.1.10/24`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use labimg_tree::fault::{Fault, FaultKind};

/// An address and the length of its network's prefix in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    /// The address.
    pub address: IpAddr,
    /// At most 32 with IPv4, 128 with IPv6.
    pub prefix: u8,
}

/// Why a text is not an address with a prefix length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    /// The part before the slash is not an address.
    #[error("`{0}` is not an IP address")]
    Address(String),
    /// There is no slash.
    #[error("the prefix length is missing")]
    NoPrefix(IpAddr),
    /// The part after the slash is not a prefix length.
    #[error("`/{given}` is not a prefix length")]
    Prefix {
        /// The part as given.
        given: String,
        /// The largest prefix length of the address family.
        most: u8,
        /// The equivalent prefix length, if it is a netmask.
        netmask: Option<u8>,
    },
}

impl Fault for CidrError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Address(_) | Self::NoPrefix(_) | Self::Prefix { .. } => FaultKind::Configuration,
        }
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let address = |text: &str| text.parse::<IpAddr>().map_err(|_| CidrError::Address(text.to_owned()));
        let Some((before, given)) = text.split_once('/') else {
            return Err(CidrError::NoPrefix(address(text)?));
        };
        let address = address(before)?;
        let most = width(address);
        // `u8::from_str` would accept `+8`, and others read `010` as 8.
        let digits = given.bytes().all(|b| b.is_ascii_digit()) && (given.len() == 1 || !given.starts_with('0'));
        match given.parse().ok().filter(|prefix| digits && *prefix <= most) {
            Some(prefix) => Ok(Self { address, prefix }),
            None => Err(CidrError::Prefix { given: given.to_owned(), most, netmask: netmask(given) }),
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Cidr {
    /// The address's network: all bits after the prefix are zero.
    #[must_use]
    pub fn network(self) -> Self {
        let bits = bits(self.address) & self.mask();
        let address = match self.address {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(bits as u32)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(bits)),
        };
        Self { address, ..self }
    }

    /// Whether `address` has the same family and is in the network.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4() && (bits(self.address) ^ bits(address)) & self.mask() == 0
    }

    /// True if the network contains the whole network of `other`.
    #[must_use]
    pub fn holds(self, other: Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.address)
    }

    /// True if the two networks have an address in common.
    #[must_use]
    pub fn meets(self, other: Self) -> bool {
        self.holds(other) || other.holds(self)
    }

    /// The reason if no node of the network can have the address: it is the first (the network itself; with IPv6 that
    /// of all routers, RFC 4291 section 2.6.1) or, with IPv4, the last (broadcast). Networks with one or two addresses
    /// have no reserved ones.
    #[must_use]
    pub fn reserved(self, address: IpAddr) -> Option<&'static str> {
        if !self.contains(address) || self.prefix + 1 >= width(self.address) {
            return None;
        }
        let host = bits(address) & !self.mask() & all(self.address);
        match address {
            _ if host == 0 => Some("the network's own"),
            IpAddr::V4(_) if host == !self.mask() & all(self.address) => Some("the network's broadcast address"),
            _ => None,
        }
    }

    /// A mask with the prefix's bits set and all others clear.
    fn mask(self) -> u128 {
        let all = all(self.address);
        all & !all.checked_shr(u32::from(self.prefix)).unwrap_or(0)
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn all(address: IpAddr) -> u128 {
    if address.is_ipv4() { u128::from(u32::MAX) } else { u128::MAX }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => a.to_bits().into(),
        IpAddr::V6(a) => a.to_bits(),
    }
}

/// `255.255.255.0` → 24.
fn netmask(text: &str) -> Option<u8> {
    let bits = text.parse::<Ipv4Addr>().ok()?.to_bits();
    (bits.leading_ones() + bits.trailing_zeros() == 32).then(|| bits.leading_ones() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_and_their_reserved_addresses() {
        assert_eq!(cidr("192.168.1.77/24").network().to_string(), "192.168.1.0/24");
        assert_eq!(cidr("10.1.2.3/0").network().to_string(), "0.0.0.0/0");
        assert_eq!(cidr("fd00:1::5/64").network().to_string(), "fd00:1::/64");
        let reserved = |net: &str, address: &str| cidr(net).reserved(address.parse().unwrap()).is_some();
        assert!(reserved("192.168.1.0/24", "192.168.1.0") && reserved("192.168.1.9/24", "192.168.1.255"));
        assert!(!reserved("192.168.1.9/24", "192.168.1.1") && !reserved("192.168.1.9/24", "192.168.2.0"));
        assert!(!reserved("192.168.1.0/31", "192.168.1.0") && !reserved("192.168.1.1/32", "192.168.1.1"));
        assert!(reserved("fd00::/64", "fd00::") && !reserved("fd00::/64", "fd00::ffff:ffff:ffff:ffff"));
        assert!(!cidr("0.0.0.0/0").contains("::1".parse().unwrap()));
    }

    #[test]
    fn networks_that_meet() {
        let (wide, narrow, other) = (cidr("10.0.0.0/8"), cidr("10.42.0.0/16"), cidr("10.43.0.0/16"));
        assert!(wide.holds(narrow) && !narrow.holds(wide) && narrow.holds(narrow));
        assert!(wide.meets(narrow) && narrow.meets(wide) && !narrow.meets(other));
        assert!(!cidr("::/0").meets(cidr("0.0.0.0/0")));
    }

    #[test]
    fn what_is_none_says_why() {
        let error = |text: &str| text.parse::<Cidr>().unwrap_err();
        assert_eq!(error("192.168.1.300/24"), CidrError::Address("192.168.1.300".to_owned()));
        assert_eq!(error("10.0.0.1"), CidrError::NoPrefix("10.0.0.1".parse().unwrap()));
        for (text, mask) in
            [("10.0.0.1/33", None), ("10.0.0.1/+8", None), ("10.0.0.1/08", None), ("10.0.0.1/255.255.0.0", Some(16))]
        {
            assert!(matches!(error(text), CidrError::Prefix { netmask, most: 32, .. } if netmask == mask), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_network_holds_its_addresses(bits: u128, v6: bool, prefix in 0u8..=128) {
            let address = if v6 { IpAddr::V6(bits.into()) } else { IpAddr::V4((bits as u32).into()) };
            let one = Cidr { address, prefix: prefix.min(width(address)) };
            let network = one.network();
            prop_assert!(network.contains(address) && one.contains(network.address));
            prop_assert_eq!(network.network(), network);
            prop_assert_eq!(one.to_string().parse::<Cidr>().unwrap(), one);
        }
    }
}
