//! What is wrong with what the cluster would get, said before it gets it.

use crate::lab::lab;
use crate::{Session, chart_with};

/// A manifest with a mistake of each kind, as the user would make it.
const WEB: &str = "\
apiVersion: v1
kind: Namespace
metadata: { name: web }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: site, namespace: wed }
spec:
  replica: 2
  selector: { matchLabels: { app: site } }
  template:
    metadata: { labels: { app: site } }
    spec:
      containers:
        - name: site
          image: docker.io/library/nginx:1.29
          ports: [{ containerPort: \"80\" }]
          envFrom: [{ secretRef: { name: site } }]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: data, namespace: web }
spec:
  storageClassName: nsf
  accessModes: [ReadWriteOnce]
  resources: { requests: { storage: 1Gi } }
";

/// A component with the same.
const FRONT: &str =
    "title = \"Notes\"\nwhy = \"To write down.\"\nprofiles = [\"always\"]\nnamespace = \"notes\"\n[namespaces.notes]\n";
const OBJECTS: &str =
    "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: notes, namespace: notes }\ndata:\n  lines: 5\n";

#[test]
fn mistakes_in_manifests_are_warnings_and_those_in_components_errors() {
    let mut session = Session::with_archive();
    session.write("lab.toml", lab(&session, ""));
    session.write("manifests/web.yaml", WEB);
    session.both(&["check"]);
    session.write("manifests/notes/component.toml", FRONT);
    session.write("manifests/notes/objects.yaml", OBJECTS);
    session.both(&["check"]);
    // The server gives out no charts and no packages any more: nothing is asked for before that is said.
    std::fs::remove_file(session.path("keys.pgp")).unwrap();
    session.build(&["build", "master", "--generic"]);
    session.build(&["lock"]);
    assert!(session.images().is_empty() && !session.path("labimg.lock").exists());
    session.ends("checks");
}

#[test]
fn charts_say_which_values_they_know() {
    let mut session = Session::with_archive();
    let values = "image: {repository: a, tag: b}\nnfs: {server: '', path: '', mountOptions: []}\nstorageClass: {name: x}\nresources: {}\n";
    session.write("lab.toml", lab(&session, ""));
    session.note("the chart has other values than the component");
    chart_with(&session.server, &[("values.yaml", values)]);
    session.build(&["lock"]);
    session.note("now it has those, and one that the user writes is wrong");
    let more = values.replace("name: x", "name: x, defaultClass: false, archiveOnDelete: true");
    chart_with(&session.server, &[("values.yaml", &more)]);
    session.prepare(&["lock"]);
    session.both(&["check", "--cache", "cache"]);
    let ours = "[stack.components.nfs-storage.values]\nstorageClass.reclaimPolcy = \"Retain\"\n";
    session.write("lab.toml", lab(&session, ours));
    session.both(&["check", "--cache", "cache"]);
    session.both(&["check", "--cache", "nowhere"]);
    assert!(!session.path("nowhere").exists());
    session.build(&["build", "master", "--generic", "--locked"]);
    session.ends("checks_of_charts");
}
