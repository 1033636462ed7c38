//! `labimg stack render`: what the master deploys.

use super::super::Outcome;
use super::super::inputs::DEFAULT_SUITE;
use super::super::output::{Failure, Output};
use super::{find, stack_of};
use crate::charts::ChartRef;
use crate::k3s::K3sSource;
use crate::lab::{Checked, Lab, LabFolder};
use crate::layers::manifests;
use crate::manifests::component::Component;
use crate::manifests::{ManifestError, Profile};
use crate::plan::target::{self, Flags};
use crate::stack::{self, Cluster, Files, Stack};
use labimg_tree::Content;

/// A lab as its cards have it.
pub(super) struct Prepared {
    /// With what overlays add to the settings.
    lab: Lab,
    pub(super) stack: Stack,
    k3s: String,
}

impl Prepared {
    /// Of a lab folder.
    ///
    /// # Errors
    /// Components that cannot be; parts that the nodes cannot have.
    pub(super) fn of(folder: &LabFolder) -> Result<Self, Failure> {
        let stack = stack_of(folder)?;
        let flags = Flags { suite: DEFAULT_SUITE.to_owned(), ..Flags::default() };
        let targets = target::of_lab(folder, &[], &flags)?;
        let founder = targets.into_iter().find(|target| target.plan.role.manifests);
        let lab = founder.map_or_else(|| folder.lab.clone(), |target| target.plan.lab.clone());
        let k3s = K3sSource::of(Some(&lab)).version;
        Ok(Self { lab, stack, k3s })
    }

    /// The files for k3s, without Secrets; `charts` are those that the cluster serves itself.
    ///
    /// # Errors
    /// What makes no manifest.
    pub(super) fn files(&self, folder: &LabFolder, charts: &[ChartRef]) -> Result<Files, ManifestError> {
        let charts: Vec<(ChartRef, Content)> =
            charts.iter().map(|chart| (chart.clone(), Content::from(String::new()))).collect();
        let cluster = Cluster { lab: &self.lab, stack: &self.stack, k3s: &self.k3s, charts: &charts };
        manifests::files(&cluster, folder.parts.manifests())
    }
}

pub(super) fn render(checked: Checked, profile: Option<&str>, only: Option<&str>, out: &Output) -> Outcome {
    let mut folder = checked.folder;
    if let Some(profile) = profile.and_then(|name| Profile::ALL.into_iter().find(|known| known.name() == name)) {
        folder.lab.stack.profile = profile;
    }
    if let Some(name) = only {
        find(folder.parts.components(), name)?;
    }
    let prepared = Prepared::of(&folder)?;
    let mut files = prepared.files(&folder, &[])?;
    if let Some(text) = stack::secret_objects(&prepared.stack, None)? {
        files.insert(stack::SECRETS.to_owned(), text);
    }
    if let Some(name) = only {
        let own = folder.parts.components().get(name).map(Component::files).unwrap_or_default();
        files.retain(|file, _| own.contains(file));
    }
    out.result(&files, |files| {
        let texts = files.iter().filter(|(_, text)| !text.is_empty());
        texts.map(|(name, text)| format!("# {name}\n{}\n", text.trim_end())).collect::<Vec<_>>().join("---\n")
    })
}
