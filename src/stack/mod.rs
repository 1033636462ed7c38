//! The stack of a lab: the chosen components with the lab's settings, as files for k3s, Secrets for the seed and a list for
//! the node (lab, components → [`Stack`]).
//!
//! k3s names an add-on after its file, applies files that fail again and again, and so needs no order. What only matters on
//! small boards, that not everything starts at once, is done by phases: files of later ones have a `.skip` beside them,
//! which the node takes away.

mod charts;
pub mod check;
mod images;
mod render;
mod secrets;
mod template;
mod values;
mod yaml;

use std::collections::BTreeMap;

use crate::charts::ChartRef;
use crate::lab::{Lab, StackComponent};
use crate::manifests::component::{Component, Memory};
use crate::manifests::select::{self, BadChoice, Because, Wanted};

pub use images::StackImages;
pub use render::{Cluster, EXPORT, Files, NAMESPACES, held_back, host, link, list, render};
pub use secrets::{SECRETS, UsedIn, secret_objects, secrets_so_far};

/// A component of a lab's stack.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// The component.
    pub component: Component,
    /// Why it is there.
    pub because: Because,
    /// When it can come up, from 1.
    pub phase: usize,
    /// What `lab.toml` sets for it.
    pub settings: StackComponent,
}

impl Chosen {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.component.name
    }

    /// The chart that it installs, in the version that the lab sets; `None` for one of k3s, or none.
    #[must_use]
    pub fn chart(&self) -> Option<ChartRef> {
        let chart = self.component.front.chart.as_ref()?.reference()?;
        Some(ChartRef { version: self.settings.version.clone().unwrap_or(chart.version), ..chart })
    }
}

/// The components of a lab, in the order of their phases.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stack {
    chosen: Vec<Chosen>,
    /// The names of all components, there or not.
    known: Vec<String>,
}

impl Stack {
    /// The stack of a lab.
    ///
    /// # Errors
    /// All choices that cannot be.
    pub fn of(lab: &Lab, all: &BTreeMap<String, Component>) -> Result<Self, Vec<BadChoice>> {
        let selected = select::select(&wanted(lab), all)?;
        let chosen = selected.into_iter().filter_map(|selected| {
            Some(Chosen {
                component: all.get(&selected.name)?.clone(),
                because: selected.because,
                phase: selected.phase,
                settings: lab.stack.components.get(&selected.name).cloned().unwrap_or_default(),
            })
        });
        Ok(Self { chosen: chosen.collect(), known: all.keys().cloned().collect() })
    }

    /// The components, by phase and name.
    #[must_use]
    pub fn components(&self) -> &[Chosen] {
        &self.chosen
    }

    /// Whether the component of this name is there.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.chosen.iter().any(|chosen| chosen.name() == name)
    }

    /// Whether it has more than what every lab has.
    #[must_use]
    pub fn is_chosen(&self) -> bool {
        self.chosen.iter().any(|chosen| !chosen.component.front.is_always())
    }

    /// The charts that it installs.
    #[must_use]
    pub fn charts(&self) -> Vec<ChartRef> {
        self.chosen.iter().filter_map(Chosen::chart).collect()
    }

    /// Packaged components of k3s that are switched off.
    #[must_use]
    pub fn k3s_disable(&self) -> Vec<String> {
        let mut all: Vec<String> = self.chosen.iter().flat_map(|c| c.component.front.k3s_disable.clone()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The memory that all of it takes in a cluster of this many nodes, in MiB.
    #[must_use]
    pub fn memory(&self, nodes: u32) -> Memory {
        self.chosen.iter().fold(Memory::default(), |sum, chosen| {
            let one = chosen.component.front.memory_in(nodes);
            Memory {
                requests: sum.requests.saturating_add(one.requests),
                limits: sum.limits.saturating_add(one.limits),
            }
        })
    }
}

/// The component that answers for names to the network.
const DNS: &str = "dns";

/// What a lab asks for.
#[must_use]
pub fn wanted(lab: &Lab) -> Wanted {
    let stack = &lab.stack;
    let mut switched: BTreeMap<String, bool> =
        stack.components.iter().filter_map(|(name, one)| Some((name.clone(), one.enabled?))).collect();
    if stack.dns {
        switched.insert(DNS.to_owned(), true);
    }
    Wanted { profile: stack.profile, switched, storage: lab.storage.enabled }
}
