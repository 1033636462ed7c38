//! The QEMU command line of a board, and the running process.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use super::BootError;
use super::network::{Mac, Network};
use super::payload::Payload;
use super::tied;
use crate::parts::board::{Board, QemuDisk, QemuNetwork};

/// The program that runs 64-bit ARM machines.
const PROGRAM: &str = "qemu-system-aarch64";

/// The name of QEMU's network backend.
pub const NETWORK: &str = "net";

/// Added to the image's kernel command line because of how QEMU emulates a processor.
///
/// QEMU remembers which memory pages hold code that it has translated, and handles every write to such a page itself.
/// It forgets a page once all of its code is overwritten. The kernel zeroes pages with `dc zva`, but QEMU only counts
/// the first byte of each 64 as written (`probe_access` in accel/tcg/cputlb.c of 7.2, as in Debian 12; fixed since). So
/// when a page that held a program is reused as a kernel stack, each write to that stack is a hundred times slower. Of
/// 34 boots, 3 took 12 s or more to check the signature of one module, and ran into systemd's time limits. With
/// poisoning, freed pages are overwritten by ordinary stores: of 19 boots, none did.
const KERNEL: &str = "page_poison=1";

/// What is attached to the machine.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The disk the machine boots from.
    pub disk: PathBuf,
    /// Raw images that appear as USB disks.
    pub usb: Vec<PathBuf>,
    /// Memory in MiB; `None` for the board's default.
    pub memory_mib: Option<u32>,
    /// What the network port is connected to.
    pub network: Network,
    /// The network port's address.
    pub mac: Mac,
    /// Port on 127.0.0.1 forwarded to the machine's SSH; only with [`Network::User`].
    pub ssh_port: Option<u16>,
    /// The board's clock at power-on; `None` for the real time.
    pub rtc: Option<jiff::civil::DateTime>,
    /// Path of QEMU's QMP socket.
    pub monitor: PathBuf,
    /// A second one, for the user.
    pub second_monitor: Option<PathBuf>,
}

/// Where the console goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Console {
    /// Standard input and output, in QEMU's raw mode (leave with Ctrl-A X).
    Terminal,
    /// A pipe to labimg; no input.
    Piped,
}

/// All arguments for QEMU. `folder` holds the payload's files, written by [`write_payload`].
#[must_use]
pub fn arguments(board: &Board, payload: &Payload, machine: &Machine, folder: &Path) -> Vec<OsString> {
    let mut args: Vec<OsString> = Vec::new();
    let mut add = |words: &[&str]| args.extend(words.iter().map(OsString::from));
    let qemu = &board.qemu;
    add(&["-nodefaults", "-display", "none", "-no-reboot", "-machine", &qemu.machine]);
    if let Some(cpu) = &qemu.cpu {
        add(&["-cpu", cpu]);
    }
    if qemu.machine == "virt" {
        // Two processors, so that locking in the guest is exercised; the Pi machines have a fixed number.
        add(&["-smp", "2", "-device", "virtio-rng-pci"]);
    }
    add(&["-m", &machine.memory_mib.unwrap_or(qemu.memory_mib).to_string()]);
    add(&["-append", &format!("{} {KERNEL}", payload.cmdline)]);
    // `ttyS1` on a Pi is the mini UART, which is QEMU's second serial port.
    if qemu.console == "ttyS1" {
        add(&["-serial", "null"]);
    }
    // `mux` enables Ctrl-A X; `signal=off` passes Ctrl-C to the machine instead of ending QEMU.
    add(&["-chardev", "stdio,id=console,mux=on,signal=off", "-serial", "chardev:console", "-mon", "chardev=console"]);
    let file = |name: &str| folder.join(name).display().to_string();
    add(&["-kernel", &file("kernel")]);
    if payload.initramfs.is_some() {
        add(&["-initrd", &file("initramfs")]);
    }
    if payload.device_tree.is_some() {
        add(&["-dtb", &file("device-tree")]);
    }
    for socket in std::iter::once(&machine.monitor).chain(&machine.second_monitor) {
        add(&["-qmp", &format!("unix:{},server=on,wait=off", comma(socket))]);
    }
    if let Some(time) = &machine.rtc {
        add(&["-rtc", &format!("base={}", time.strftime("%Y-%m-%dT%H:%M:%S"))]);
    }
    // The copy is discarded, so flushing it to the host's disk would only cost time.
    let drive = format!("file={},format=raw,cache=unsafe,discard=unmap", comma(&machine.disk));
    match qemu.disk {
        QemuDisk::Virtio => {
            add(&["-drive", &format!("{drive},if=none,id=disk"), "-device", "virtio-blk-pci,drive=disk,serial=labimg"]);
        }
        QemuDisk::Sd => add(&["-drive", &format!("{drive},if=sd")]),
    }
    let backend = match &machine.network {
        Network::User => {
            let forward = machine.ssh_port.map(|port| format!(",hostfwd=tcp:127.0.0.1:{port}-:22"));
            format!("user,id={NETWORK}{}", forward.unwrap_or_default())
        }
        // A hub without a second port. The cable is unplugged once QEMU runs.
        Network::None => format!("hubport,id={NETWORK},hubid=0"),
        Network::Socket(address) => format!("socket,id={NETWORK},connect={address}"),
    };
    add(&["-netdev", &backend]);
    if qemu.usb && qemu.machine == "virt" {
        add(&["-device", "qemu-xhci"]);
    }
    match qemu.network {
        // No network boot, so without its ROM, which is in a separate package.
        QemuNetwork::Virtio => {
            add(&["-device", &format!("virtio-net-pci,netdev={NETWORK},mac={},romfile=", machine.mac)]);
        }
        QemuNetwork::Usb => add(&["-device", &format!("usb-net,netdev={NETWORK},mac={}", machine.mac)]),
    }
    for (i, path) in machine.usb.iter().enumerate() {
        let drive = format!("file={},format=raw,if=none,id=usb{i},cache=writeback", comma(path));
        add(&["-drive", &drive, "-device", &format!("usb-storage,id=usbdisk{i},drive=usb{i},serial=LABIMGUSB{i}")]);
    }
    args
}

/// Doubles commas, as QEMU's option lists require.
fn comma(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// Writes the files named by [`arguments`] into `folder`.
///
/// # Errors
/// When a file cannot be written.
pub fn write_payload(payload: &Payload, folder: &Path) -> Result<(), BootError> {
    let put = |name: &str, bytes: &[u8]| fs_err::write(folder.join(name), bytes).map_err(BootError::Io);
    put("kernel", &payload.kernel)?;
    if let Some(bytes) = &payload.initramfs {
        put("initramfs", bytes)?;
    }
    if let Some(bytes) = &payload.device_tree {
        put("device-tree", bytes)?;
    }
    Ok(())
}

/// A running QEMU; killed when dropped, and when the thread that started it ends.
#[derive(Debug)]
pub struct Qemu(pub Child);

impl Qemu {
    /// Starts QEMU.
    ///
    /// # Errors
    /// When the program is missing or does not start.
    pub fn start(arguments: &[OsString], console: Console) -> Result<Self, BootError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        if !std::env::split_paths(&path).any(|folder| folder.join(PROGRAM).is_file()) {
            return Err(BootError::QemuMissing);
        }
        let mut command = tied::command(PROGRAM.as_ref())?;
        command.args(arguments);
        if console == Console::Piped {
            command.stdin(Stdio::null()).stdout(Stdio::piped());
        }
        Ok(Self(command.spawn()?))
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // If it has already ended, both do nothing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::Parts;

    fn line(change: impl FnOnce(&mut Machine)) -> String {
        let payload = Payload {
            kernel: Vec::new(),
            initramfs: None,
            device_tree: None,
            cmdline: "quiet".to_owned(),
            remarks: Vec::new(),
        };
        let mut machine = Machine {
            disk: "disk,1".into(),
            usb: vec!["usb".into()],
            memory_mib: None,
            network: Network::User,
            mac: Mac([0x52, 0x54, 0, 1, 2, 3]),
            ssh_port: None,
            rtc: None,
            monitor: "qmp".into(),
            second_monitor: None,
        };
        change(&mut machine);
        let arguments =
            arguments(Parts::built_in().unwrap().board("virt").unwrap(), &payload, &machine, Path::new("folder"));
        arguments.iter().map(|a| a.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn networks() {
        let user = line(|m| m.ssh_port = Some(2222));
        assert!(user.contains("-netdev user,id=net,hostfwd=tcp:127.0.0.1:2222-:22 "), "{user}");
        assert!(user.contains("mac=52:54:00:01:02:03"), "{user}");
        let socket = line(|m| m.network = Network::Socket("127.0.0.1:5000".to_owned()));
        assert!(socket.contains("-netdev socket,id=net,connect=127.0.0.1:5000 "), "{socket}");
        assert!(line(|m| m.network = Network::None).contains("-netdev hubport,id=net,hubid=0 "));
    }

    #[test]
    fn clocks_monitors_and_disks() {
        let plain = line(|_| ());
        assert!(!plain.contains("-rtc") && plain.contains("-append quiet page_poison=1 "), "{plain}");
        assert!(plain.contains("file=disk,,1,"), "{plain}");
        assert!(plain.contains("usb-storage,id=usbdisk0,drive=usb0"), "{plain}");
        let more = line(|m| {
            m.rtc = Some("2038-01-19T03:14:07".parse().unwrap());
            m.second_monitor = Some("mine".into());
        });
        assert!(more.contains("-rtc base=2038-01-19T03:14:07 "), "{more}");
        assert!(more.contains("-qmp unix:qmp,server=on,wait=off -qmp unix:mine,server=on,wait=off "), "{more}");
    }
}
