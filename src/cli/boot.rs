//! `labimg boot`: starts an image in QEMU.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::Outcome;
use super::inputs::parts_of;
use super::report::Reporter;
use super::size::parse_size;
use crate::boot::network::{Mac, Network};
use crate::boot::{self, BootOptions, Ending};
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::files::folder_of;
use labimg_tree::progress::Progress;

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
    /// What the network port is connected to: `user`, a router of its own with DHCP and a way out; `none`, no cable; or
    /// HOST:PORT, the socket of another QEMU or a switch (`-netdev socket,listen=` there)
    #[arg(long, value_name = "user|none|HOST:PORT", default_value = "user", hide_default_value = true)]
    network: Network,
    /// The network port's address, such as 52:54:00:12:34:56; each disk has its own when not given
    #[arg(long)]
    mac: Option<Mac>,
    /// Forward this port of 127.0.0.1 to the node's SSH; only with `--network user`
    #[arg(long, value_name = "PORT")]
    ssh_port: Option<u16>,
    /// Attach a raw image as a USB disk (it is written to); may be given more than once
    #[arg(long, value_name = "FILE")]
    usb: Vec<PathBuf>,
    /// What the board's clock says at power-on, in UTC, such as 2038-01-19T03:14:07 (boards that have one: `virt`)
    #[arg(long, value_name = "DATETIME")]
    rtc: Option<jiff::civil::DateTime>,
    /// Make a socket of QEMU's machine protocol (QMP) here, for scripts that plug disks or cables
    #[arg(long, value_name = "SOCKET")]
    monitor: Option<PathBuf>,
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

/// A port should be forwarded, but QEMU has no router.
#[derive(Debug, thiserror::Error)]
#[error("--ssh-port needs `--network user`")]
struct ForwardError;

impl Fault for ForwardError {
    fn kind(&self) -> FaultKind {
        FaultKind::Usage
    }

    fn help(&self) -> Option<String> {
        Some("on another network its router forwards ports, or nobody does".to_owned())
    }
}

pub fn run(args: &BootArgs, reporter: &Reporter) -> Outcome {
    if args.ssh_port.is_some() && args.network != Network::User {
        return Err(ForwardError.into());
    }
    let options = BootOptions {
        // An image is usually in its lab's folder.
        parts: parts_of(&[folder_of(&args.image), Path::new("")])?,
        board: args.board.clone(),
        memory_mib: args.memory,
        network: args.network.clone(),
        mac: args.mac,
        ssh_port: args.ssh_port,
        rtc: args.rtc,
        monitor: args.monitor.clone(),
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
    match boot::run(&args.image, &options, &mut std::io::stdout(), reporter)? {
        Ending::Expected => reporter.note("\nlabimg: the text appeared"),
        Ending::Stopped => {}
    }
    Ok(())
}
