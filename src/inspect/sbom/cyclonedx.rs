//! CycloneDX 1.6 (ECMA-424), JSON.

use serde_json::{Value, json};

use super::{Materials, Part};

pub(super) fn write(materials: &Materials) -> Value {
    let (system, version) = &materials.system;
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{}", materials.id),
        "version": 1,
        "metadata": {
            "timestamp": materials.created,
            "tools": {
                "components": [{ "type": "application", "name": "labimg", "version": env!("CARGO_PKG_VERSION") }]
            },
            "component": {
                "type": "operating-system",
                "bom-ref": "image",
                "name": materials.name,
                "version": format!("{system} {version}").trim(),
            },
        },
        "components": materials.parts.iter().map(component).collect::<Vec<_>>(),
        "dependencies": [{
            "ref": "image",
            "dependsOn": materials.parts.iter().map(|p| &p.purl).collect::<Vec<_>>(),
        }],
    })
}

fn component(part: &Part) -> Value {
    let mut component = json!({
        "type": "application",
        "bom-ref": part.purl,
        "name": part.name,
        "version": part.version,
        "purl": part.purl,
    });
    if let Some(hash) = part.sha256 {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": hash }]);
    }
    if let Some(url) = &part.url {
        component["externalReferences"] = json!([{ "type": "distribution", "url": url }]);
    }
    component
}
