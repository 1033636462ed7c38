//! A stand-in for the API server, as far as Traefik asks one: it tells its objects as they are now, and that nothing changes
//! (kubernetes.io/docs, "API concepts", "Streaming lists").

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::server::{Asked, answer, serve};

/// Groups and names of the kinds that are asked for, and the names of their lists.
const KINDS: [(&str, &str, &str); 6] = [
    ("networking.k8s.io/v1", "Ingress", "ingresses"),
    ("networking.k8s.io/v1", "IngressClass", "ingressclasses"),
    ("discovery.k8s.io/v1", "EndpointSlice", "endpointslices"),
    ("v1", "Service", "services"),
    ("v1", "Secret", "secrets"),
    ("v1", "ConfigMap", "configmaps"),
];

/// The stand-in.
pub struct Api {
    pub port: u16,
    /// Addresses written to Ingresses: path and document.
    pub told: Arc<Mutex<Vec<(String, String)>>>,
    /// What nobody foresaw.
    pub unknown: Arc<Mutex<Vec<String>>>,
}

impl Api {
    pub fn start(mut objects: Vec<Value>) -> Self {
        for object in &mut objects {
            object["metadata"]["resourceVersion"] = "1".into();
        }
        let (told, unknown) = (Arc::default(), Arc::default());
        let api = Self { port: 0, told: Arc::clone(&told), unknown: Arc::clone(&unknown) };
        let port = serve(0, None, move |asked, to| respond(&objects, asked, to, &told, &unknown));
        Self { port, ..api }
    }
}

fn respond(
    objects: &[Value],
    asked: &Asked,
    to: &mut dyn Write,
    told: &Mutex<Vec<(String, String)>>,
    unknown: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    const JSON: &str = "Content-Type: application/json\r\n";
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    if let ["apis", "networking.k8s.io", "v1", "namespaces", namespace, "ingresses", name, "status"] = parts[..] {
        told.lock().unwrap().push((path.to_owned(), String::from_utf8_lossy(&asked.body).into_owned()));
        let metadata =
            |object: &&Value| object["metadata"]["name"] == name && object["metadata"]["namespace"] == namespace;
        let ingress = objects.iter().filter(|object| object["kind"] == "Ingress").find(metadata);
        return answer(to, "200 OK", JSON, &ingress.map(Value::to_string).unwrap_or_default());
    }
    let (version, list) = match parts[..] {
        ["api", version, list] => (version.to_owned(), list),
        ["apis", group, version, list] => (format!("{group}/{version}"), list),
        _ => (String::new(), ""),
    };
    let Some((_, kind, _)) = KINDS.iter().find(|(v, _, name)| *v == version && *name == list) else {
        if path != "/version" {
            unknown.lock().unwrap().push(format!("{} {path}", asked.method));
            return answer(
                to,
                "404 Not Found",
                JSON,
                r#"{"kind":"Status","apiVersion":"v1","status":"Failure","code":404}"#,
            );
        }
        return answer(to, "200 OK", JSON, r#"{"major":"1","minor":"36","gitVersion":"v1.36.5+k3s1"}"#);
    };
    let all = objects.iter().filter(|object| object["kind"] == *kind);
    if !query.contains("watch=true") {
        let items: Vec<&Value> = all.collect();
        let metadata = json!({ "resourceVersion": "1" });
        let list =
            json!({ "apiVersion": version, "kind": format!("{kind}List"), "metadata": metadata, "items": items });
        return answer(to, "200 OK", JSON, &list.to_string());
    }
    write!(to, "HTTP/1.1 200 OK\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n")?;
    let mut events = Vec::new();
    if query.contains("sendInitialEvents=true") {
        events.extend(all.map(|object| json!({ "type": "ADDED", "object": object })));
        let metadata = json!({ "resourceVersion": "1", "annotations": { "k8s.io/initial-events-end": "true" } });
        let end = json!({ "apiVersion": version, "kind": kind, "metadata": metadata });
        events.push(json!({ "type": "BOOKMARK", "object": end }));
    }
    for event in events {
        let text = format!("{event}\n");
        write!(to, "{:x}\r\n{text}\r\n", text.len())?;
    }
    to.flush()?;
    // Nothing changes as long as the test runs.
    std::thread::sleep(Duration::from_secs(3600));
    Ok(())
}
