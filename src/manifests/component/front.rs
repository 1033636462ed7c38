//! The front matter of a component: `component.toml`, or the text between `+++` lines of a single file.

use std::collections::BTreeMap;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::charts::ChartRef;
use crate::containers::ImageName;

/// How much of the stack a lab has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// k3s and its storage alone.
    #[default]
    None,
    /// Storage, ingress and certificates.
    Minimal,
    /// The same with a single sign-on.
    Identity,
    /// The whole homelab: secrets, mesh, logs, functions and files too.
    Seed,
    /// All of it, with search, a directory and names for the network.
    Full,
}

impl Profile {
    /// All profiles, smallest first.
    pub const ALL: [Self; 5] = [Self::None, Self::Minimal, Self::Identity, Self::Seed, Self::Full];

    /// As it is written in `lab.toml`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Identity => "identity",
            Self::Seed => "seed",
            Self::Full => "full",
        }
    }
}

/// What brings a component by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Brings {
    /// Every lab has it.
    Always,
    /// The profile of this name.
    Minimal,
    /// The profile of this name.
    Identity,
    /// The profile of this name.
    Seed,
    /// The profile of this name.
    Full,
}

impl Brings {
    fn is_of(self, profile: Profile) -> bool {
        match self {
            Self::Always => true,
            Self::Minimal => profile == Profile::Minimal,
            Self::Identity => profile == Profile::Identity,
            Self::Seed => profile == Profile::Seed,
            Self::Full => profile == Profile::Full,
        }
    }
}

/// The front matter.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrontMatter {
    /// What it is, in one line.
    pub title: String,
    /// What it is for.
    #[serde(default)]
    pub why: String,
    /// Who may use it, for the page.
    #[serde(default)]
    pub access: String,
    /// What brings it; empty for what is only there when `lab.toml` says so.
    #[serde(default)]
    pub profiles: Vec<Brings>,
    /// Components that it needs; `a|b` is one of several, the first of which comes along when there is none.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Packaged components of k3s that it needs.
    #[serde(default)]
    pub needs_k3s: Vec<String>,
    /// Components after which it comes up where the lab has them, though it does not need them.
    #[serde(default)]
    pub after: Vec<String>,
    /// Whether it needs the master's disk.
    #[serde(default)]
    pub storage: bool,
    /// Components that cannot be there beside it.
    #[serde(default)]
    pub conflicts: Vec<String>,
    /// Packaged components of k3s that are switched off for it.
    #[serde(default)]
    pub k3s_disable: Vec<String>,
    /// The namespace of its chart, where its pods are looked for.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Names below the lab's domain that it answers to; empty text for the domain itself.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// The one of them that people open.
    #[serde(default)]
    pub link: Option<String>,
    /// The Service behind which it takes requests for all names of the lab, by its full DNS name: what ingress controllers have.
    #[serde(default)]
    pub service: Option<String>,
    /// Architectures that its images exist for, by Debian's names.
    #[serde(default = "all_architectures")]
    pub architectures: Vec<String>,
    /// Memory that it takes once in a cluster.
    #[serde(default)]
    pub memory: Memory,
    /// Memory that it takes on every node.
    #[serde(default)]
    pub memory_per_node: Memory,
    /// All container images that run for it.
    #[serde(default)]
    pub images: Vec<ImageName>,
    /// What its chart and its operator make that others name: `Kind/namespace/name`, or `Kind/name` without a namespace.
    #[serde(default)]
    pub makes: Vec<String>,
    /// What its users should know beforehand.
    #[serde(default)]
    pub warning: Option<String>,
    /// What does not work without the internet, though all its images are on the cards.
    #[serde(default)]
    pub airgap: Option<String>,
    /// Namespaces that it uses; several components may name the same one.
    #[serde(default)]
    pub namespaces: BTreeMap<String, Namespace>,
    /// The Helm chart that it installs.
    #[serde(default)]
    pub chart: Option<Chart>,
    /// The Secrets that it wants.
    #[serde(default)]
    pub secrets: Vec<SecretFront>,
}

fn all_architectures() -> Vec<String> {
    vec!["arm64".to_owned(), "amd64".to_owned()]
}

impl FrontMatter {
    /// Whether a lab with this profile has it without being asked.
    #[must_use]
    pub fn is_of(&self, profile: Profile) -> bool {
        self.profiles.iter().any(|brings| brings.is_of(profile))
    }

    /// The memory that it takes in a cluster of this many nodes.
    #[must_use]
    pub fn memory_in(&self, nodes: u32) -> Memory {
        let (once, each) = (self.memory, self.memory_per_node);
        Memory {
            requests: once.requests.saturating_add(each.requests.saturating_mul(nodes)),
            limits: once.limits.saturating_add(each.limits.saturating_mul(nodes)),
        }
    }

    /// Whether every lab has it.
    #[must_use]
    pub fn is_always(&self) -> bool {
        self.profiles.contains(&Brings::Always)
    }
}

/// Memory in MiB: what is reserved, and what is allowed at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Sum of the requests of its pods.
    pub requests: u32,
    /// Sum of their limits.
    pub limits: u32,
}

/// A namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Namespace {
    /// Whether its pods are part of the mesh, if the lab has one.
    pub mesh: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

/// A Helm chart, by a repository or by k3s itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chart {
    /// Its name.
    pub name: String,
    /// Its version; none for one of k3s.
    #[serde(default)]
    pub version: Option<String>,
    /// Where it comes from (`https://`, `oci://`); none for one of k3s.
    #[serde(default)]
    pub repository: Option<String>,
    /// The name under which Helm keeps it, when it is not the component's: one that clusters have already.
    #[serde(default)]
    pub release: Option<String>,
    /// Whether k3s itself installs the chart, and only gets values for it (`HelmChartConfig`).
    #[serde(default)]
    pub config: bool,
    /// API groups whose kinds it brings.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Values that its templates read although its `values.yaml` does not have them; a trailing `*` stands for all below.
    #[serde(default)]
    pub reads: Vec<String>,
}

impl Chart {
    /// Name, version and repository; `None` for a chart of k3s.
    #[must_use]
    pub fn reference(&self) -> Option<ChartRef> {
        let (version, repository) = (self.version.clone()?, self.repository.clone()?);
        (!self.config).then(|| ChartRef { name: self.name.clone(), version, repository })
    }
}

/// A Kubernetes Secret that a component wants.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretFront {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its type.
    #[serde(rename = "type", default = "opaque")]
    pub kind: String,
    /// Its labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The component without which it is not wanted.
    #[serde(default)]
    pub with: Option<String>,
    /// The component with which it is not wanted.
    #[serde(default)]
    pub without: Option<String>,
    /// What a new value of it does not reach by itself, and what to do.
    #[serde(default)]
    pub rotation: Option<String>,
    /// Key → value.
    pub data: BTreeMap<String, SecretValue>,
}

fn opaque() -> String {
    "Opaque".to_owned()
}

/// A value in a Secret.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum SecretValue {
    /// This text, which is no secret.
    Text(String),
    /// The password of this name: made once, the same wherever it is named.
    Password(String),
    /// The key of this name with which cookies are encrypted: 32 random bytes in base64url.
    Cookie(String),
    /// The lab's own certificate authority.
    Ca(CaPart),
}

/// A part of the lab's own certificate authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CaPart {
    /// Its certificate, in PEM.
    Certificate,
    /// Its private key, in PEM.
    Key,
}
