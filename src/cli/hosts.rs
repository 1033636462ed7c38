//! `labimg hosts`: the lab's names for a computer that does not ask the lab for them.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::Outcome;
use super::output::Output;
use crate::kube;
use crate::lab::{self, Lab};
use crate::plan;
use crate::stack::{self, Stack};

const EXAMPLES: &str = "\
Examples:
  labimg hosts | sudo tee -a /etc/hosts
  labimg hosts --address 192.168.1.10

With `[stack] dns = true` the master answers for these names itself: give its address to your router as a DNS server for
the domain, and no computer needs such lines.";

/// Print the lab's names as lines for /etc/hosts
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct HostsArgs {
    /// The folder that holds lab.toml
    #[arg(long, value_name = "DIR", default_value = ".")]
    lab: PathBuf,
    /// The address of a node [default: that of the master, from lab.toml or by asking for NAME.local]
    #[arg(long)]
    address: Option<IpAddr>,
}

#[derive(Debug, Serialize)]
struct Hosts {
    address: IpAddr,
    names: Vec<String>,
}

pub fn run(args: &HostsArgs, out: &Output) -> Outcome {
    let checked = lab::check(&args.lab)?;
    out.warnings(&checked);
    let folder = &checked.folder;
    let stack = plan::stack_of(&folder.lab, &folder.parts)?;
    let hosts = Hosts { address: address(args.address, &folder.lab)?, names: names(&folder.lab, &stack) };
    out.result(&hosts, |hosts| {
        if hosts.names.is_empty() {
            return "# This lab serves no names: `[stack] profile` brings some.\n".to_owned();
        }
        // A line of many names is legal, but some programs cut long ones.
        hosts.names.iter().map(|name| format!("{} {name}\n", hosts.address)).collect()
    })
}

/// All names that the lab answers to, sorted.
fn names(lab: &Lab, stack: &Stack) -> Vec<String> {
    let hosts = stack.components().iter().flat_map(|chosen| &chosen.component.front.hosts);
    let mut names: Vec<String> = hosts.map(|name| stack::host(name, &lab.domain)).collect();
    names.sort();
    names.dedup();
    names
}

/// The given address, that of `lab.toml`, or the one by which the master is found now.
fn address(given: Option<IpAddr>, lab: &Lab) -> Result<IpAddr, kube::KubeError> {
    let master = lab.master();
    let set = master.and_then(|master| master.address.as_deref()?.split('/').next()?.parse().ok());
    if let Some(known) = given.or(set) {
        return Ok(known);
    }
    let host = format!("{}.local", master.map_or("", |master| master.name.as_str()));
    let found = kube::find(&host)?.into_iter().next();
    found.ok_or(kube::KubeError::NameNotFound { host })
}
