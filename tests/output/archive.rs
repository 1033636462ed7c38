//! A small Debian archive, signed with a test key, instead of a mirror. It has packages with the names that roles and
//! boards ask for, and only the content that an image needs. Images built from it do not boot, but labimg's output is
//! the same as for real ones.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sequoia_openpgp::cert::{Cert, CertBuilder};
use sequoia_openpgp::policy::StandardPolicy;
use sequoia_openpgp::serialize::SerializeInto;
use sequoia_openpgp::serialize::stream::{Message, Signer};
use sha2::{Digest, Sha256};

use labimg_testkit::http_server::Server;

/// 2026-11-14 10:00 UTC: when the archive was made.
pub const MADE: u64 = 1_794_650_400;
/// The kernel's version.
const KERNEL: &str = "6.12.1-test-arm64";

/// An archive on a server.
pub struct Archive {
    /// The key that signs it.
    pub key: Cert,
}

/// A package of the archive.
struct Package {
    name: String,
    version: &'static str,
    fields: String,
    /// Path, mode, content.
    files: Vec<(String, u32, Vec<u8>)>,
    /// Path, target.
    links: Vec<(String, String)>,
}

impl Package {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), version: "1.0", fields: String::new(), files: Vec::new(), links: Vec::new() }
    }

    fn version(mut self, version: &'static str) -> Self {
        self.version = version;
        self
    }

    fn field(mut self, line: &str) -> Self {
        self.fields += &format!("{line}\n");
        self
    }

    fn file(mut self, path: &str, mode: u32, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((path.to_owned(), mode, content.into()));
        self
    }

    fn link(mut self, path: &str, target: &str) -> Self {
        self.links.push((path.to_owned(), target.to_owned()));
        self
    }

    fn unit(self, name: &str) -> Self {
        let text =
            "[Unit]\nDescription=a test\n[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n";
        self.file(&format!("usr/lib/systemd/system/{name}"), 0o644, text)
    }

    fn control(&self) -> String {
        format!(
            "Package: {}\nVersion: {}\nArchitecture: arm64\nMaintainer: Nobody <nobody@mirror.example>\n{}\
             Description: a test\n",
            self.name, self.version, self.fields
        )
    }

    fn deb(&self) -> Vec<u8> {
        let (scripts, files): (Vec<_>, Vec<_>) = self.files.iter().cloned().partition(|(path, ..)| path == "postinst");
        let control = ("control".to_owned(), 0o644, self.control().into_bytes());
        let control = tar(&[vec![control], scripts].concat(), &[]);
        let data = tar(&files, &self.links);
        let mut deb = b"!<arch>\n".to_vec();
        for (name, content) in
            [("debian-binary", b"2.0\n".to_vec()), ("control.tar.gz", control), ("data.tar.gz", data)]
        {
            writeln!(deb, "{name:<16}{:<12}{:<6}{:<6}{:<8o}{:<10}`", 0, 0, 0, 0o100_644, content.len()).unwrap();
            deb.extend(&content);
            deb.resize(deb.len().next_multiple_of(2), b'\n');
        }
        deb
    }
}

/// Not compressed, so that sizes do not depend on the compressor.
fn tar(files: &[(String, u32, Vec<u8>)], links: &[(String, String)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none()));
    let header = |kind, mode, size: usize| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(MADE);
        header.set_size(size as u64);
        header
    };
    for (path, target) in links {
        tar.append_link(&mut header(tar::EntryType::Symlink, 0o777, 0), format!("./{path}"), target).unwrap();
    }
    let mut folders = std::collections::BTreeSet::new();
    for (path, mode, content) in files {
        let parts: Vec<&str> = path.split('/').collect();
        for depth in 1..parts.len() {
            let folder = parts[..depth].join("/");
            if folders.insert(folder.clone()) {
                let mut header = header(tar::EntryType::Directory, 0o755, 0);
                tar.append_data(&mut header, format!("./{folder}/"), std::io::empty()).unwrap();
            }
        }
        let mut header = header(tar::EntryType::Regular, *mode, content.len());
        tar.append_data(&mut header, format!("./{path}"), content.as_slice()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

/// A fake static program for arm64: only the ELF header.
pub fn program() -> Vec<u8> {
    let mut elf = vec![0; 64];
    elf[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0");
    // e_version, e_ehsize, e_phentsize, e_shentsize
    (elf[20], elf[52], elf[54], elf[58]) = (1, 64, 56, 64);
    elf
}

/// The packages that boards and roles ask for, as listed by the program itself, and the modules that boards need.
fn asked(program: &Path) -> (Vec<String>, Vec<String>) {
    let list = |args: &[&str]| -> serde_json::Value {
        let output = Command::new(program).args(args).arg("--json").current_dir("/").output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let (boards, roles) = (list(&["boards"]), list(&["roles", "--packages"]));
    let mut packages: Vec<String> =
        roles.as_array().unwrap().iter().flat_map(|r| r["packages"].as_object().unwrap().keys().cloned()).collect();
    let mut modules = Vec::new();
    for board in boards.as_array().unwrap() {
        packages.extend(board["packages"].as_array().unwrap().iter().map(|p| text(&p["name"])));
        modules.extend(board["initramfs"]["modules"].as_array().unwrap().iter().map(text));
    }
    packages.sort();
    packages.dedup();
    (packages, modules)
}

fn packages() -> Vec<Package> {
    let (names, modules) = asked(Path::new(env!("CARGO_BIN_EXE_labimg")));
    let builtin: String = modules.iter().map(|module| format!("kernel/{module}.ko\n")).collect();
    let folder = format!("usr/lib/modules/{KERNEL}");
    let fill = |name: String| {
        let package = Package::new(&name);
        match name.as_str() {
            "busybox" => package.file("usr/bin/busybox", 0o755, program()),
            "e2fsprogs" => package.file("usr/sbin/e2fsck", 0o755, program()),
            "linux-image-arm64" => package
                .file(&format!("boot/vmlinuz-{KERNEL}"), 0o644, "a kernel")
                .file(&format!("{folder}/modules.builtin"), 0o644, builtin.clone())
                .file(&format!("{folder}/modules.builtin.modinfo"), 0o644, "")
                .file(&format!("{folder}/modules.order"), 0o644, ""),
            "systemd-sysv" => package.unit("systemd-networkd.service"),
            "nfs-kernel-server" => package.unit("nfs-server.service"),
            _ => package,
        }
    };
    let mut all: Vec<Package> = names.into_iter().map(fill).collect();
    let base = Package::new("base-files")
        .field("Essential: yes")
        .link("bin", "usr/bin")
        .link("lib", "usr/lib")
        .link("sbin", "usr/sbin")
        .file("etc/os-release", 0o644, "PRETTY_NAME=\"Test 1 (test)\"\n")
        .file("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/bash\n")
        .file("etc/group", 0o644, "root:x:0:\nsudo:x:27:\n")
        .file("etc/shadow", 0o640, "root:*:20000:0:99999:7:::\n");
    all.push(base);
    all.extend([
        Package::new("htop").field("Depends: libncurses6 (>= 1)"),
        Package::new("libncurses6"),
        Package::new("strange").file("postinst", 0o755, "#!/bin/sh\nset -e\nfrobnicate --all\n"),
        Package::new("torn").field("Depends: nowhere (>= 2)"),
        Package::new("light").field("Conflicts: heavy"),
        Package::new("heavy"),
    ]);
    all
}

impl Archive {
    /// Puts an archive on the server: `/debian` and `/debian-security`.
    pub fn on(server: &Server) -> Self {
        let made = UNIX_EPOCH + Duration::from_secs(MADE - 86_400);
        let key = CertBuilder::new().add_userid("Test Archive").set_creation_time(made).set_validity_period(None);
        let archive = Self { key: key.add_signing_subkey().generate().unwrap().0 };
        archive.suite(server, "debian", "trixie", packages());
        archive.suite(server, "debian", "trixie-updates", vec![]);
        archive.suite(server, "debian-security", "trixie-security", vec![Package::new("nano").version("1.1")]);
        archive
    }

    /// The public half of its key, as a file.
    pub fn keyring(&self, path: &Path) {
        std::fs::write(path, self.key.armored().to_vec().unwrap()).unwrap();
    }

    fn suite(&self, server: &Server, base: &str, suite: &str, packages: Vec<Package>) {
        let mut list = String::new();
        for package in packages {
            let (deb, path) = (package.deb(), format!("pool/{}_{}_arm64.deb", package.name, package.version));
            let (control, hash, size) = (package.control(), hex(&deb), deb.len());
            writeln!(list, "{control}Filename: {path}\nSize: {size}\nSHA256: {hash}\n").unwrap();
            server.file(&format!("/{base}/{path}"), deb);
        }
        let mut files = String::new();
        for (component, text) in [("main", list.as_str()), ("non-free-firmware", "")] {
            let folder = format!("{component}/binary-arm64");
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
            encoder.write_all(text.as_bytes()).unwrap();
            let packed = encoder.finish().unwrap();
            writeln!(files, " {} {} {folder}/Packages", hex(text.as_bytes()), text.len()).unwrap();
            writeln!(files, " {} {} {folder}/Packages.xz", hex(&packed), packed.len()).unwrap();
            server.file(&format!("/{base}/dists/{suite}/{folder}/Packages.xz"), packed);
        }
        let text = format!("Suite: stable\nCodename: {suite}\nDate: Sat, 14 Nov 2026 10:00:00 UTC\nSHA256:\n{files}");
        server.file(&format!("/{base}/dists/{suite}/InRelease"), sign(&text, &self.key));
    }
}

/// A clear-signed text.
pub fn sign(text: &str, key: &Cert) -> Vec<u8> {
    let when: SystemTime = UNIX_EPOCH + Duration::from_secs(MADE);
    let policy = StandardPolicy::new();
    let key = key.keys().secret().with_policy(&policy, when).for_signing().next().unwrap();
    let mut out = Vec::new();
    let signer = Signer::new(Message::new(&mut out), key.key().clone().into_keypair().unwrap()).unwrap();
    let mut stack = signer.cleartext().creation_time(when).build().unwrap();
    stack.write_all(text.as_bytes()).unwrap();
    stack.finalize().unwrap();
    out
}

/// SHA-256 in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}
