//! The names of objects in a cluster: what its manifests make, and what controllers and k3s make of their own.

use std::collections::BTreeSet;

use serde_json::Value;

use super::helm;
use super::subject::{Deployed, Owner, Subject};
use crate::manifests::located::Located;
use crate::stack::Chosen;
use labimg_tree::suggest::nearest_of_alike;

/// Namespace and name that stand for any.
const ANY: &str = "*";

/// Kinds that are in no namespace.
const WIDE: [&str; 5] = ["StorageClass", "IngressClass", "ClusterIssuer", "PriorityClass", "Namespace"];

/// What k3s makes by itself: the component that does it, when that can be switched off, and the object.
const OF_K3S: [(Option<&str>, &str); 22] = [
    (None, "Namespace/default"),
    (None, "Namespace/kube-system"),
    (None, "Namespace/kube-public"),
    (None, "Namespace/kube-node-lease"),
    (None, "PriorityClass/system-cluster-critical"),
    (None, "PriorityClass/system-node-critical"),
    (None, "Service/default/kubernetes"),
    (None, "ServiceAccount/*/default"),
    (None, "ConfigMap/*/kube-root-ca.crt"),
    (None, "ConfigMap/kube-system/extension-apiserver-authentication"),
    (None, "ConfigMap/kube-system/cluster-dns"),
    (Some("coredns"), "Service/kube-system/kube-dns"),
    (Some("coredns"), "ConfigMap/kube-system/coredns"),
    (Some("coredns"), "ServiceAccount/kube-system/coredns"),
    (Some("local-storage"), "StorageClass/local-path"),
    (Some("local-storage"), "ConfigMap/kube-system/local-path-config"),
    (Some("metrics-server"), "Service/kube-system/metrics-server"),
    (Some("metrics-server"), "ServiceAccount/kube-system/metrics-server"),
    (Some("traefik"), "Service/kube-system/traefik"),
    (Some("traefik"), "ServiceAccount/kube-system/traefik"),
    (Some("traefik"), "IngressClass/traefik"),
    (Some("traefik"), "Secret/kube-system/chart-values-traefik"),
];

/// Whether objects of this kind are in no namespace.
pub(super) fn is_wide(kind: &str) -> bool {
    WIDE.contains(&kind)
}

/// The name of an object: kind, namespace (empty without one) and name.
type Name = (String, String, String);

/// All names that are known.
#[derive(Debug, Default)]
pub(super) struct Names {
    made: BTreeSet<Name>,
    /// Namespaces in which charts of the user make objects whose names nobody knows here.
    unknown: BTreeSet<String>,
}

impl Names {
    /// The names in a cluster.
    pub(super) fn of(subject: &Subject<'_>) -> Self {
        let mut names = Self::default();
        let disabled = subject.cluster.stack.k3s_disable();
        let is_there = |part: Option<&str>| part.is_none_or(|part| !disabled.iter().any(|off| *off == part));
        for (_, text) in OF_K3S.iter().filter(|(part, _)| is_there(*part)) {
            names.add_text(text);
        }
        for text in subject.cluster.stack.components().iter().flat_map(|chosen| &chosen.component.front.makes) {
            names.add_text(text);
        }
        for deployed in &subject.objects {
            let Located { kind, name, .. } = &deployed.object;
            names.add(kind, deployed.namespace(), name);
            names.of_controllers(deployed);
            if let Some(values) = helm::values(deployed) {
                names.of_ingresses(&values.opened(), helm::target(deployed));
            }
            if kind == "HelmChart" {
                let target = helm::target(deployed);
                let makes_it = deployed.object.value.pointer("/spec/createNamespace") == Some(&Value::Bool(true));
                if makes_it {
                    names.add("Namespace", "", target);
                }
                // A component says what its chart makes.
                let says = |chosen: &Chosen| !chosen.component.is_own || !chosen.component.front.makes.is_empty();
                if deployed.owner == Owner::Manifest || subject.chosen(deployed).is_some_and(|chosen| !says(chosen)) {
                    names.unknown.insert(target.to_owned());
                }
            }
        }
        names
    }

    /// `Kind/namespace/name`, or `Kind/name` of one in no namespace.
    fn add_text(&mut self, text: &str) {
        let parts: Vec<&str> = text.split('/').collect();
        match parts[..] {
            [kind, name] => self.add(kind, "", name),
            [kind, namespace, name] => self.add(kind, namespace, name),
            _ => {}
        }
    }

    fn add(&mut self, kind: &str, namespace: &str, name: &str) {
        let namespace = if is_wide(kind) { "" } else { namespace };
        self.made.insert((kind.to_owned(), namespace.to_owned(), name.to_owned()));
    }

    /// What the controllers of well-known kinds make of an object.
    fn of_controllers(&mut self, deployed: &Deployed) {
        let Located { kind, name, value, .. } = &deployed.object;
        let namespace = deployed.namespace();
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
        let group = deployed.object.group();
        match (group, kind.as_str()) {
            ("cert-manager.io", "Certificate") => {
                self.made.extend(text("/spec/secretName").map(|secret| key("Secret", namespace, secret)));
            }
            // cert-manager reads the annotation and makes the Secret.
            ("networking.k8s.io", "Ingress") => self.of_tls(value.pointer("/metadata"), value.get("spec"), namespace),
            ("trust.cert-manager.io", "Bundle") => {
                let place =
                    text("/spec/target/namespaceSelector/matchLabels/kubernetes.io~1metadata.name").unwrap_or(ANY);
                for (field, kind) in [("configMap", "ConfigMap"), ("secret", "Secret")] {
                    if value.pointer(&format!("/spec/target/{field}")).is_some() {
                        self.add(kind, place, name);
                    }
                }
            }
            ("postgresql.cnpg.io", "Cluster") => {
                for end in ["rw", "ro", "r"] {
                    self.add("Service", namespace, &format!("{name}-{end}"));
                }
                for end in ["app", "superuser", "ca", "server", "replication"] {
                    self.add("Secret", namespace, &format!("{name}-{end}"));
                }
                self.add("ServiceAccount", namespace, name);
            }
            ("vault.banzaicloud.com", "Vault") => {
                self.add("Service", namespace, name);
                let keys = text("/spec/unsealConfig/kubernetes/secretName")
                    .map_or(format!("{name}-unseal-keys"), str::to_owned);
                self.add("Secret", namespace, &keys);
                let tls = text("/spec/existingTlsSecretName").map_or(format!("{name}-tls"), str::to_owned);
                let places = value.pointer("/spec/caNamespaces").and_then(Value::as_array).into_iter().flatten();
                for place in places.filter_map(Value::as_str).chain([namespace]) {
                    self.add("Secret", place, &tls);
                }
            }
            ("elasticsearch.k8s.elastic.co", "Elasticsearch") => {
                self.add("Service", namespace, &format!("{name}-es-http"));
                self.add("Secret", namespace, &format!("{name}-es-elastic-user"));
                self.add("Secret", namespace, &format!("{name}-es-http-certs-public"));
            }
            ("kibana.k8s.elastic.co", "Kibana") => self.add("Service", namespace, &format!("{name}-kb-http")),
            _ => {}
        }
    }

    /// The Secrets that cert-manager makes for an Ingress: those of its `tls`, when an annotation names an issuer.
    fn of_tls(&mut self, metadata: Option<&Value>, spec: Option<&Value>, namespace: &str) {
        let annotations = metadata.and_then(|metadata| metadata.get("annotations")).and_then(Value::as_object);
        let has = |name: &&str| annotations.is_some_and(|annotations| annotations.contains_key(*name));
        if !ISSUERS.iter().any(|(annotation, _)| has(annotation)) {
            return;
        }
        let tls = spec.and_then(|spec| spec.get("tls")).and_then(Value::as_array).into_iter().flatten();
        let secrets = tls.filter_map(|tls| tls.get("secretName")?.as_str());
        self.made.extend(secrets.map(|secret| key("Secret", namespace, secret)));
    }

    /// The same for what charts call an Ingress: annotations and `tls` beside each other.
    fn of_ingresses(&mut self, value: &Value, namespace: &str) {
        match value {
            Value::Object(fields) => {
                self.of_tls(Some(value), Some(value), namespace);
                fields.values().for_each(|inner| self.of_ingresses(inner, namespace));
            }
            Value::Array(items) => items.iter().for_each(|inner| self.of_ingresses(inner, namespace)),
            _ => {}
        }
    }

    /// Whether there may be an object of this name. Without a namespace it may be in any.
    pub(super) fn has(&self, kind: &str, namespace: Option<&str>, name: &str) -> bool {
        if is_wide(kind) {
            // Any chart can make one.
            return self.made.contains(&key(kind, "", name)) || !self.unknown.is_empty();
        }
        if namespace.is_none_or(|namespace| self.unknown.contains(namespace)) && !self.unknown.is_empty() {
            return true;
        }
        self.made.iter().any(|(k, n, known)| {
            k == kind && known == name && (n == ANY || namespace.is_none_or(|namespace| namespace == n))
        })
    }

    /// Names that it could be instead.
    pub(super) fn near(&self, kind: &str, namespace: Option<&str>, name: &str) -> Vec<String> {
        let there = self.made.iter().filter(|(k, n, _)| {
            k == kind && (is_wide(kind) || n == ANY || namespace.is_none_or(|namespace| namespace == n))
        });
        let there: Vec<&str> = there.map(|(_, _, name)| name.as_str()).collect();
        nearest_of_alike(name, &there)
    }

    /// A namespace in which there is an object of this kind and name.
    pub(super) fn elsewhere(&self, kind: &str, name: &str) -> Option<&str> {
        self.made.iter().find(|(k, _, known)| k == kind && known == name).map(|(_, namespace, _)| namespace.as_str())
    }
}

/// Annotations that name an issuer of certificates, and its kind.
pub(super) const ISSUERS: [(&str, &str); 2] =
    [("cert-manager.io/cluster-issuer", "ClusterIssuer"), ("cert-manager.io/issuer", "Issuer")];

fn key(kind: &str, namespace: &str, name: &str) -> Name {
    (kind.to_owned(), namespace.to_owned(), name.to_owned())
}
