//! The page as the cluster would serve it: the files of the rendered `ConfigMap`, with the server's own headers.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// Served on 127.0.0.1.
pub struct Site {
    pub address: String,
    files: Arc<Mutex<BTreeMap<String, String>>>,
}

/// What `labimg` deploys for the component `home` of a lab.
pub fn objects(profile: &str) -> Vec<Value> {
    let home = tempfile::tempdir().unwrap();
    let lab = format!(
        "name = \"homelab\"\nssh_keys = [\"~/k.pub\"]\n[stack]\nprofile = \"{profile}\"\n[[nodes]]\nname = \"master\"\nrole = \"master\"\nboard = \"rpi4\"\n"
    );
    std::fs::write(home.path().join("lab.toml"), lab).unwrap();
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@home";
    std::fs::write(home.path().join("k.pub"), key).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_labimg"))
        .args(["stack", "render", "--only", "home"])
        .current_dir(&home)
        .env("HOME", home.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    serde_saphyr::from_multiple::<Value>(&text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// The object of a kind and name.
pub fn object<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

fn data(objects: &[Value], name: &str) -> BTreeMap<String, String> {
    serde_json::from_value(object(objects, "ConfigMap", name)["data"].clone()).unwrap()
}

impl Site {
    pub fn start(objects: &[Value]) -> Self {
        let server: toml::Table = data(objects, "home-server")["server.toml"].parse().unwrap();
        let headers = server["advanced"]["headers"][0]["headers"].as_table().unwrap();
        let headers: String =
            headers.iter().map(|(name, value)| format!("{name}: {}\r\n", value.as_str().unwrap())).collect();
        let files = Arc::new(Mutex::new(data(objects, "home-page")));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let served = files.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, served, headers) = (stream.unwrap(), served.clone(), headers.clone());
                // An error means that the browser has gone.
                std::thread::spawn(move || serve(&stream, &served, &headers).map_err(|_| ()));
            }
        });
        Self { address, files }
    }

    /// Sets or takes away a file.
    pub fn set(&self, name: &str, text: Option<String>) {
        let mut files = self.files.lock().unwrap();
        match text {
            Some(text) => files.insert(name.to_owned(), text),
            None => files.remove(name),
        };
    }

    pub fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.files.lock().unwrap()[name]).unwrap()
    }
}

fn serve(stream: &TcpStream, files: &Mutex<BTreeMap<String, String>>, headers: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
        while line.trim() != "" {
            line.clear();
            reader.read_line(&mut line)?;
        }
        let name = if path.is_empty() { "index.html" } else { &path };
        let file = files.lock().unwrap().get(name).cloned();
        let kind = match Path::new(name).extension().and_then(|e| e.to_str()) {
            Some("html") => "text/html; charset=utf-8",
            Some("css") => "text/css",
            Some("js") => "text/javascript",
            Some("svg") => "image/svg+xml",
            _ => "application/json",
        };
        let date = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT");
        let (status, body) = file.map_or(("404 Not Found", String::new()), |text| ("200 OK", text));
        let head = format!(
            "HTTP/1.1 {status}\r\n{headers}Date: {date}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        (&*stream).write_all((head + &body).as_bytes())?;
    }
}
