//! Whole checks: labimg's own components in all profiles, and manifests with one mistake each.

use std::path::PathBuf;

use super::subject::of_files;
use super::*;
use crate::lab::{self, Lab};
use crate::manifests::Profile;
use crate::parts::Parts;
use crate::stack::{Cluster, Files, Stack};

const K3S: &str = "v1.36.5+k3s1";

fn lab(stack: &str, parts: &Parts) -> Lab {
    let text = format!(
        "name = \"home\"\ndomain = \"lab.example\"\n[stack]\n{stack}\n\n[[nodes]]\nname = \"ada\"\nrole = \"master\"\nboard = \"rpi4\"\n"
    );
    lab::parse(&text, None, parts).unwrap().0
}

/// What a check says of a lab with these settings of `[stack]`.
fn with<T>(stack: &str, check: impl FnOnce(&Subject<'_>) -> T) -> T {
    let parts = Parts::built_in().unwrap();
    let lab = lab(stack, &parts);
    let stack = Stack::of(&lab, parts.components()).unwrap();
    let cluster = Cluster { lab: &lab, stack: &stack, k3s: K3S, charts: &[] };
    check(&Subject::of(&cluster, parts.manifests()).unwrap())
}

/// The settings of all stacks that are checked.
fn stacks() -> Vec<String> {
    let profiles = Profile::ALL.map(|profile| format!("profile = \"{}\"", profile.name()));
    let nginx = "profile = \"seed\"\n[stack.components.ingress]\nenabled = false\n[stack.components.ingress-nginx]\nenabled = true";
    profiles.into_iter().chain([nginx.to_owned()]).collect()
}

fn lines(found: &[Finding]) -> String {
    found.iter().map(|finding| format!("{finding}\n")).collect()
}

#[test]
fn our_components_are_clean() {
    for stack in stacks() {
        let found = with(&stack, offline);
        assert!(found.is_empty(), "{stack}\n{}", lines(&found));
    }
}

/// The folder of values, schemas and definitions of charts.
fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("LABIMG_TEST_STACK_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/stack"), PathBuf::from);
    if !folder.is_dir() {
        labimg_testkit::skipped("values and kinds of charts", &format!("there is no folder {}", folder.display()));
        return None;
    }
    Some(folder)
}

/// Chart → its folder there, and what the names of its files begin with.
const FOLDERS: [(&str, &str, &str); 22] = [
    ("cert-manager", "cert-manager", ""),
    ("cloudnative-pg", "cloudnative-pg", ""),
    ("csi-driver-nfs", "csi-driver-nfs", ""),
    ("eck-operator", "eck", "eck-"),
    ("grafana", "grafana", ""),
    ("ingress-nginx", "ingress-nginx", ""),
    ("keycloakx", "keycloakx", ""),
    ("linkerd-control-plane", "linkerd", "linkerd-control-plane-"),
    ("linkerd-crds", "linkerd", "linkerd-crds-"),
    ("linkerd-viz", "linkerd", "viz-"),
    ("logging-operator", "logging-operator", ""),
    ("loki", "loki", ""),
    ("nextcloud", "nextcloud", ""),
    ("nfs-subdir-external-provisioner", "nfs-subdir", ""),
    ("oauth2-proxy", "oauth2-proxy", ""),
    ("openfaas", "openfaas", ""),
    ("openldap-stack-ha", "openldap", ""),
    ("traefik", "traefik", ""),
    ("trust-manager", "trust-manager", ""),
    ("vault-operator", "vault-operator", ""),
    ("vault-secrets-webhook", "vault-secrets-webhook", ""),
    ("alloy", "alloy", ""),
];

/// A chart as far as the data has it.
fn content(data: &std::path::Path, chart: &str) -> Option<ChartContent> {
    let (_, folder, begin) = FOLDERS.iter().find(|(name, ..)| *name == chart)?;
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(data.join(folder)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        match name.strip_prefix(begin) {
            Some("values.yaml") => texts.push(("values.yaml".to_owned(), text)),
            Some("values.schema.json") => texts.push(("values.schema.json".to_owned(), text)),
            _ if name.contains("crd") && name.strip_suffix(".yaml").is_some() => {
                texts.push((format!("crds/{name}"), text));
            }
            _ => {}
        }
    }
    let texts: Vec<(&str, &str)> = texts.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    Some(ChartContent::of_texts(&texts))
}

#[test]
fn values_and_resources_of_our_components_are_those_of_the_charts() {
    let Some(data) = data() else { return };
    let mut all = Contents::new();
    for stack in stacks() {
        with(&stack, |subject| {
            for chart in subject.cluster.stack.charts() {
                if !all.contains_key(&chart) {
                    all.extend(content(&data, &chart.name).map(|content| (chart, content)));
                }
            }
            let checked = with_charts(subject, &all);
            assert!(checked.found.is_empty(), "{stack}\n{}", lines(&checked.found));
        });
    }
}

#[test]
fn what_charts_read_beyond_their_values_is_known() {
    let Some(data) = data() else { return };
    let Ok(text) = std::fs::read_to_string(data.join("read-keys.txt")) else {
        return labimg_testkit::skipped("keys that charts read", "there is no read-keys.txt");
    };
    let read: BTreeMap<&str, Vec<&str>> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .map(|(chart, keys)| (chart, keys.split(' ').collect()))
        .collect();
    for component in Parts::built_in().unwrap().components().values() {
        let Some(chart) = &component.front.chart else { continue };
        let known = read.get(chart.name.as_str()).cloned().unwrap_or_default();
        let is_known =
            |key: &str| known.iter().any(|known| key == *known || key.starts_with(known.trim_end_matches('*')));
        let unknown: Vec<&String> = chart.reads.iter().filter(|key| !is_known(key)).collect();
        assert!(unknown.is_empty(), "{}: nothing shows that its chart reads {unknown:?}", component.name);
    }
}

/// A chart with values, a schema, and the definition of a kind.
fn chart() -> (ChartRef, ChartContent) {
    let schema = r#"{"type": "object", "properties": {"mode": {"enum": ["one", "two"]}, "size": {"type": "integer"}}}"#;
    let definition = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.org}
spec:
  group: example.org
  names: {kind: Thing, plural: things}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              required: [size]
              properties:
                size: {type: integer}
                mode: {type: string, enum: [One, Two]}
";
    let content = ChartContent::of_texts(&[
        ("values.yaml", "mode: one\nsize: 1\nimage: {tag: '1'}\nresources: {}\n"),
        ("values.schema.json", schema),
        ("crds/things.yaml", definition),
    ]);
    let reference = ChartRef {
        name: "thing".to_owned(),
        version: "1.2.3".to_owned(),
        repository: "https://charts.example".to_owned(),
    };
    (reference, content)
}

const WITH_CHART: &str = "\
apiVersion: helm.cattle.io/v1
kind: HelmChart
metadata: {name: thing, namespace: kube-system}
spec:
  repo: https://charts.example
  chart: thing
  version: 1.2.3
  valuesContent: |
    mode: two
    image:
      tag: \"2\"
    resources: {requests: {memory: 1Mi}}
---
apiVersion: example.org/v1
kind: Thing
metadata: {name: a, namespace: default, labels: {a: b}}
spec:
  size: 1
  mode: One
";

#[test]
fn charts_say_what_is_right() {
    let charts = Contents::from([chart()]);
    let parts = Parts::built_in().unwrap();
    let lab = lab("profile = \"none\"", &parts);
    let stack = Stack::default();
    let cluster = Cluster { lab: &lab, stack: &stack, k3s: K3S, charts: &[] };
    let said = |text: &str, charts: &Contents| {
        let files = Files::from([("own.yaml".to_owned(), text.to_owned())]);
        let WithCharts { found, unchecked } = with_charts(&of_files(&cluster, &files, Owner::Manifest), charts);
        (found.iter().map(ToString::to_string).collect::<Vec<_>>(), unchecked)
    };
    assert_eq!(said(WITH_CHART, &charts), (vec![], Unchecked::default()));
    let unchecked = said(WITH_CHART, &Contents::new());
    assert_eq!((unchecked.0, unchecked.1.to_string().as_str()), (vec![], "values of thing; Thing"));
    let values = "values of HelmChart kube-system/thing";
    for (from, to, expected) in [
        ("      tag", "      tga", format!("own.yaml:11: {values}: image.tga: the chart does not know this value (did you mean `tag`?)")),
        ("mode: two", "mood: two", format!("own.yaml:9: {values}: mood: the chart does not know this value (did you mean `mode`?)")),
        ("mode: two", "mode: three", format!("own.yaml:9: {values}: mode: `three` is not possible here (one of: one, two)")),
        ("mode: two", "size: big", format!("own.yaml:9: {values}: size: a whole number is expected here, and not a text")),
        ("  size: 1", "  sice: 1", "own.yaml:18: Thing default/a: spec.sice: there is no such field (did you mean `size`?)".to_owned()),
        ("  size: 1\n", "", "own.yaml:18: Thing default/a: spec: the field `size` is missing".to_owned()),
        ("size: 1", "size: x", "own.yaml:18: Thing default/a: spec.size: a whole number is expected here, and not a text".to_owned()),
        ("mode: One", "mode: Won", "own.yaml:19: Thing default/a: spec.mode: `Won` is not possible here (one of: One, Two)".to_owned()),
        ("labels: {a: b}", "label: {a: b}", "own.yaml:16: Thing default/a: metadata.label: there is no such field (did you mean `labels`?)".to_owned()),
        ("example.org/v1", "example.org/v2", "own.yaml:14: Thing default/a: apiVersion: there is no Thing in example.org/v2 (did you mean `example.org/v1`?)".to_owned()),
    ] {
        let text = WITH_CHART.replacen(from, to, 1);
        let (found, _) = said(&text, &charts);
        assert!(found.contains(&expected), "{to}: {found:#?}");
    }
}

/// What a check says of a manifest of the user, in a lab with the profile `identity`.
fn said(text: &str) -> Vec<String> {
    let parts = Parts::built_in().unwrap();
    let lab = lab("profile = \"identity\"", &parts);
    let stack = Stack::of(&lab, parts.components()).unwrap();
    let cluster = Cluster { lab: &lab, stack: &stack, k3s: K3S, charts: &[] };
    let mut subject = Subject::of(&cluster, parts.manifests()).unwrap();
    let own = of_files(&cluster, &Files::from([("own.yaml".to_owned(), text.to_owned())]), Owner::Manifest);
    subject.objects.extend(own.objects);
    offline(&subject).iter().map(ToString::to_string).collect()
}

const GOOD: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: web}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: site, namespace: web}
data: {index.html: hello}
---
apiVersion: v1
kind: Service
metadata: {name: site, namespace: web}
spec:
  ports: [{port: 80, targetPort: http}]
  selector: {app: site}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: site, namespace: web}
spec:
  replicas: 1
  selector:
    matchLabels: {app: site}
  template:
    metadata:
      labels: {app: site}
    spec:
      containers:
        - name: site
          image: docker.io/library/nginx:1.29
          env:
            - {name: A, value: \"1\"}
            - name: B
              valueFrom: {secretKeyRef: {name: maybe, key: b, optional: true}}
          ports: [{name: http, containerPort: 80}]
          volumeMounts: [{name: site, mountPath: /srv}, {name: data, mountPath: /data}]
      volumes:
        - name: site
          configMap: {name: site}
        - name: data
          persistentVolumeClaim: {claimName: data}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: web}
spec:
  storageClassName: nfs
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Gi}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: site
  namespace: web
  annotations:
    cert-manager.io/cluster-issuer: lab-ca
spec:
  ingressClassName: nginx
  rules:
    - host: web.lab.example
      http:
        paths:
          - path: /
            pathType: Prefix
            backend: {service: {name: site, port: {number: 80}}}
  tls:
    - secretName: site-tls
      hosts: [web.lab.example]
";

#[test]
fn a_good_manifest_is_good() {
    assert_eq!(said(GOOD), [""; 0]);
}

#[test]
fn one_mistake_is_found_with_its_line() {
    let mut wrong = Vec::new();
    for (from, to, expected) in [
        // Fields of Kubernetes' own kinds.
        (
            "  replicas: 1",
            "  replica: 1",
            "own.yaml:21: Deployment web/site: spec.replica: there is no such field (did you mean `replicas`?)",
        ),
        (
            "replicas: 1",
            "replicas: one",
            "own.yaml:21: Deployment web/site: spec.replicas: a whole number is expected here, and not a text",
        ),
        (
            "value: \"1\"",
            "value: 1",
            "own.yaml:32: Deployment web/site: spec.template.spec.containers[0].env[0].value: a text is expected here, and not a number (write it in quotes: \"1\")",
        ),
        (
            "  selector:\n    matchLabels: {app: site}\n",
            "",
            "own.yaml:21: Deployment web/site: spec: the field `selector` is missing",
        ),
        (
            "apps/v1",
            "extensions/v1beta1",
            "own.yaml:18: Deployment web/site: kind: Kubernetes has no kind Deployment in extensions/v1beta1 (did you mean `apps/v1`?)",
        ),
        (
            "kind: Service\n",
            "kind: Sevice\n",
            "own.yaml:11: Sevice web/site: kind: Kubernetes has no kind Sevice in v1 (did you mean `Service`?)",
        ),
        (
            "{index.html: hello}",
            "{index.html: 5}",
            "own.yaml:8: ConfigMap web/site: data.index.html: a text is expected",
        ),
        // Names of others.
        (
            "configMap: {name: site}",
            "configMap: {name: cite}",
            "nothing makes the ConfigMap `cite` in the namespace `web` (did you mean `site`?)",
        ),
        (
            "secretKeyRef: {name: maybe, key: b, optional: true}",
            "secretKeyRef: {name: must, key: b}",
            "nothing makes the Secret `must` in the namespace `web`",
        ),
        ("claimName: data", "claimName: date", "nothing makes the PersistentVolumeClaim `date`"),
        (
            "storageClassName: nfs",
            "storageClassName: nsf",
            "own.yaml:47: PersistentVolumeClaim web/data: spec.storageClassName: nothing makes the StorageClass `nsf`",
        ),
        (
            "ingressClassName: nginx",
            "ingressClassName: ngnix",
            "nothing makes the IngressClass `ngnix` (did you mean `nginx`?)",
        ),
        (
            "service: {name: site",
            "service: {name: cite",
            "nothing makes the Service `cite` in the namespace `web` (did you mean `site`?)",
        ),
        ("cluster-issuer: lab-ca", "cluster-issuer: lab", "nothing makes the ClusterIssuer `lab`"),
        ("cluster-issuer: lab-ca", "issuer: lab-ca", "nothing makes the Issuer `lab-ca`"),
        ("    cert-manager.io/cluster-issuer: lab-ca", "    a: b", "nothing makes the Secret `site-tls`"),
        (
            "      containers:\n",
            "      serviceAccountName: site\n      containers:\n",
            "nothing makes the ServiceAccount `site`",
        ),
        (
            "kind: Namespace\nmetadata: {name: web}",
            "kind: Namespace\nmetadata: {name: wep}",
            "metadata.namespace: nothing makes the namespace `web` (did you mean `wep`?)",
        ),
        // Twice.
        (
            "kind: Namespace\nmetadata: {name: web}",
            "kind: Namespace\nmetadata: {name: web}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: auth}",
            "Namespace auth: it is in labimg-namespaces.yaml:",
        ),
        (
            "host: web.lab.example",
            "host: auth.lab.example",
            "`auth.lab.example/` is the address of component keycloak, too",
        ),
    ] {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "{from}");
        let objects = said(&text);
        if !objects.iter().any(|line| line.contains(expected)) {
            wrong.push((to, expected, objects));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
