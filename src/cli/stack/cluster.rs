//! `labimg stack diff` and `labimg stack apply`: a running cluster.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;

use super::super::Outcome;
use super::super::output::{Failure, Output};
use super::super::reach::Reach;
use super::super::report::Reporter;
use super::StackCommandError;
use super::render::Prepared;
use super::shown::{self, Differences, Outcomes, Undeleted};
use crate::charts::ChartRef;
use crate::kube::apply::{self, AddOns, Charts, Found, Gone, Key, Kinds, Object};
use crate::kube::{Client, KubeError, Verb};
use crate::lab::LabFolder;
use crate::manifests::{self, OwnCharts, PACKAGED, SERVED};
use crate::secrets::{self, Secrets, StackSecrets};
use crate::stack;
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::progress::Progress;
use labimg_tree::suggest::nearest;

pub(super) const NOTES: &str = "\
Nothing is deleted without --prune, and what may hold data (claims, namespaces, databases) only when --and-data names it.

k3s applies the files on the master's card again whenever it starts, and thereby takes back what differs from them. So build \
that card again, too: the next one that is flashed brings the same.

Exit code 0 when the cluster took everything, else 1.";

/// Options of `labimg stack diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    #[command(flatten)]
    reach: Reach,
    /// Show every line of every difference
    #[arg(long)]
    whole: bool,
}

/// Options of `labimg stack apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    #[command(flatten)]
    reach: Reach,
    /// Longest wait in seconds for what has to wait: kinds that come with charts, webhooks that do not answer yet
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    timeout: u64,
    /// Delete what the cluster has from labimg and the lab no longer has, after a question
    #[arg(long)]
    prune: bool,
    /// Delete this, too, although it may hold data: KIND/NAMESPACE/NAME or KIND/NAME, as `stack diff` shows it
    #[arg(long, value_name = "OBJECT", requires = "prune")]
    and_data: Vec<String>,
    /// Do not ask
    #[arg(long, requires = "prune")]
    yes: bool,
}

/// What the cluster should have.
struct Wanted {
    objects: Vec<Object>,
    charts: Charts,
    addons: AddOns,
}

/// Why not all is well.
#[derive(Debug, thiserror::Error)]
enum ClusterError {
    /// The cluster does not take some objects.
    #[error("the cluster takes {count} of the objects not")]
    Refused {
        /// Their number.
        count: usize,
    },
    /// Some objects were not applied or not deleted.
    #[error("{count} of the objects failed")]
    Failed {
        /// Their number.
        count: usize,
    },
    /// The user said no.
    #[error("nothing was changed")]
    Declined,
    /// Nothing that goes has this name.
    #[error("--and-data {name}: nothing that holds data and that the lab no longer has is called so")]
    NotGone {
        /// The name given.
        name: String,
        /// What goes.
        near: Vec<String>,
    },
    /// The clock is wrong, so dates of certificates would be wrong.
    #[error("this computer's clock is before 1970")]
    Clock,
}

impl Fault for ClusterError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Refused { .. } | Self::Failed { .. } | Self::Declined | Self::Clock => FaultKind::World,
            Self::NotGone { .. } => FaultKind::Usage,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NotGone { near, .. } if !near.is_empty() => Some(format!("did you mean {}?", near.join(" or "))),
            Self::NotGone { .. } => Some("`labimg stack diff` shows what the lab no longer has".to_owned()),
            Self::Failed { .. } => Some("what was applied stays; the same command goes on with the rest".to_owned()),
            Self::Refused { .. } | Self::Declined | Self::Clock => None,
        }
    }
}

pub(super) fn diff(folder: &LabFolder, args: &DiffArgs, out: &Output, reporter: &Reporter) -> Outcome {
    let access = args.reach.access(&folder.dir, reporter)?;
    let prepared = Prepared::of(folder)?;
    let secrets = existing(folder, &prepared)?;
    let client = args.reach.client(&access)?;
    let wanted = wanted(folder, &prepared, secrets.stack(), &client)?;
    let mut objects = apply::diff(&client, &wanted.objects, &wanted.charts, reporter)?;
    let gone = apply::gone(&client, &wanted.objects, &wanted.addons)?;
    let all = objects.len();
    objects.retain(|one| one.found != Found::Same || !one.warnings.is_empty());
    let same = all - objects.iter().filter(|one| one.found != Found::Same).count();
    let differences = Differences { cluster: access.context, same, objects, gone };
    out.result(&differences, |differences| shown::differences(differences, args.whole))?;
    let count = differences.objects.iter().filter(|one| matches!(one.found, Found::Refused { .. })).count();
    if count > 0 { Err(ClusterError::Refused { count }.into()) } else { Ok(()) }
}

pub(super) fn apply(folder: &LabFolder, args: &ApplyArgs, out: &Output, reporter: &Reporter) -> Outcome {
    let access = args.reach.access(&folder.dir, reporter)?;
    let prepared = Prepared::of(folder)?;
    let mut secrets = existing(folder, &prepared)?;
    let client = args.reach.client(&access)?;
    // Before anything is made: does anybody answer?
    client.send(Verb::Get, "/version", None)?;
    secrets.open_stack(&folder.dir.join(secrets::FOLDER), &prepared.stack.secret_names(), now()?)?;
    secrets.write_authority(folder)?;
    let wanted = wanted(folder, &prepared, secrets.stack(), &client)?;
    let (deleting, kept) = if args.prune {
        let gone = apply::gone(&client, &wanted.objects, &wanted.addons)?.objects;
        chosen(gone, args)?
    } else {
        (Vec::new(), Vec::new())
    };
    apply::announce(&client, &wanted.objects)?;
    let limit = Duration::from_secs(args.timeout);
    let report = apply::apply(&client, &wanted.objects, &wanted.charts, limit, reporter)?;
    let (mut deleted, mut undeleted) = (Vec::new(), Vec::new());
    let mut kinds = Kinds::new(&client);
    for key in deleting {
        match apply::delete(&client, &mut kinds, &key)? {
            Ok(()) => deleted.push(key),
            Err(why) => undeleted.push(Undeleted { key, why }),
        }
    }
    apply::remember(&client, report.taken(), &deleted)?;
    let outcomes = Outcomes { cluster: access.context, report, deleted, undeleted, kept };
    out.result(&outcomes, shown::outcomes)?;
    if outcomes.report.created + outcomes.report.changed + outcomes.deleted.len() > 0 {
        reporter.note("k3s applies the files on the master's card again when it starts: build and flash that card, too, or this is taken back then");
    }
    let count = outcomes.report.failed + outcomes.undeleted.len();
    if count > 0 { Err(ClusterError::Failed { count }.into()) } else { Ok(()) }
}

/// The secrets that there are, without making any.
fn existing(folder: &LabFolder, prepared: &Prepared) -> Result<Secrets, Failure> {
    let dir = folder.dir.join(secrets::FOLDER);
    let mut secrets = Secrets::open_existing(&dir, &folder.lab, now()?)?;
    secrets.read_stack(&dir, &prepared.stack.secret_names(), now()?)?;
    Ok(secrets)
}

/// All objects of the lab, as the cards would bring them to this cluster.
fn wanted(folder: &LabFolder, prepared: &Prepared, secrets: &StackSecrets, client: &Client) -> Result<Wanted, Failure> {
    let own = folder.parts.manifests();
    let OwnCharts { charts, .. } = own.charts();
    let served = served(client, prepared.stack.charts().into_iter().chain(charts))?;
    let files = prepared.files(folder, &served)?;
    let mut objects = Vec::new();
    for (name, text) in &files {
        // Neither what says that a file is skipped, nor such a file.
        if name.strip_suffix(".skip").is_some() || files.contains_key(&format!("{name}.skip")) {
            continue;
        }
        let values = manifests::values(text).map_err(|mistake| StackCommandError::File {
            name: name.clone(),
            line: mistake.line,
            what: mistake.what,
        })?;
        objects.extend(values.into_iter().map(Object::new));
    }
    objects.extend(stack::secrets_so_far(&prepared.stack, secrets)?.into_iter().map(Object::new));
    let components = folder.parts.components();
    let groups = components.values().filter_map(|component| {
        let chart = component.front.chart.as_ref()?;
        Some(chart.groups.iter().map(|group| (group.clone(), chart.name.clone())))
    });
    let mut ours = manifests::addon_names(components, own);
    ours.extend([stack::NAMESPACES, stack::SECRETS].map(|file| file.trim_end_matches(".yaml").to_owned()));
    let addons = AddOns { ours: ours.into_iter().collect(), k3s: PACKAGED.into_iter().map(str::to_owned).collect() };
    Ok(Wanted { objects, charts: groups.flatten().collect(), addons })
}

/// Those of the charts that the cluster serves itself, since they came with a card.
fn served(client: &Client, charts: impl Iterator<Item = ChartRef>) -> Result<Vec<ChartRef>, KubeError> {
    let path = SERVED.rsplit_once('%').map_or(SERVED, |(_, path)| path);
    let mut found = Vec::new();
    for chart in charts {
        if client.send(Verb::Head, &format!("{path}/{}", chart.file()), None)?.is_good() {
            found.push(chart);
        }
    }
    Ok(found)
}

/// What is deleted, and what is kept; after a question.
fn chosen(gone: Vec<Gone>, args: &ApplyArgs) -> Result<(Vec<Key>, Vec<Gone>), Failure> {
    let names: Vec<String> =
        gone.iter().filter(|one| one.data.is_some()).map(|one| shown::argument(&one.key)).collect();
    if let Some(name) = args.and_data.iter().find(|name| !names.contains(name)) {
        let near = nearest(name, names.iter().map(String::as_str));
        return Err(ClusterError::NotGone { name: name.clone(), near }.into());
    }
    let is_named = |one: &Gone| one.data.is_none() || args.and_data.contains(&shown::argument(&one.key));
    let (deleting, kept): (Vec<Gone>, Vec<Gone>) = gone.into_iter().partition(is_named);
    if !deleting.is_empty() && !args.yes {
        let question = format!("Delete these?\n{}", shown::list(&deleting));
        if !Output::confirm(&question, "this deletes objects, and nobody can be asked", "say --yes")? {
            return Err(ClusterError::Declined.into());
        }
    }
    // Namespaces and kinds after what is in them.
    let mut keys: Vec<Key> = deleting.into_iter().map(|one| one.key).collect();
    keys.sort_by_key(|key| ["CustomResourceDefinition", "Namespace"].contains(&key.kind.as_str()));
    Ok((keys, kept))
}

/// This computer's time in seconds since 1970.
fn now() -> Result<i64, ClusterError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|time| i64::try_from(time.as_secs()).ok());
    now.ok_or(ClusterError::Clock)
}
