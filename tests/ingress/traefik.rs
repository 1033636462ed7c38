//! Traefik, running, with oauth2-proxy's answers, and a browser in front of it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::blocking::{Body, Client};
use reqwest::redirect::Policy;

use crate::api::Api;
use crate::lab::{ADDRESS, Lab};
use crate::server::{Said, answer, serve};

/// Where the Ingresses look for oauth2-proxy.
const LOGIN: &str = "oauth2-proxy.auth.svc.cluster.local";

pub struct Traefik {
    child: Child,
    api: Api,
    client: Client,
    /// Host → whether one has to be logged in.
    hosts: Vec<(String, bool)>,
    /// What oauth2-proxy was asked for.
    asked: Arc<Mutex<Vec<String>>>,
    log: std::path::PathBuf,
}

impl Drop for Traefik {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Traefik {
    pub fn start(program: &Path, lab: &Lab) -> Self {
        let folder = lab.folder.path();
        let (names, log) = (folder.join("hosts"), folder.join("traefik.log"));
        std::fs::write(&names, format!("127.0.0.1 localhost {LOGIN}\n")).unwrap();
        let bound = Command::new("mount").arg("--bind").arg(&names).arg("/etc/hosts").status().unwrap();
        assert!(bound.success(), "/etc/hosts of the test's own");

        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        // As oauth2-proxy: 202 with headers for a session, 401 without one, 403 for who is in none of the groups.
        serve(80, None, move |asked, to| {
            seen.lock().unwrap().push(asked.path.clone());
            let of = |who: &str, groups: &str| {
                let user = format!("X-Auth-Request-User: {who}\r\nX-Auth-Request-Email: {who}@lab.home.arpa\r\n");
                format!("{user}X-Auth-Request-Groups: {groups}\r\n")
            };
            match asked.all("cookie")[..] {
                ["session=lab"] => answer(to, "202 Accepted", &of("lab", "admins,users"), ""),
                ["session=nobody"] => answer(to, "202 Accepted", "", ""),
                ["session=guest"] => answer(to, "403 Forbidden", "", ""),
                _ => answer(to, "401 Unauthorized", "", ""),
            }
        });
        let api = Api::start(lab.objects.clone());
        let mut command = Command::new(program);
        // A file of settings in its folder would be read.
        command.current_dir(tempfile::tempdir_in(folder).unwrap().keep()).args(&lab.arguments);
        let provider = "--providers.kubernetesingressnginx";
        command.arg(format!("{provider}.endpoint=http://127.0.0.1:{}", api.port)).arg(format!("{provider}.token=none"));
        let output = std::fs::File::create(&log).unwrap();
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        let child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));

        let ingresses = lab.objects.iter().filter(|object| object["kind"] == "Ingress");
        let hosts: Vec<(String, bool)> = ingresses
            .map(|ingress| {
                let host = ingress["spec"]["rules"][0]["host"].as_str().unwrap().to_owned();
                (host, ingress["metadata"]["annotations"].get("nginx.ingress.kubernetes.io/auth-url").is_some())
            })
            .collect();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let authority = reqwest::Certificate::from_pem(lab.authority.as_bytes()).unwrap();
        let mut client = Client::builder().no_proxy().redirect(Policy::none()).timeout(Duration::from_secs(600));
        client = client.tls_certs_only([authority]);
        for host in hosts.iter().map(|(host, _)| host.as_str()) {
            client = client.resolve(host, SocketAddr::from(([127, 0, 0, 1], 0)));
        }
        let door = Self { child, api, client: client.build().unwrap(), hosts, asked, log };
        door.wait();
        door
    }

    /// Until it knows all Ingresses.
    fn wait(&self) {
        let end = Instant::now() + Duration::from_secs(60);
        let knows = |host: &String| {
            let answered = self.client.get(format!("https://{host}:8443/")).send();
            answered.is_ok_and(|answered| ![404, 502, 503].contains(&answered.status().as_u16()))
        };
        while !self.hosts.iter().all(|(host, _)| knows(host)) {
            assert!(Instant::now() < end, "{}", self.said());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.hosts.iter().map(|(host, _)| host.as_str())
    }

    /// Those that ask oauth2-proxy.
    pub fn guarded(&self) -> impl Iterator<Item = &str> {
        self.hosts.iter().filter(|(_, guarded)| *guarded).map(|(host, _)| host.as_str())
    }

    /// A request without TLS.
    pub fn plainly(&self, method: Method, host: &str, path: &str) -> Said {
        self.send(method, &format!("http://{host}:8000{path}"), &[], None)
    }

    pub fn ask(&self, method: Method, host: &str, path: &str, headers: &[(&str, &str)], body: Option<Body>) -> Said {
        self.send(method, &format!("https://{host}:8443{path}"), headers, body)
    }

    fn send(&self, method: Method, url: &str, headers: &[(&str, &str)], body: Option<Body>) -> Said {
        let mut request = self.client.request(method, url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let answered = request.send().unwrap_or_else(|e| panic!("{url}: {e:?}\n{}", self.said()));
        let text = |value: &reqwest::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Said {
            status: answered.status().as_u16(),
            headers: answered.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            body: answered.text().unwrap(),
        }
    }

    /// Whether oauth2-proxy was asked for a group.
    pub fn asked_for_groups(&self) -> bool {
        let asked = self.asked.lock().unwrap();
        !asked.is_empty() && asked.iter().all(|path| path == "/oauth2/auth?allowed_groups=admins")
    }

    /// The most memory that it has had, in KiB, and the bytes that it has written to disks.
    pub fn costs(&self) -> (u64, u64) {
        let number = |file: &str, name: &str| {
            let text = std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse().unwrap()
        };
        (number("status", "VmHWM:"), number("io", "write_bytes:"))
    }

    pub fn has_told_addresses(&self) {
        let told = self.api.told.lock().unwrap();
        for (host, _) in &self.hosts {
            assert!(told.iter().any(|(_, text)| text.contains(host) && text.contains(ADDRESS)), "{host}: {told:?}");
        }
    }

    pub fn complained_about_nothing(&self) {
        let said = self.said();
        assert!(!said.contains("ERR") && !said.contains("\"level\":\"error\""), "{said}");
        let unknown = self.api.unknown.lock().unwrap();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
