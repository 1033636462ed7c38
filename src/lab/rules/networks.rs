//! The networks of pods and services must not overlap each other or the network of the nodes.

use std::net::IpAddr;
use std::ops::Range;

use toml::de::DeTable;

use super::super::cidr::Cidr;
use super::addresses::{self, Fixed};
use super::{Found, Text, entries, section, sections, text, texts};

/// The network of pods when `cluster-cidr` does not say otherwise (docs.k3s.io, "Basic Network Options").
pub const PODS: &str = "10.42.0.0/16";

/// The purpose of a network in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Pods,
    Services,
}

/// A network inside the cluster.
struct Inner {
    what: Use,
    cidr: Cidr,
    /// Where it is set; `None` for the default of k3s.
    span: Option<Range<usize>>,
}

impl Use {
    const fn setting(self) -> &'static str {
        match self {
            Self::Pods => "cluster-cidr",
            Self::Services => "service-cidr",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Pods => "the pod network",
            Self::Services => "the service network",
        }
    }

    /// The default of k3s (docs.k3s.io, "Basic Network Options"), and alternatives.
    const fn candidates(self) -> [&'static str; 4] {
        match self {
            Self::Pods => [PODS, "10.52.0.0/16", "172.22.0.0/16", "10.62.0.0/16"],
            Self::Services => ["10.43.0.0/16", "10.53.0.0/16", "172.23.0.0/16", "10.63.0.0/16"],
        }
    }
}

impl Inner {
    /// With its name, and whether it is the default.
    fn described(&self) -> String {
        let default = if self.span.is_some() { "" } else { " (k3s' default)" };
        format!("{} {}{default}", self.what.name(), self.cidr)
    }

    /// A mistake because of this network, which is shown too when the user set it.
    fn mistake(&self, span: Range<usize>, message: String, help: impl Into<String>, found: &mut Found) {
        let problem = found.mistake(span, message);
        problem.help(help);
        if let Some(span) = &self.span {
            problem.also(span.clone(), self.what.name());
        }
    }
}

pub(super) fn check(root: &DeTable<'_>, fixed: &[Fixed], found: &mut Found) {
    let config = section(root, "k3s").and_then(|k3s| section(k3s, "server_config"));
    let mut inner = Vec::new();
    for what in [Use::Pods, Use::Services] {
        let given = config.map(|config| given(config, what.setting())).unwrap_or_default();
        if given.is_empty() {
            inner.extend(what.candidates()[0].parse().ok().map(|cidr| Inner { what, cidr, span: None }));
        }
        for one in &given {
            let Some(cidr) = addresses::parse(one, what.candidates()[0], found) else { continue };
            inner.push(Inner { what, cidr: cidr.network(), span: Some(one.span.clone()) });
        }
    }
    let checks = Checks { inner: &inner, fixed };
    checks.each_other(found);
    // Whoever sets the masks knows what they are for.
    if !config
        .is_some_and(|config| config.iter().any(|(key, _)| key.get_ref().starts_with("kube-controller-manager-arg")))
    {
        checks.room(sections(root, "nodes").len(), found);
    }
    checks.nodes(root, found);
    checks.exports(root, found);
    if let Some(config) = config {
        checks.dns(config, found);
    }
}

/// The values of a list; k3s splits each at commas.
fn given<'t>(config: &'t DeTable<'t>, setting: &str) -> Vec<Text<'t>> {
    let values = config.iter().filter(|(key, _)| key.get_ref().strip_suffix('+').unwrap_or(key.get_ref()) == setting);
    let split = |Text { value, span }: Text<'t>| {
        value.split(',').map(move |one| Text { value: one.trim(), span: span.clone() })
    };
    values.flat_map(|(_, value)| entries(value)).flat_map(split).collect()
}

struct Checks<'a> {
    inner: &'a [Inner],
    fixed: &'a [Fixed],
}

impl Checks<'_> {
    fn each_other(&self, found: &mut Found) {
        for (index, one) in self.inner.iter().enumerate() {
            for other in self.inner[..index].iter().filter(|other| other.cidr.meets(one.cidr)) {
                // The defaults do not overlap.
                let Some(span) = one.span.clone().or_else(|| other.span.clone()) else { continue };
                let message = format!("{} and {} overlap", other.described(), one.described());
                let problem = found.mistake(span.clone(), message);
                if let Some(first) = other.span.clone().filter(|first| *first != span) {
                    problem.also(first, other.what.name());
                }
                problem.help(self.instead(if one.span.is_some() { one } else { other }));
            }
        }
    }

    /// Kubernetes gives each node a part of the pod network, by default a /24 of IPv4 and a /64 of IPv6
    /// (kube-controller-manager, `--node-cidr-mask-size-ipv4` and `-ipv6`).
    fn room(&self, nodes: usize, found: &mut Found) {
        for pods in self.inner.iter().filter(|inner| inner.what == Use::Pods) {
            let Some(span) = pods.span.clone() else { continue };
            let mask: u8 = if pods.cidr.address.is_ipv4() { 24 } else { 64 };
            let bits = mask.checked_sub(pods.cidr.prefix);
            if bits.is_none_or(|bits| u32::from(bits) < usize::BITS && 1 << bits < nodes) {
                let message =
                    format!("{} is too small for {nodes} nodes: each takes a /{mask} of it", pods.described());
                found.mistake(span, message).help(self.instead(pods));
            }
        }
    }

    fn nodes(&self, root: &DeTable<'_>, found: &mut Found) {
        for node in self.fixed {
            for inner in self.inner.iter().filter(|inner| inner.cidr.meets(node.cidr.network())) {
                if inner.cidr.contains(node.cidr.address) {
                    let message = format!("the node's address {} is in {}", node.cidr.address, inner.described());
                    inner.mistake(node.span.clone(), message, self.elsewhere(inner), found);
                } else {
                    let message = format!("the node's network {} overlaps {}", node.cidr.network(), inner.described());
                    let warning = found.warning(node.span.clone(), message);
                    warning.help(format!(
                        "nodes cannot reach other computers in {} then; {}",
                        inner.cidr,
                        self.instead(inner)
                    ));
                }
            }
        }
        let inside = |address: &Text<'_>| {
            let address = address.value.parse::<IpAddr>().ok()?;
            Some((address, self.inner.iter().find(|inner| inner.cidr.contains(address))?))
        };
        for node in sections(root, "nodes") {
            // The node's address is already reported if it is in the same network.
            let own = text(node, "address").and_then(|address| address.value.parse::<Cidr>().ok());
            if let Some(gateway) = text(node, "gateway")
                && let Some((address, inner)) = inside(&gateway)
                && own.is_none_or(|own| !inner.cidr.contains(own.address))
            {
                let message = format!("the router {address} is in {}", inner.described());
                inner.mistake(gateway.span, message, self.elsewhere(inner), found);
            }
            for server in texts(node, "dns") {
                let Some((address, inner)) = inside(&server) else { continue };
                let message = format!("the name server {address} is in {}", inner.described());
                let help = "a node needs names before k3s runs: give a name server outside of the cluster";
                inner.mistake(server.span, message, help, found);
            }
        }
    }

    fn exports(&self, root: &DeTable<'_>, found: &mut Found) {
        let Some(storage) = section(root, "storage") else { return };
        for network in texts(storage, "networks") {
            let Ok(cidr) = network.value.parse::<Cidr>() else { continue };
            for inner in self.inner.iter().filter(|inner| inner.cidr.meets(cidr.network())) {
                if inner.cidr.holds(cidr) {
                    let message = format!("{cidr} of `storage.networks` is in {}", inner.described());
                    let help = "nodes mount the disk by their own addresses: name the network that they are in";
                    inner.mistake(network.span.clone(), message, help, found);
                } else if cidr.prefix > 0 && inner.what == Use::Pods {
                    let message = format!("{cidr} holds {} too: pods may write to the disk", inner.described());
                    let warning = found.warning(network.span.clone(), message);
                    warning.help("NFS asks for no password: name the network of the nodes only");
                }
            }
        }
    }

    /// The address of the cluster's name server must be in the service network.
    fn dns(&self, config: &DeTable<'_>, found: &mut Found) {
        let services: Vec<_> = self.inner.iter().filter(|inner| inner.what == Use::Services).collect();
        for server in given(config, "cluster-dns") {
            let Ok(address) = server.value.parse::<IpAddr>() else {
                let problem = found.mistake(server.span, format!("`{}` is not an IP address", server.value));
                problem.help("k3s chooses one by itself when the line is left out");
                continue;
            };
            if services.iter().any(|network| network.cidr.contains(address)) {
                continue;
            }
            let networks = services.iter().map(|network| network.cidr.to_string()).collect::<Vec<_>>().join(", ");
            let message = format!("`cluster-dns` {address} is not in the service network {networks}");
            found.mistake(server.span, message).help("k3s chooses one by itself when the line is left out");
        }
    }

    /// Advice for an address inside a network.
    fn elsewhere(&self, inner: &Inner) -> String {
        format!("give another address, or {}", self.instead(inner))
    }

    /// Advice to change a network to one that overlaps nothing.
    fn instead(&self, moved: &Inner) -> String {
        let setting = moved.what.setting();
        let is_free = |candidate: &&str| {
            candidate.parse::<Cidr>().is_ok_and(|cidr| {
                let others = self.inner.iter().filter(|inner| inner.what != moved.what).map(|inner| inner.cidr);
                others.chain(self.fixed.iter().map(|node| node.cidr.network())).all(|other| !other.meets(cidr))
            })
        };
        let free = moved.what.candidates().into_iter().find(is_free).filter(|_| moved.cidr.address.is_ipv4());
        match free {
            Some(free) => format!("set {setting} = \"{free}\" in `k3s.server_config`"),
            None => format!("set `{setting}` in `k3s.server_config` to a network that nothing else is in"),
        }
    }
}
