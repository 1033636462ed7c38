//! Host names.

use labimg_tree::fault::{Fault, FaultKind};

/// An invalid host name.
#[derive(Debug, thiserror::Error)]
#[error("--hostname {name}: {why}")]
pub struct HostnameError {
    /// The name given.
    pub name: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Fault for HostnameError {
    fn kind(&self) -> FaultKind {
        FaultKind::Usage
    }
}

/// RFC 1123, section 2.1, one label: the names that mDNS and Kubernetes accept for a node.
pub(crate) fn check_hostname(name: &str) -> Result<(), HostnameError> {
    let fail = |why| Err(HostnameError { name: name.to_owned(), why });
    if name.is_empty() || name.len() > 63 {
        return fail("a host name has 1 to 63 characters");
    }
    if name.contains('.') {
        return fail("give the name without a domain: the node is found as NAME.local");
    }
    if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return fail("only the letters a to z, digits and `-` are allowed (Kubernetes takes no capitals)");
    }
    if name.starts_with('-') || name.ends_with('-') {
        return fail("a host name begins and ends with a letter or digit");
    }
    Ok(())
}

/// True for a DNS domain in lower case (RFC 1123, section 2.1): such labels with dots between.
pub(crate) fn is_dns_domain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(|label| check_hostname(label).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_host_can_have() {
        for name in ["", "-a", "a-", "A", "a_b", &"x".repeat(64)] {
            assert!(check_hostname(name).is_err(), "{name}");
        }
    }

    #[test]
    fn domains_are_made_of_such_names() {
        for good in ["home", "lab.home.arpa", "1.x-y"] {
            assert!(is_dns_domain(good), "{good}");
        }
        for bad in ["", "a..b", "a.", ".a", "A.b", "a.-b", &["x"; 128].join(".")] {
            assert!(!is_dns_domain(bad), "{bad}");
        }
    }
}
