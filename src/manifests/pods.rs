//! The container images that a Kubernetes object runs: those of a pod or of a pod template.

use serde::Deserialize;
use serde::de::IgnoredAny;

/// Kinds that are pods or create them (Kubernetes API reference, "Workload Resources").
const KINDS: [&str; 8] =
    ["Pod", "Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "ReplicationController", "Job", "CronJob"];

/// The `spec` of an object of any kind.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Spec {
    /// One with, possibly, the fields of a pod.
    Pods(Box<PodSpec>),
    /// The `spec` of another kind.
    Other(IgnoredAny),
}

/// `PodSpec`, or the `spec` of an object that creates pods.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodSpec {
    init_containers: Vec<Container>,
    containers: Vec<Container>,
    template: Option<Template>,
    job_template: Option<Template>,
}

#[derive(Debug, Deserialize)]
struct Container {
    image: Option<String>,
}

/// `PodTemplateSpec` and `JobTemplateSpec`.
#[derive(Debug, Deserialize)]
struct Template {
    #[serde(default)]
    spec: Box<PodSpec>,
}

/// The images that an object of this kind runs, as written in it.
pub(super) fn images(kind: &str, spec: Option<&Spec>) -> Vec<String> {
    let mut images = Vec::new();
    if let Some(Spec::Pods(spec)) = spec.filter(|_| KINDS.contains(&kind)) {
        collect(spec, &mut images);
    }
    images
}

fn collect(spec: &PodSpec, images: &mut Vec<String>) {
    images.extend(spec.init_containers.iter().chain(&spec.containers).filter_map(|c| c.image.clone()));
    for template in [&spec.template, &spec.job_template].into_iter().flatten() {
        collect(&template.spec, images);
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::objects;

    fn images(text: &str) -> Vec<String> {
        objects(text).unwrap().into_iter().flat_map(|object| object.images).collect()
    }

    #[test]
    fn pods_and_what_makes_them() {
        let text = "apiVersion: v1\nkind: Pod\nmetadata: { name: a }\nspec:\n  initContainers: [{ name: i, image: one }]\n  \
            containers: [{ name: c, image: two, ports: [{ containerPort: 80 }] }]\n---\n\
            apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: b }\nspec:\n  template:\n    spec:\n      containers:\n      \
            - image: three\n---\n\
            apiVersion: batch/v1\nkind: CronJob\nmetadata: { name: c }\nspec:\n  schedule: '* * * * *'\n  jobTemplate:\n    \
            spec:\n      template: { spec: { containers: [{ image: 'four:1' }] } }\n";
        assert_eq!(images(text), ["one", "two", "three", "four:1"]);
    }

    #[test]
    fn other_objects_run_nothing() {
        for text in [
            "apiVersion: v1\nkind: Namespace\nmetadata: { name: a }\n",
            "apiVersion: v1\nkind: Pod\nmetadata: { name: a }\nspec:\n",
            "apiVersion: x.example/v1\nkind: Thing\nmetadata: { name: a }\nspec: { containers: [{ image: no }] }\n",
            "apiVersion: x.example/v1\nkind: Thing\nmetadata: { name: a }\nspec: { template: text, 1: 2, containers: 3 }\n",
            "apiVersion: x.example/v1\nkind: Thing\nmetadata: { name: a }\nspec: just a text\n",
        ] {
            assert_eq!(images(text), Vec::<String>::new(), "{text}");
        }
    }
}
