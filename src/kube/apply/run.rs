//! Giving a cluster its objects: namespaces first, the rest in any order, and again what only has to wait.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::discovery::{self, Kinds};
use super::{Charts, Key, Object, compare, complaint, left_over, patched, unknown_kind};
use crate::kube::{Client, KubeError, Patience, Verb, pause};
use crate::wording::one_line;
use labimg_tree::progress::{Progress, Unit};

/// Wait between two rounds.
const EVERY: Duration = Duration::from_secs(3);

/// Most objects that a note about waiting names.
const FEW: usize = 3;

/// What became of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Done {
    /// It is new.
    Created,
    /// It has changed.
    Changed,
    /// It was so already.
    Unchanged,
    /// The cluster did not take it.
    Failed {
        /// What the API says, or what it waited for in vain.
        why: String,
    },
}

/// An object, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// The object.
    #[serde(flatten)]
    pub key: Key,
    /// What became of it.
    #[serde(flatten)]
    pub done: Done,
    /// What the API warns of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// What became of all objects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Those that are new.
    pub created: usize,
    /// Those that have changed.
    pub changed: usize,
    /// Those that were so already.
    pub unchanged: usize,
    /// Those that the cluster did not take.
    pub failed: usize,
    /// Each of them.
    pub objects: Vec<Applied>,
}

impl Report {
    /// The objects that the cluster has now.
    pub fn taken(&self) -> impl Iterator<Item = &Key> {
        let taken = self.objects.iter().filter(|one| !matches!(one.done, Done::Failed { .. }));
        taken.map(|one| &one.key)
    }

    fn add(&mut self, applied: Applied) {
        let count = match applied.done {
            Done::Created => &mut self.created,
            Done::Changed => &mut self.changed,
            Done::Unchanged => &mut self.unchanged,
            Done::Failed { .. } => &mut self.failed,
        };
        *count += 1;
        self.objects.push(applied);
    }
}

/// One try.
enum Try {
    Done(Applied),
    /// What it waits for.
    Later(String),
}

/// Applies the objects, at most for `limit`.
///
/// # Errors
/// How far the connection got, as long as nothing was applied; an interrupt. Whatever the cluster does not take is in the
/// report.
pub fn apply(
    client: &Client,
    objects: &[Object],
    charts: &Charts,
    limit: Duration,
    progress: &dyn Progress,
) -> Result<Report, KubeError> {
    let begun = Instant::now();
    let phase = progress.phase("Applying", objects.len() as u64, Unit::Items);
    let mut kinds = Kinds::new(client);
    let mut report = Report::default();
    let mut pending: Vec<&Object> = objects.iter().collect();
    pending.sort_by_key(|object| object.rank());
    let mut said = Vec::new();
    loop {
        let mut later: Vec<(&Object, String)> = Vec::new();
        for object in pending {
            let tried = match one(client, object, &mut kinds, charts) {
                // In the middle, the API may be away for a moment.
                Err(error) if !report.objects.is_empty() && error.patience() != Patience::None => {
                    Try::Later(one_line(&error))
                }
                tried => tried?,
            };
            match tried {
                Try::Done(applied) => {
                    report.add(applied);
                    phase.inc(1);
                }
                Try::Later(why) => later.push((object, why)),
            }
        }
        let is_over = begun.elapsed() >= limit;
        if later.is_empty() || is_over {
            for (object, why) in later {
                let why = format!("{why}; still so after {} s", begun.elapsed().as_secs());
                report.add(Applied { key: object.key.clone(), done: Done::Failed { why }, warnings: Vec::new() });
            }
            return Ok(report);
        }
        let whys: Vec<String> = later.iter().map(|(object, why)| format!("{}: {why}", object.key)).collect();
        if whys != said {
            for why in whys.iter().take(FEW) {
                progress.note(&format!("waits: {why}"));
            }
            if whys.len() > FEW {
                progress.note(&format!("waits: {} more", whys.len() - FEW));
            }
            said = whys;
        }
        pause(EVERY.min(limit.saturating_sub(begun.elapsed())))?;
        pending = later.into_iter().map(|(object, _)| object).collect();
        kinds.forget_without(pending.iter().map(|object| &object.key));
    }
}

fn one(client: &Client, object: &Object, kinds: &mut Kinds<'_>, charts: &Charts) -> Result<Try, KubeError> {
    let mut object = object.clone();
    let Some(resource) = kinds.find(&object.key.api_version, &object.key.kind)? else {
        return Ok(Try::Later(unknown_kind(&object.key, charts)));
    };
    object.settle(&resource);
    let path = discovery::path(&object.key, &resource);
    let live = match discovery::live(client, &path)? {
        Ok(live) => live,
        Err(why) => return Ok(Try::Later(why)),
    };
    let mut answer = patched(client, &path, &object, false)?;
    let warnings = std::mem::take(&mut answer.warnings);
    if answer.is_good() {
        let gone = left_over::left_over(&answer.body, object.value());
        if !gone.is_empty() {
            let patch = left_over::patch(&answer.body, &gone);
            answer = client.send(Verb::Patch, &format!("{path}?fieldManager={}", super::MANAGER), Some(&patch))?;
            if answer.status == 422 {
                // Somebody has changed it between the two.
                answer.status = 409;
            }
        }
    }
    let done = match (answer.status, live) {
        // Not there yet, changed in between, or not able to answer for now, which goes for webhooks, too.
        (404 | 409 | 429 | 500.., _) => return Ok(Try::Later(complaint(&object.key, &answer))),
        _ if !answer.is_good() => Done::Failed { why: complaint(&object.key, &answer) },
        (_, None) => Done::Created,
        (_, Some(live)) if compare::changes(&object.key, &live, &answer.body).is_empty() => Done::Unchanged,
        _ => Done::Changed,
    };
    Ok(Try::Done(Applied { key: object.key, done, warnings }))
}
