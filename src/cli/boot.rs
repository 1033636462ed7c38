//! `labimg boot`: an image in QEMU.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::Outcome;
use super::output::Failure;
use super::size::parse_size;
use crate::boot::{self, BootError, BootOptions, Ending};
use crate::report::Reporter;

const EXAMPLES: &str = "\
Examples:
  labimg boot master-virt.img                          console on this terminal; leave with Ctrl-A X
  labimg boot master-virt.img --ssh-port 2222          then: ssh -p 2222 lab@127.0.0.1
  labimg boot master-rpi3.img --expect login: --timeout 600";

/// Start an image in QEMU, as its board would; the image itself is not changed
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct BootArgs {
    /// The image
    image: PathBuf,
    /// The board, when the image does not say it
    #[arg(long)]
    board: Option<String>,
    /// Forward this port of 127.0.0.1 to the node's SSH
    #[arg(long, value_name = "PORT")]
    ssh_port: Option<u16>,
    /// Attach a raw image as a USB disk (it is written to); may be given more than once
    #[arg(long, value_name = "FILE")]
    usb: Vec<PathBuf>,
    /// Memory in MiB
    #[arg(long, value_name = "MIB")]
    memory: Option<u32>,
    /// Size of the card, such as 64G, when larger than the image
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    disk_size: Option<u64>,
    /// Write to this disk and keep it; made from the image when it does not exist
    #[arg(long, value_name = "FILE")]
    keep: Option<PathBuf>,
    /// End with success once this text appears on the console
    #[arg(long, value_name = "TEXT")]
    expect: Option<String>,
    /// End with an error after this many seconds
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Write a copy of the console to this file
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

pub fn run(args: &BootArgs, reporter: &Reporter) -> Outcome {
    let options = BootOptions {
        board: args.board.clone(),
        memory_mib: args.memory,
        ssh_port: args.ssh_port,
        usb: args.usb.clone(),
        disk_size: args.disk_size,
        keep: args.keep.clone(),
        expect: args.expect.clone(),
        timeout: args.timeout.map(Duration::from_secs),
        log: args.log.clone(),
        interactive: args.expect.is_none()
            && args.log.is_none()
            && std::io::stdin().is_terminal()
            && std::io::stdout().is_terminal(),
    };
    if options.interactive {
        reporter.note("labimg: the console follows; leave with Ctrl-A X");
    }
    match boot::run(&args.image, &options, &mut std::io::stdout(), reporter) {
        Ok(Ending::Expected) => {
            reporter.note("\nlabimg: the text appeared");
            Ok(())
        }
        Ok(Ending::Stopped) => Ok(()),
        Err(e @ (BootError::Board(_) | BootError::NoBoard(_))) => Err(Failure::usage(e)),
        Err(e) => Err(Failure::work(e)),
    }
}
