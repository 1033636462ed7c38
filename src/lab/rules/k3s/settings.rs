//! The options in `k3s.server_config` and `k3s.agent_config`: k3s must have them in this command and release, and they
//! must not break the cluster.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::{Found, Text, section, sections, text};
use super::shapes;
use super::values::{self, Known};
use crate::lab::k3s_flags::{self, Flag};
use crate::lab::k3s_release::{DEFAULT_K3S, K3sRelease};
use crate::parts::Parts;
use crate::parts::role::K3sKind;
use labimg_tree::suggest::{did_you_mean, nearest_of_alike};

/// Options that labimg writes into k3s' configuration itself. A second value would silently win or conflict.
const OURS: [(&str, &str); 9] = [
    ("token", "it is in `secrets/`"),
    ("token-file", "the token is in `secrets/`"),
    ("agent-token", "it is in `secrets/`"),
    ("agent-token-file", "the agent token is in `secrets/`"),
    ("server", "nodes find the master by its name"),
    ("node-name", "it is the node's `name`"),
    ("cluster-init", "it follows from the number of servers"),
    ("data-dir", "storage and manifests rely on where it is"),
    ("config", "k3s reads the file that these settings go into"),
];

/// Options that would break the cluster. All servers get the same settings, so no server would be without them.
const AGAINST: [(&str, &str); 9] = [
    ("https-listen-port", "nodes, `kubeconfig` and `labimg status` ask for port 6443"),
    ("supervisor-port", "nodes, `kubeconfig` and `labimg status` ask for port 6443"),
    ("with-node-id", "nodes are known by their `name` alone, and `secrets/` has a password for each"),
    ("cluster-reset", "the master would forget all other servers at every start"),
    ("cluster-reset-restore-path", "the master would forget all other servers at every start"),
    ("rootless", "keys, token, manifests and disk lie where root's k3s looks for them"),
    ("disable-agent", "every node of a lab joins its cluster"),
    ("disable-apiserver", "there would be none in the whole cluster"),
    ("disable-etcd", "there would be none in the whole cluster"),
];

/// Options whose value is right for one node only.
const OF_ONE_NODE: [&str; 5] =
    ["node-ip", "node-external-ip", "node-internal-dns", "node-external-dns", "advertise-address"];

/// Options that must be the same on all servers (docs.k3s.io, "k3s server", critical configuration values); a server that
/// differs does not start, or the cluster's parts do not fit together.
const OF_ALL_SERVERS: [&str; 17] = [
    "cluster-cidr",
    "cluster-dns",
    "cluster-domain",
    "datastore-endpoint",
    "disable",
    "disable-cloud-controller",
    "disable-helm-controller",
    "disable-kube-proxy",
    "disable-network-policy",
    "egress-selector-mode",
    "embedded-registry",
    "flannel-backend",
    "flannel-external-ip",
    "flannel-ipv6-masq",
    "secrets-encryption",
    "service-cidr",
    "service-node-port-range",
];

/// Sections of `[k3s]`, and the command of k3s that reads each.
const SECTIONS: [(K3sKind, &str, &str); 2] =
    [(K3sKind::Server, "server_config", "server"), (K3sKind::Agent, "agent_config", "agent")];

/// What the settings of one section are checked against.
pub(super) struct Context<'a> {
    kind: K3sKind,
    /// The section.
    config: &'static str,
    /// The command of k3s that reads it.
    command: &'static str,
    /// How many nodes get these settings.
    nodes: usize,
    release: K3sRelease,
    known: Known<'a>,
}

pub(super) fn check(root: &DeTable<'_>, parts: &Parts, found: &mut Found) {
    let k3s = section(root, "k3s");
    let asked = k3s.and_then(|k3s| text(k3s, "version")).and_then(|version| K3sRelease::parse(version.value));
    let Some(release) = asked.or_else(|| K3sRelease::parse(DEFAULT_K3S)) else { return };
    let nodes = |kind| {
        let roles = sections(root, "nodes").into_iter().filter_map(|node| text(node, "role"));
        roles.filter(|role| parts.role(role.value).is_ok_and(|role| role.k3s == Some(kind))).count()
    };
    for node in sections(root, "nodes") {
        of_node(node, release, parts, found);
    }
    for (kind, config, _) in SECTIONS {
        let Some(context) = Context::of(kind, None, nodes(kind), release, parts) else { continue };
        for (key, value) in k3s.and_then(|k3s| section(k3s, config)).into_iter().flatten() {
            context.setting(&Text { value: key.get_ref(), span: key.span() }, value, found);
        }
    }
}

/// Checks the settings of one node.
fn of_node(node: &DeTable<'_>, release: K3sRelease, parts: &Parts, found: &mut Found) {
    let Some((key, _)) = node.get_key_value("k3s") else { return };
    let Some(role) = text(node, "role").and_then(|role| parts.role(role.value).ok()) else { return };
    let Some(kind) = role.k3s else {
        let problem = found.mistake(key.span(), format!("nodes of the role `{}` do not run k3s", role.name));
        problem.help("take the line out");
        return;
    };
    let Some(context) = Context::of(kind, Some("k3s"), 1, release, parts) else { return };
    for (key, value) in section(node, "k3s").into_iter().flatten() {
        let key = Text { value: key.get_ref(), span: key.span() };
        if kind == K3sKind::Server && OF_ALL_SERVERS.contains(&key.value.trim_end_matches('+')) {
            let problem = found.mistake(key.span, format!("all servers must have the same `{}`", key.value));
            problem.help("it belongs in `server_config` of `[k3s]`");
        } else {
            context.setting(&key, value, found);
        }
    }
}

impl<'a> Context<'a> {
    /// For the settings of `config`, which so many nodes that run k3s as `kind` have.
    pub(super) fn of(
        kind: K3sKind,
        config: Option<&'static str>,
        nodes: usize,
        release: K3sRelease,
        parts: &'a Parts,
    ) -> Option<Self> {
        let (_, section, command) = SECTIONS.into_iter().find(|(of, ..)| *of == kind)?;
        let known = Known { is_covered: k3s_flags::covers(release), parts };
        Some(Self { kind, config: config.unwrap_or(section), command, nodes, release, known })
    }

    /// A `+` at the end of a name adds to a list.
    pub(super) fn setting(&self, key: &Text<'_>, value: &Spanned<DeValue<'_>>, found: &mut Found) {
        let name = key.value.strip_suffix('+').unwrap_or(key.value);
        let flag = k3s_flags::find(name);
        let dashed = flag.map_or_else(|| name.replace('_', "-").to_ascii_lowercase(), |flag| flag.name.to_owned());
        let reason = |list: &[(&str, &'static str)]| list.iter().find(|(name, _)| *name == dashed).map(|(_, why)| *why);
        if let Some(why) = reason(&OURS) {
            let problem = found.mistake(key.span.clone(), format!("labimg sets `{dashed}` itself: {why}"));
            problem.help("take the line out");
        } else if let Some(why) = reason(&AGAINST) {
            let problem = found.mistake(key.span.clone(), format!("a cluster of labimg cannot have `{dashed}`: {why}"));
            problem.help("take the line out");
        } else if let Some(flag) = flag {
            if self.is_placed(flag, key, found) && shapes::check(flag, key, value, found) {
                values::check(flag, value, &self.known, found);
                self.remark(flag, key, value, found);
            }
        } else {
            self.unknown(name, key, found);
        }
    }

    fn unknown(&self, name: &str, key: &Text<'_>, found: &mut Found) {
        let about = format!("settings are the options of `k3s {}` without `--`", self.command);
        let is_name =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if is_name && !self.known.is_covered {
            let warning = found
                .warning(key.span.clone(), format!("whether k3s {} has a setting `{name}` is not known", self.release));
            warning.help(format!("labimg knows the settings of k3s {}; k3s passes over others", k3s_flags::covered()));
            return;
        }
        let known: Vec<&str> = k3s_flags::names(self.kind, self.release).collect();
        let help = match (replaced(name), did_you_mean(&nearest_of_alike(name, &known))) {
            (Some(instead), _) => instead.to_owned(),
            (None, Some(meant)) => format!("{meant} The {about}"),
            (None, None) => format!("{about}, such as `node-label`"),
        };
        found.mistake(key.span.clone(), format!("k3s has no setting `{}`", key.value)).help(help);
    }

    /// Reports an option of the other command or of a later release; true if it is neither.
    fn is_placed(&self, flag: &Flag, key: &Text<'_>, found: &mut Found) -> bool {
        let name = flag.name;
        let (message, help) = if !flag.is_for(self.kind) {
            let Some((_, home, command)) = SECTIONS.into_iter().find(|(kind, ..)| *kind != self.kind) else {
                return true;
            };
            let message = format!("`{name}` is an option of `k3s {command}`: in `{}` it has no effect", self.config);
            (message, format!("it belongs in `{home}`"))
        } else if self.known.is_covered && !flag.is_in(self.release) {
            let message = format!("k3s {} does not have the setting `{name}` yet", self.release);
            (
                message,
                format!("it came with k3s {}: set `version` to such a release, or take the line out", flag.since()),
            )
        } else {
            return true;
        };
        found.mistake_if(self.known.is_covered, key.span.clone(), message).help(help);
        false
    }

    /// Reports what is allowed but unlikely to be intended, and values that are right for one node only.
    fn remark(&self, flag: &Flag, key: &Text<'_>, value: &Spanned<DeValue<'_>>, found: &mut Found) {
        let on = match value.get_ref() {
            DeValue::Boolean(on) => Some(*on),
            DeValue::String(word) => word.parse::<bool>().ok(),
            _ => None,
        };
        match (flag.name, on) {
            (name, _) if OF_ONE_NODE.contains(&name) && self.nodes > 1 => {
                let message = format!("`{name}` is of one node, and {} nodes have these settings", self.nodes);
                let problem = found.mistake(key.span.clone(), message);
                problem.help("set it in `k3s` of a node, or take it out: k3s finds the node's address by itself, also one that `address` sets");
            }
            ("secrets-encryption", Some(false)) => {
                let warning = found.warning(key.span.clone(), "Secrets will lie in the cluster's database as they are");
                warning.help("whoever has the master's card or disk can read them; take the line out");
            }
            ("disable-helm-controller", Some(true)) => {
                let message = "no HelmChart is installed then, neither Traefik nor those of `manifests/`";
                found.warning(key.span.clone(), message).help("take the line out, unless something else installs them");
            }
            _ => {}
        }
    }
}

/// The replacement of an option that k3s had before v1.27.
fn replaced(name: &str) -> Option<&'static str> {
    Some(match name {
        "no-deploy" => "k3s calls it `disable` now, such as disable = [\"traefik\"]",
        "no-flannel" => "write flannel-backend = \"none\"",
        "disable-selinux" => "write selinux = false",
        "cluster-secret" => "labimg makes the token, in `secrets/`: take the line out",
        _ => return None,
    })
}
