//! SPDX 2.3 (ISO/IEC 5962), JSON.

use serde_json::{Value, json};

use super::{Materials, Part};

/// The specification's value for "no statement".
const NOTHING: &str = "NOASSERTION";

pub(super) fn write(materials: &Materials) -> Value {
    let ids: Vec<String> = (1..=materials.parts.len()).map(|number| format!("SPDXRef-Package-{number}")).collect();
    let (system, version) = &materials.system;
    let mut packages = vec![json!({
        "SPDXID": "SPDXRef-Image",
        "name": materials.name,
        "versionInfo": format!("{system} {version}").trim(),
        "primaryPackagePurpose": "OPERATING-SYSTEM",
        "downloadLocation": NOTHING,
        "filesAnalyzed": false,
        "licenseConcluded": NOTHING,
        "licenseDeclared": NOTHING,
        "copyrightText": NOTHING,
    })];
    packages.extend(materials.parts.iter().zip(&ids).map(|(part, id)| package(part, id)));
    let contains = ids.iter().map(|id| relationship("SPDXRef-Image", "CONTAINS", id));
    let describes = relationship("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Image");
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": materials.name,
        "documentNamespace": format!("urn:uuid:{}", materials.id),
        "creationInfo": {
            "created": materials.created,
            "creators": [concat!("Tool: labimg-", env!("CARGO_PKG_VERSION"))],
        },
        "packages": packages,
        "relationships": std::iter::once(describes).chain(contains).collect::<Vec<_>>(),
    })
}

fn package(part: &Part, id: &str) -> Value {
    let mut package = json!({
        "SPDXID": id,
        "name": part.name,
        "versionInfo": part.version,
        "downloadLocation": part.url.as_deref().unwrap_or(NOTHING),
        "filesAnalyzed": false,
        "licenseConcluded": NOTHING,
        "licenseDeclared": NOTHING,
        "copyrightText": NOTHING,
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": part.purl,
        }],
    });
    if let Some(hash) = part.sha256 {
        package["checksums"] = json!([{ "algorithm": "SHA256", "checksumValue": hash }]);
    }
    package
}

fn relationship(from: &str, kind: &str, to: &str) -> Value {
    json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to })
}
