//! `labimg status`: the state of a cluster.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use super::Outcome;
use super::output::{Failure, Output};
use super::reach::Reach;
use super::report::Reporter;
use crate::kube::{self, Access, KubeError, Objects, Patience, Status, pause};
use crate::lab;
use crate::wording::one_line;
use labimg_tree::fault::{Fault, FaultKind};

/// Wait between two queries of the cluster.
const EVERY: Duration = Duration::from_secs(2);

/// How long a transient error is tolerated.
const GRACE: Duration = Duration::from_secs(60);

const EXAMPLES: &str = "\
Examples:
  labimg status --wait                        the lab of this folder, until all is ready
  labimg status --kubeconfig ~/.kube/config   any cluster whose kubeconfig has a client certificate
  labimg status --server 127.0.0.1:16443      by a forwarded port

Exit code 0 when all is ready, else 1.";

/// Show nodes, add-ons and charts of a cluster
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct StatusArgs {
    /// The folder that holds lab.toml
    #[arg(long, value_name = "DIR", default_value = ".")]
    lab: PathBuf,
    #[command(flatten)]
    reach: Reach,
    /// Wait until all is ready
    #[arg(long)]
    wait: bool,
    /// Longest wait in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 900, requires = "wait")]
    timeout: u64,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Report {
    /// The kubeconfig's context.
    cluster: String,
    #[serde(flatten)]
    status: Status,
}

pub fn run(args: &StatusArgs, out: &Output, reporter: &Reporter) -> Outcome {
    // Another cluster's kubeconfig is unrelated to the lab in this folder.
    let expected: Vec<String> = match (lab::find(&args.lab), &args.reach.kubeconfig) {
        (Some(file), None) => {
            let folder = lab::load(&file)?;
            folder.lab.nodes.into_iter().map(|node| node.name).collect()
        }
        _ => Vec::new(),
    };
    let access = args.reach.access(&args.lab, reporter)?;
    let watch = Watch { access: &access, reach: &args.reach, expected: &expected };
    let result = if args.wait {
        watch.until_ready(Duration::from_secs(args.timeout), reporter)
    } else {
        watch.look().map_err(Failure::from)
    };
    let report = Report { cluster: access.context.clone(), status: result? };
    out.result(&report, |report| kube::render(&report.status))?;
    let status = &report.status;
    if status.ready {
        return Ok(());
    }
    let waited = args.wait.then_some(args.timeout);
    Err(NotReady { waited, missing: status.missing.clone(), hints: status.hints.clone() }.into())
}

/// The cluster is not ready: what is missing, and how to find out why.
#[derive(Debug)]
struct NotReady {
    waited: Option<u64>,
    missing: Vec<String>,
    hints: Vec<String>,
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.waited {
            Some(seconds) => write!(f, "not ready after {seconds} s")?,
            None => f.write_str("not ready")?,
        }
        self.missing.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl Error for NotReady {}

impl Fault for NotReady {
    fn kind(&self) -> FaultKind {
        FaultKind::World
    }

    fn help(&self) -> Option<String> {
        (!self.hints.is_empty()).then(|| self.hints.join("\n"))
    }
}

/// A cluster that is queried repeatedly.
struct Watch<'a> {
    access: &'a Access,
    reach: &'a Reach,
    expected: &'a [String],
}

impl Watch<'_> {
    /// Queries once.
    fn look(&self) -> Result<Status, KubeError> {
        let client = self.reach.client(self.access)?;
        Ok(Status::of(&Objects::fetch(&client)?, self.expected))
    }

    /// Queries until everything is ready or the time is over; then the last result counts.
    fn until_ready(&self, limit: Duration, reporter: &Reporter) -> Result<Status, Failure> {
        let (begun, live) = (Instant::now(), reporter.live());
        let (mut last, mut said, mut trouble) = (None::<Status>, String::new(), None::<Instant>);
        loop {
            let error = match self.look() {
                Ok(status) => {
                    trouble = None;
                    live.show(&kube::render(&status), &kube::changes(last.as_ref(), &status));
                    if status.ready || begun.elapsed() >= limit {
                        return Ok(status);
                    }
                    last = Some(status);
                    said.clear();
                    None
                }
                Err(error) => Some(error),
            };
            if let Some(error) = error {
                let since = *trouble.get_or_insert_with(Instant::now);
                let tolerated = match error.patience() {
                    Patience::Long => true,
                    Patience::Short => since.elapsed() < GRACE,
                    Patience::None => false,
                };
                if !tolerated || begun.elapsed() >= limit {
                    return Err(error.into());
                }
                let text = one_line(&error);
                if text != said {
                    live.show(&text, std::slice::from_ref(&text));
                    said = text;
                }
            }
            pause(EVERY.min(limit.saturating_sub(begun.elapsed())))?;
        }
    }
}
