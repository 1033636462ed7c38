//! All objects that the master gets, with who wrote them.

use std::collections::BTreeMap;

use crate::manifests::located::{self, Located};
use crate::manifests::{ManifestError, OwnManifests};
use crate::stack::{Chosen, Cluster, SECRETS, render, secret_objects};

/// Who wrote a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// labimg: one of its components, as it is.
    Ours,
    /// The user: a component of the lab folder, or values for one of labimg.
    Component,
    /// The user: a manifest of the lab folder.
    Manifest,
}

/// An object with the file that it comes from.
#[derive(Debug, Clone)]
pub struct Deployed {
    /// The file: one of those that k3s gets, or its path in the lab folder.
    pub(super) file: String,
    /// Who wrote it.
    pub(super) owner: Owner,
    /// The component that it belongs to.
    pub(super) component: Option<String>,
    /// The object.
    pub(super) object: Located,
}

/// Where k3s puts objects that name no namespace.
const DEFAULT_NAMESPACE: &str = "kube-system";

impl Deployed {
    /// Its namespace, if its kind has one.
    pub(super) fn namespace(&self) -> &str {
        self.object.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE)
    }

    /// Kind, namespace and name.
    pub(super) fn shown(&self) -> String {
        let Located { kind, name, namespace, .. } = &self.object;
        namespace.as_ref().map_or_else(|| format!("{kind} {name}"), |namespace| format!("{kind} {namespace}/{name}"))
    }
}

/// What is checked: all objects of a cluster, and its components.
#[derive(Debug)]
pub struct Subject<'a> {
    pub(super) cluster: &'a Cluster<'a>,
    pub(super) objects: Vec<Deployed>,
}

impl<'a> Subject<'a> {
    /// What the master gets: files of the stack, Secrets, and manifests of the lab folder.
    ///
    /// # Errors
    /// A component that makes no manifest.
    pub fn of(cluster: &'a Cluster<'a>, own: &OwnManifests) -> Result<Self, ManifestError> {
        let mut files = render(cluster)?;
        if let Some(secrets) = secret_objects(cluster.stack, None)? {
            files.insert(SECRETS.to_owned(), secrets);
        }
        let manifests = own.texts();
        // A file of the lab folder replaces one of the same name; an empty one leaves another out.
        files.retain(|name, _| !manifests.contains_key(name) && !manifests.contains_key(&format!("{name}.skip")));
        let mut subject = Self { cluster, objects: Vec::new() };
        let owners: BTreeMap<String, &Chosen> = cluster
            .stack
            .components()
            .iter()
            .flat_map(|c| c.component.files().into_iter().map(move |f| (f, c)))
            .collect();
        for (name, text) in &files {
            let chosen = owners.get(name).copied();
            let owner = chosen.map_or(Owner::Ours, owner);
            subject.add(name, text, owner, chosen.map(Chosen::name))?;
        }
        for (name, (shown, text)) in &manifests {
            if !has_skip(name, &manifests) {
                subject.add(shown, text, Owner::Manifest, None)?;
            }
        }
        Ok(subject)
    }

    fn add(&mut self, file: &str, text: &str, owner: Owner, component: Option<&str>) -> Result<(), ManifestError> {
        // Files were read before: what k3s would not take was said then.
        let bad = |mistake: crate::wording::Mistake| ManifestError::Component {
            file: file.to_owned(),
            line: mistake.line,
            what: mistake.what,
            help: mistake.help,
            is_own: owner != Owner::Ours,
        };
        if text.trim().is_empty() {
            return Ok(());
        }
        for object in located::objects(text).map_err(bad)? {
            let (file, component) = (file.to_owned(), component.map(str::to_owned));
            self.objects.push(Deployed { file, owner, component, object });
        }
        Ok(())
    }

    /// The component of an object.
    pub(super) fn chosen(&self, deployed: &Deployed) -> Option<&Chosen> {
        let name = deployed.component.as_deref()?;
        self.cluster.stack.components().iter().find(|chosen| chosen.name() == name)
    }
}

/// Values of the user can be the reason, too.
fn owner(chosen: &Chosen) -> Owner {
    let Chosen { component, settings, .. } = chosen;
    let has_values = !settings.values.is_empty() || !settings.from_file.is_empty();
    let is_own = component.is_own || has_values || settings.version.is_some();
    if is_own { Owner::Component } else { Owner::Ours }
}

fn has_skip(name: &str, manifests: &BTreeMap<String, (String, String)>) -> bool {
    name.strip_suffix(".skip").is_some() || manifests.contains_key(&format!("{name}.skip"))
}

/// The files of a cluster's stack by name, for tests.
#[cfg(test)]
pub(super) fn of_files<'a>(cluster: &'a Cluster<'a>, files: &crate::stack::Files, owner: Owner) -> Subject<'a> {
    let mut subject = Subject { cluster, objects: Vec::new() };
    for (name, text) in files {
        subject.add(name, text, owner, None).unwrap_or_else(|e| unreachable!("{name}: {e}"));
    }
    subject
}
