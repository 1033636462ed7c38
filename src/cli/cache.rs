//! `labimg cache`: downloads, and what was made from them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};

use super::Outcome;
use super::output::Output;
use super::report::Reporter;
use super::size::parse_size;
use labimg_store::{Keep, Store};

/// List, check or shrink the cache of downloads
#[derive(Debug, Args)]
pub struct CacheArgs {
    #[command(subcommand)]
    command: CacheCommand,
    /// Folder of the cache [default: ~/.cache/labimg]
    #[arg(long, value_name = "DIR", env = "LABIMG_CACHE", global = true)]
    cache: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum CacheCommand {
    /// Show what is there
    List,
    /// Read everything again and throw away what is damaged
    Verify,
    /// Remove what was not used for long, or the least used until the rest is small enough
    // Without a limit nothing would be removed, which makes no sense.
    #[command(
        group(ArgGroup::new("limit").args(["days", "size"]).required(true).multiple(true)),
        after_help = "Example:\n  labimg cache prune --days 30 --size 4G"
    )]
    Prune {
        /// Remove what was not used for so many days
        #[arg(long)]
        days: Option<u32>,
        /// Keep at most this much, such as 4G; 0 empties the cache
        #[arg(long, value_parser = parse_size)]
        size: Option<u64>,
        /// Only say what would go
        #[arg(long)]
        dry_run: bool,
    },
}

pub fn run(args: &CacheArgs, out: &Output, reporter: &Reporter) -> Outcome {
    let dir = args.cache.clone().map_or_else(labimg_store::default_dir, Ok)?;
    let store = Store::open(&dir)?;
    match &args.command {
        CacheCommand::List => out.result(&store.list()?, ToString::to_string),
        CacheCommand::Verify => out.result(&store.verify(reporter)?, ToString::to_string),
        CacheCommand::Prune { days, size, dry_run } => {
            let day = Duration::from_secs(24 * 3600);
            let keep = Keep { used_within: days.map(|d| day * d), at_most: *size };
            out.result(&store.prune(&keep, *dry_run)?, ToString::to_string)
        }
    }
}
