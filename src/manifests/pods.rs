//! The container images that a Kubernetes object runs: those of a pod or of a pod template.

use serde_json::Value;

use super::own_charts;

/// Kinds that are pods or create them (Kubernetes API reference, "Workload Resources").
const KINDS: [&str; 8] =
    ["Pod", "Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "ReplicationController", "Job", "CronJob"];

/// The images that an object of this kind runs, or its pods have as volumes, as written in it.
pub(super) fn images(kind: &str, spec: Option<&Value>) -> Vec<String> {
    let mut images = Vec::new();
    match spec {
        Some(spec) if KINDS.contains(&kind) => collect(spec, &mut images),
        // What runs Helm in the cluster, when it is not the image that k3s brings (docs.k3s.io, "Helm").
        Some(spec) if kind == own_charts::KIND => {
            images.extend(spec.get("jobImage").and_then(Value::as_str).map(str::to_owned));
        }
        _ => {}
    }
    images
}

/// The images of a `PodSpec`, or of the `spec` of an object that creates pods.
fn collect(spec: &Value, images: &mut Vec<String>) {
    let list = |field: &str| spec.get(field).and_then(Value::as_array).into_iter().flatten();
    let containers = list("initContainers").chain(list("containers")).filter_map(|c| c.get("image"));
    let volumes = list("volumes").filter_map(|volume| volume.get("image")?.get("reference"));
    images.extend(containers.chain(volumes).filter_map(Value::as_str).map(str::to_owned));
    for template in ["template", "jobTemplate"] {
        if let Some(inner) = spec.get(template).and_then(|template| template.get("spec")) {
            collect(inner, images);
        }
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
            spec:\n      template: { spec: { containers: [{ image: 'four:1' }] } }\n---\n\
            apiVersion: v1\nkind: PodList\nitems:\n- metadata: { name: d }\n  spec:\n    initContainers:\n    \
            containers: [{ image: five }]\n    volumes: [{ emptyDir: {} }, { image: { reference: six } }]\n";
        assert_eq!(images(text), ["one", "two", "three", "four:1", "five", "six"]);
    }

    #[test]
    fn a_chart_may_be_installed_by_an_image_of_its_own() {
        let chart = "apiVersion: helm.cattle.io/v1\nkind: HelmChart\nmetadata: { name: a }\nspec: { chart: x, jobImage: 'helm:1' }\n";
        assert_eq!(images(chart), ["helm:1"]);
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
