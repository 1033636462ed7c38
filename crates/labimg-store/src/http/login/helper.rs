//! Programs that keep logins (github.com/docker/docker-credential-helpers, "Development"): `docker-credential-NAME get`
//! reads the registry's name and writes the login as JSON, or a message.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::{DOCKER_HUB, LoginError, Secret};
use labimg_tree::interrupt::Interrupted;

/// Largest answer that is read, in bytes.
const LIMIT: u64 = 1 << 20;

/// How often a waiting thread checks whether it should stop.
const TICK: Duration = Duration::from_millis(50);

/// The name under which Docker keeps the login of Docker Hub.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// What helpers say when they have no login (`credentials.errCredentialsNotFoundMessage` there).
const NOT_FOUND: &str = "credentials not found";

/// In place of a user, when the secret is a token (`credentials.Credentials` there).
const TOKEN: &str = "<token>";

/// A credential helper.
pub(super) struct Helper<'a> {
    pub(super) name: &'a str,
    /// The file that names it.
    pub(super) file: &'a Path,
    /// Where it is, as in `PATH`.
    pub(super) path: Option<&'a OsStr>,
    /// Longest time that it may take.
    pub(super) limit: Duration,
}

/// Why it gave nothing.
enum Failure {
    Interrupted(Interrupted),
    Words(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Words(match error.kind() {
            io::ErrorKind::NotFound => "there is no such program in PATH".to_owned(),
            _ => error.to_string(),
        })
    }
}

impl Helper<'_> {
    /// The program's name.
    pub(super) fn program(&self) -> String {
        format!("docker-credential-{}", self.name)
    }

    /// The login of a host; `None` when it has none.
    pub(super) fn get(
        &self,
        host: &str,
        check: &dyn Fn() -> Result<(), Interrupted>,
    ) -> Result<Option<Secret>, LoginError> {
        self.ask(host, check).map_err(|failure| match failure {
            Failure::Interrupted(e) => LoginError::Interrupted(e),
            Failure::Words(what) => LoginError::Helper {
                program: self.program(),
                host: host.to_owned(),
                file: self.file.to_owned(),
                cause: what.into(),
            },
        })
    }

    fn ask(&self, host: &str, check: &dyn Fn() -> Result<(), Interrupted>) -> Result<Option<Secret>, Failure> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Given {
            username: String,
            secret: String,
        }
        let mut command = Command::new(self.program());
        if let Some(path) = self.path {
            command.env("PATH", path);
        }
        command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let answered = self.converse(&mut child, host, check);
        if answered.is_err() {
            // It may have ended meanwhile, and then there is nothing to end.
            let _ = child.kill();
            let _ = child.wait();
        }
        let (answer, status) = answered?;
        if !status.success() {
            let said = String::from_utf8_lossy(&answer);
            if said.contains(NOT_FOUND) {
                return Ok(None);
            }
            // What begins a login is none of the user's terminal.
            let said = said.trim().lines().next().filter(|line| !line.contains(['{', '"'])).unwrap_or_default();
            let words: String = said.chars().filter(|c| !c.is_control()).take(200).collect();
            let colon = if words.is_empty() { "" } else { ": " };
            return Err(Failure::Words(format!("it ended with {status}{colon}{words}")));
        }
        let given: Given = serde_json::from_slice(&answer)
            .map_err(|_| Failure::Words("its answer is not a login in JSON".to_owned()))?;
        Ok(match given {
            Given { secret, .. } if secret.is_empty() => None,
            Given { username, secret } if username == TOKEN => Some(Secret::Identity(secret)),
            Given { username, secret } => Some(Secret::Password { user: username, password: secret }),
        })
    }

    /// Asks the running program, which ends by itself or is late.
    fn converse(
        &self,
        child: &mut Child,
        host: &str,
        check: &dyn Fn() -> Result<(), Interrupted>,
    ) -> Result<(Vec<u8>, ExitStatus), Failure> {
        let end = Instant::now() + self.limit;
        let late = || Failure::Words(format!("no answer in {} s", self.limit.as_secs_f64()));
        let wait = || match check() {
            Err(e) => Err(Failure::Interrupted(e)),
            Ok(()) if Instant::now() >= end => Err(late()),
            Ok(()) => Ok(()),
        };
        let key = if host == DOCKER_HUB[0] { DOCKER_HUB_KEY } else { host };
        let told = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(key.as_bytes()));
        // One that ends without reading says why.
        told.or_else(|e| if e.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(e) })?;
        let (sender, answer) = channel();
        if let Some(stdout) = child.stdout.take() {
            let read = move |stdout: ChildStdout| {
                let mut all = Vec::new();
                let read = stdout.take(LIMIT).read_to_end(&mut all);
                // A send fails when nobody waits any more.
                drop(sender.send(read.map(|_| all)));
            };
            std::thread::Builder::new().name("credential helper".into()).spawn(move || read(stdout))?;
        }
        let answer = loop {
            match answer.recv_timeout(TICK) {
                Ok(answer) => break answer?,
                Err(RecvTimeoutError::Disconnected) => break Vec::new(),
                Err(RecvTimeoutError::Timeout) => wait()?,
            }
        };
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok((answer, status));
            }
            wait()?;
            std::thread::sleep(TICK.min(Duration::from_millis(5)));
        }
    }
}
