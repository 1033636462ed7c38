//! `labimg trust`: how computers come to trust the lab's certificates.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::Outcome;
use super::output::Output;
use crate::lab;
use crate::plan;
use crate::secrets::{self, Secrets};
use labimg_tree::fault::{Fault, FaultKind};

/// Print the commands with which a computer trusts the lab's certificates
#[derive(Debug, Args)]
pub struct TrustArgs {
    /// The folder that holds lab.toml
    #[arg(long, value_name = "DIR", default_value = ".")]
    lab: PathBuf,
}

/// There is nothing to trust.
#[derive(Debug, thiserror::Error)]
enum TrustError {
    /// No component has certificates.
    #[error("the stack of this lab makes no certificates")]
    NoStack,
    /// The authority was never made.
    #[error("the lab's certificate authority was not made yet")]
    NotMade,
}

impl Fault for TrustError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::NoStack => FaultKind::Configuration,
            Self::NotMade => FaultKind::World,
        }
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            Self::NoStack => "`[stack] profile = \"minimal\"` or a larger one brings them",
            Self::NotMade => "`labimg build` makes it",
        };
        Some(help.to_owned())
    }
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Trust {
    /// The file with the certificate.
    file: PathBuf,
    /// SHA-256 of the certificate.
    fingerprint: String,
    /// Its last day.
    expires: String,
    /// System → what to do there.
    commands: Vec<(&'static str, String)>,
}

pub fn run(args: &TrustArgs, out: &Output) -> Outcome {
    let folder = lab::load(&args.lab)?;
    let stack = plan::stack_of(&folder.lab, &folder.parts)?;
    let names = stack.secret_names();
    if !names.authority {
        return Err(TrustError::NoStack.into());
    }
    let now = jiff::Timestamp::now().as_second();
    let dir = folder.dir.join(secrets::FOLDER);
    let mut found = Secrets::open_existing(&dir, &folder.lab, now)?;
    found.read_stack(&dir, &names, now)?;
    let file = found.write_authority(&folder)?.ok_or(TrustError::NotMade)?;
    let listed = found.list().into_iter().find(|one| one.kind == secrets::LAB_AUTHORITY).ok_or(TrustError::NotMade)?;
    let trust = Trust {
        commands: commands(&file, &folder.lab.name),
        fingerprint: listed.fingerprint.unwrap_or_default(),
        expires: listed.expires.unwrap_or_default(),
        file,
    };
    out.result(&trust, text)
}

fn commands(file: &Path, lab: &str) -> Vec<(&'static str, String)> {
    let path = file.display();
    vec![
        (
            "Debian, Ubuntu",
            format!("sudo cp {path} /usr/local/share/ca-certificates/labimg-{lab}.crt && sudo update-ca-certificates"),
        ),
        ("Fedora", format!("sudo cp {path} /etc/pki/ca-trust/source/anchors/labimg-{lab}.pem && sudo update-ca-trust")),
        ("Arch", format!("sudo trust anchor {path}")),
        (
            "macOS",
            format!("sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {path}"),
        ),
        ("Windows (as administrator)", format!("certutil -addstore -f Root {path}")),
        (
            "Chromium on Linux",
            format!("certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n labimg-{lab} -i {path}   (of libnss3-tools)"),
        ),
        ("Firefox", format!("Settings, Certificates, View Certificates, Authorities, Import: {path}")),
        (
            "Android, iOS",
            format!("send {path} to the phone, open it there, and let it be installed as a CA certificate"),
        ),
    ]
}

fn text(trust: &Trust) -> String {
    let mut text = format!(
        "{}: the lab's own certificate authority, until {}\nSHA-256 {}\nWhoever trusts it trusts every certificate that \
         the lab makes, for any name: keep secrets/ to yourself.\n\n",
        trust.file.display(),
        trust.expires,
        trust.fingerprint
    );
    for (system, command) in &trust.commands {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{system}:\n  {command}");
    }
    text
}
