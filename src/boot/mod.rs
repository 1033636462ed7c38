//! Starts an image in QEMU as its board would: files that the firmware reads from the FAT partition are read from
//! there, so a wrong file name fails as it would on the board. The image itself is never written to. QEMU ends with
//! labimg even when that is killed; a copy of the card that is left then is removed by the next boot.

pub mod config_txt;
pub mod console;
pub mod disk;
mod folder;
pub mod monitor;
pub mod network;
pub mod payload;
pub mod qemu;
pub mod tied;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use crate::parts::Parts;
use crate::parts::UnknownPart;
use crate::record::{ImageRecord, NODE_PATH, RecordError};
use console::{Tee, Watch};
use disk::Disk;
use folder::Folder;
use labimg_disk::read::fat::FatVolume;
use labimg_disk::read::{InspectError, Region, Volume, table};
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::interrupt;
use labimg_tree::progress::Progress;
use monitor::{Monitor, Stop};
use network::{Mac, Network};
use qemu::{Console, Machine, Qemu};

/// Why an image did not boot.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// QEMU is not installed.
    #[error("qemu-system-aarch64 was not found")]
    QemuMissing,
    /// The image cannot be read.
    #[error(transparent)]
    Image(InspectError),
    /// The board's firmware would not boot this.
    #[error("the board would not boot this image: {0}")]
    Firmware(String),
    /// The image's board is unknown.
    #[error("{0} does not say which board it is for")]
    NoBoard(PathBuf),
    /// Its record cannot be read.
    #[error("{}: {NODE_PATH} in it does not say which board it is for", image.display())]
    Manifest {
        /// The image.
        image: PathBuf,
        /// The cause.
        source: RecordError,
    },
    /// A board that does not exist.
    #[error(transparent)]
    Board(#[from] UnknownPart),
    /// The text did not appear in time.
    #[error("`{text}` did not appear on the console within {seconds} s; its last lines:\n{tail}")]
    TimedOut {
        /// The expected text.
        text: String,
        /// How long we waited.
        seconds: u64,
        /// The last lines of the console.
        tail: String,
    },
    /// The machine ended before the text appeared.
    #[error("the machine ended before `{text}` appeared on the console; its last lines:\n{tail}")]
    Ended {
        /// The expected text.
        text: String,
        /// The last lines of the console.
        tail: String,
    },
    /// QEMU exited with an error.
    #[error("QEMU ended with {0}; its message stands above")]
    Qemu(std::process::ExitStatus),
    /// Nothing listens at the network's address.
    #[error("nobody listens on {address}, which --network names")]
    Network {
        /// The address as given.
        address: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file or pipe failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The user asked to stop.
    #[error(transparent)]
    Interrupted(#[from] interrupt::Interrupted),
}

impl Fault for BootError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::NoBoard(_) => FaultKind::Usage,
            Self::Image(source) => source.kind(),
            Self::Manifest { source, .. } => source.kind(),
            Self::Board(source) => source.kind(),
            Self::QemuMissing
            | Self::Firmware(_)
            | Self::TimedOut { .. }
            | Self::Ended { .. }
            | Self::Qemu(_)
            | Self::Network { .. }
            | Self::Io(_) => FaultKind::World,
            Self::Interrupted(_) => FaultKind::Interrupted,
        }
    }

    fn help(&self) -> Option<String> {
        let help = |text: &str| Some(text.to_owned());
        match self {
            Self::QemuMissing => help(
                "install QEMU (Debian and Ubuntu: `apt install qemu-system-arm`, Fedora: `dnf install qemu-system-aarch64`, \
                 macOS: `brew install qemu`)",
            ),
            Self::NoBoard(_) => help("name it with --board"),
            Self::Manifest { source, .. } => source.help().or_else(|| help("name the board with --board")),
            Self::Image(source) => source.help(),
            Self::Board(source) => source.help(),
            Self::Firmware(_)
            | Self::TimedOut { .. }
            | Self::Ended { .. }
            | Self::Qemu(_)
            | Self::Network { .. }
            | Self::Io(_)
            | Self::Interrupted(_) => None,
        }
    }
}

/// How to boot an image.
#[derive(Debug, Clone, Default)]
pub struct BootOptions {
    /// The available boards.
    pub parts: Parts,
    /// The board, if the image does not record it.
    pub board: Option<String>,
    /// Memory in MiB.
    pub memory_mib: Option<u32>,
    /// What the network port is connected to.
    pub network: Network,
    /// The network port's address; `None` derives it from the disk.
    pub mac: Option<Mac>,
    /// Port on 127.0.0.1 for the machine's SSH; only with [`Network::User`].
    pub ssh_port: Option<u16>,
    /// The board's clock at every power-on; `None` for the real time.
    pub rtc: Option<jiff::civil::DateTime>,
    /// Path of a second QMP socket, for scripts.
    pub monitor: Option<PathBuf>,
    /// Images that appear as USB disks; they are written to.
    pub usb: Vec<PathBuf>,
    /// Size of the card in bytes, if larger than the image.
    pub disk_size: Option<u64>,
    /// A disk to keep, made from the image if missing.
    pub keep: Option<PathBuf>,
    /// Stops the machine when this text appears.
    pub expect: Option<String>,
    /// How long to wait for that text, or for the machine to end.
    pub timeout: Option<Duration>,
    /// Log file for the console.
    pub log: Option<PathBuf>,
    /// Whether the console is an interactive terminal.
    pub interactive: bool,
}

/// How a boot ended successfully.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The text appeared.
    Expected,
    /// The node powered off, or the user ended QEMU.
    Stopped,
}

/// Boots `image` until it powers off, the text appears, or the time is over. When the node reboots, it starts again
/// from the current firmware partition.
///
/// # Errors
/// See [`BootError`].
pub fn run(
    image: &Path,
    options: &BootOptions,
    screen: &mut dyn Write,
    reporter: &dyn Progress,
) -> Result<Ending, BootError> {
    let board = match &options.board {
        Some(name) => options.parts.board(name)?.clone(),
        None => options.parts.board(&board_of(image)?)?.clone(),
    };
    if let Network::Socket(address) = &options.network {
        options.network.check().map_err(|source| BootError::Network { address: address.clone(), source })?;
    }
    let folder = Folder::make(&std::env::temp_dir())?;
    let size = fs_err::metadata(image)?.len().max(options.disk_size.unwrap_or(0));
    let size = disk::padded(size, board.qemu.pad_to_power_of_two);
    let disk = Disk::prepare(image, folder.path(), options.keep.as_deref(), size)?;
    let machine = Machine {
        disk: disk.path().to_path_buf(),
        usb: options.usb.clone(),
        memory_mib: options.memory_mib,
        network: options.network.clone(),
        mac: options.mac.unwrap_or(Mac::of_disk(&fs_err::canonicalize(disk.path())?)),
        ssh_port: options.ssh_port,
        rtc: options.rtc,
        monitor: folder.path().join("qmp"),
        second_monitor: options.monitor.clone(),
    };
    let log = options.log.as_ref().map(fs_err::File::create).transpose()?.map(|f| f.into_parts().0);
    let mut tee = Tee { screen, log };
    let deadline = options.timeout.map(|t| Instant::now() + t);
    loop {
        let volume = firmware_volume(disk.path())?;
        let payload = payload::read(&volume, &board)?;
        payload.remarks.iter().for_each(|r| reporter.warn(r));
        qemu::write_payload(&payload, folder.path())?;
        let arguments = qemu::arguments(&board, &payload, &machine, folder.path());
        let mut watch = Watch::new(options.expect.as_deref());
        match one_run(&arguments, &machine, options, &mut watch, &mut tee, deadline)? {
            Run::Found => return Ok(Ending::Expected),
            Run::Stopped(Stop::Reboot) => reporter.note("labimg: the node restarts"),
            Run::Stopped(_) if options.expect.is_some() => {
                return Err(BootError::Ended {
                    text: options.expect.clone().unwrap_or_default(),
                    tail: watch.last_lines(20),
                });
            }
            Run::Stopped(_) => return Ok(Ending::Stopped),
        }
    }
}

enum Run {
    Found,
    Stopped(Stop),
}

fn one_run(
    arguments: &[std::ffi::OsString],
    machine: &Machine,
    options: &BootOptions,
    watch: &mut Watch,
    tee: &mut Tee<'_>,
    deadline: Option<Instant>,
) -> Result<Run, BootError> {
    let console = if options.interactive { Console::Terminal } else { Console::Piped };
    let mut process = Qemu::start(arguments, console)?;
    let mut monitor = match Monitor::connect(&machine.monitor) {
        Ok(monitor) => monitor,
        // If QEMU ends at once, it has printed the reason on standard error.
        Err(e) => return Err(process.0.try_wait()?.map_or(BootError::Io(e), BootError::Qemu)),
    };
    if machine.network == Network::None {
        monitor.unplug(qemu::NETWORK);
    }
    let mut end = |process: &mut Qemu| -> std::io::Result<()> {
        monitor.quit();
        process.0.wait().map(drop)
    };
    let output = process.0.stdout.take().map(console::pump);
    loop {
        if interrupt::requested() {
            end(&mut process)?;
            return Err(interrupt::Interrupted.into());
        }
        if deadline.is_some_and(|d| Instant::now() >= d) {
            end(&mut process)?;
            return Err(BootError::TimedOut {
                text: options.expect.clone().unwrap_or_else(|| "the end of the machine".to_owned()),
                seconds: options.timeout.unwrap_or_default().as_secs(),
                tail: watch.last_lines(20),
            });
        }
        match &output {
            Some(output) => match output.recv_timeout(Duration::from_millis(100)) {
                Ok(piece) => {
                    tee.write(&piece)?;
                    if watch.feed(&piece) {
                        end(&mut process)?;
                        return Ok(Run::Found);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            },
            None if process.0.try_wait()?.is_some() => break,
            None => std::thread::sleep(Duration::from_millis(100)),
        }
    }
    let status = process.0.wait()?;
    if !status.success() {
        return Err(BootError::Qemu(status));
    }
    Ok(Run::Stopped(monitor.stop_reason()))
}

/// The board for which an image was built, from the record in its root file system.
fn board_of(image: &Path) -> Result<String, BootError> {
    let mut manifest = None;
    for partition in partitions(image)? {
        if let Ok(volume) = partition
            && let Ok(text) = volume.read_file(NODE_PATH)
        {
            manifest = Some(text);
        }
    }
    let manifest = manifest.ok_or_else(|| BootError::NoBoard(image.to_path_buf()))?;
    let manifest = ImageRecord::from_json(&String::from_utf8_lossy(&manifest));
    let manifest = manifest.map_err(|source| BootError::Manifest { image: image.to_path_buf(), source })?;
    Ok(manifest.board)
}

/// The first FAT partition: what a board's firmware reads.
fn firmware_volume(image: &Path) -> Result<FatVolume, BootError> {
    for partition in partitions(image)? {
        if let Ok(Volume::Fat(volume)) = partition {
            return Ok(volume);
        }
    }
    Err(BootError::Firmware("it has no FAT partition".to_owned()))
}

/// The file system of every partition; a partition with an unknown one gives an error.
fn partitions(image: &Path) -> Result<impl Iterator<Item = Result<Volume, InspectError>>, BootError> {
    let whole = Region::whole(image).map_err(BootError::Image)?;
    let table = table::read(&whole).map_err(BootError::Image)?;
    Ok(table.partitions.into_iter().map(move |p| Volume::in_region(whole.part(p.start, p.len)?)))
}
