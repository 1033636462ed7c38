//! `labimg roles`: the roles that a node can have.

use std::fmt::Write;
use std::path::Path;

use clap::Args;

use super::Outcome;
use super::inputs::parts_of;
use super::output::Output;

/// List the roles
#[derive(Debug, Args)]
pub struct RolesArgs {
    /// Show the packages of each role and why they are there
    #[arg(long)]
    packages: bool,
}

pub fn run(args: &RolesArgs, out: &Output) -> Outcome {
    let parts = parts_of(&[Path::new("")])?;
    let common = args.packages.then(|| parts.common());
    let roles: Vec<_> = common.into_iter().chain(parts.roles()).collect();
    out.result(&roles, |roles| {
        let mut text = String::new();
        for role in roles {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{:<8} {}", role.name, role.title);
            if args.packages {
                for (package, why) in &role.packages {
                    let _ = writeln!(text, "    {package:<24} {why}");
                }
            }
        }
        text
    })
}
