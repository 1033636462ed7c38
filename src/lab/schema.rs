//! The JSON Schema of `lab.toml`: for editors, and for `structure`.
//!
//! It is made from the model by the tests, which compare it with the file that the program holds: what makes schemas is
//! compiled for tests alone.

use serde_json::{Value, json};

use crate::parts::{Parts, PartsError};

/// Address of the published schema, in the repository named in `Cargo.toml`.
pub const URL: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/raw/HEAD/lab.schema.json");

/// The model's own schema: names, types, required settings, descriptions.
#[must_use]
#[expect(clippy::expect_used, reason = "the file is a part of the program, and a test reads it")]
pub(super) fn of_model() -> Value {
    serde_json::from_str(include_str!("model.schema.json")).expect("the program's own schema is JSON")
}

/// The published schema: the model's, plus the names that this labimg knows and the patterns of some values, so that an
/// editor can complete and underline. `labimg check` checks more.
///
/// # Errors
/// When a built-in file is bad, which the tests rule out.
pub fn published() -> Result<Value, PartsError> {
    let parts = Parts::built_in()?;
    let roles: Vec<_> = parts.roles().map(|role| &role.name).collect();
    let boards: Vec<_> = parts.boards().map(|board| &board.name).collect();
    let mut schema = of_model();
    schema["$id"] = URL.into();
    schema["title"] = "lab.toml".into();
    let node = "/definitions/LabNode/properties";
    for (path, keyword, value) in [
        // Only examples: a lab folder may have its own boards and roles.
        (format!("{node}/role"), "examples", json!(roles)),
        (format!("{node}/board"), "examples", json!(boards)),
        (format!("{node}/name"), "pattern", json!(LABEL)),
        ("/properties/name".to_owned(), "pattern", json!(LABEL)),
        ("/properties/timezone".to_owned(), "enum", json!(super::rules::timezones().collect::<Vec<_>>())),
        ("/definitions/Wifi/properties/country".to_owned(), "pattern", json!("^[A-Za-z]{2}$")),
        ("/definitions/Storage/properties/label".to_owned(), "maxLength", json!(16)),
    ] {
        if let Some(Value::Object(place)) = schema.pointer_mut(&path) {
            place.insert(keyword.to_owned(), value);
        }
    }
    Ok(schema)
}

/// One DNS label (RFC 1123), in lower case.
const LABEL: &str = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";

#[cfg(test)]
mod tests {
    use schemars::generate::SchemaSettings;

    use super::*;
    use crate::lab::Lab;

    #[test]
    fn the_schema_is_that_of_the_model() {
        // Draft 7 is what editors' TOML plug-ins know best.
        let model = SchemaSettings::draft07().into_generator().into_root_schema_for::<Lab>();
        let now = format!("{:#}\n", model.to_value());
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/lab/model.schema.json");
        if std::env::var_os("LABIMG_WRITE_SCHEMA").is_some() {
            std::fs::write(file, &now).unwrap();
        }
        let is_new = std::fs::read_to_string(file).unwrap() == now;
        assert!(is_new, "src/lab/model.schema.json is old: `LABIMG_WRITE_SCHEMA=1 cargo test --lib schema` writes it");
    }

    #[test]
    fn the_published_file_is_this_schema() {
        let file = include_str!("../../lab.schema.json");
        let now = format!("{:#}\n", published().unwrap());
        assert!(file == now, "lab.schema.json is old: `labimg check --schema > lab.schema.json` mends it");
    }

    #[test]
    fn forms_are_where_an_editor_looks() {
        let schema = published().unwrap();
        for (path, word) in [
            ("/definitions/LabNode/properties/role/examples", "worker"),
            ("/definitions/LabNode/properties/board/examples", "rpi4"),
            ("/properties/timezone/enum", "Europe/Berlin"),
        ] {
            let words = schema.pointer(path).and_then(Value::as_array).unwrap();
            assert!(words.iter().any(|w| w == word), "{path}");
        }
        for path in [
            "/definitions/LabNode/properties/name/pattern",
            "/properties/name/pattern",
            "/definitions/Wifi/properties/country/pattern",
            "/definitions/Storage/properties/label/maxLength",
        ] {
            assert!(schema.pointer(path).is_some(), "{path}");
        }
    }

    #[test]
    fn every_setting_says_what_it_is() {
        let schema = published().unwrap();
        let tables = schema["definitions"].as_object().unwrap().values().chain([&schema]);
        for properties in tables.filter_map(|t| t.get("properties")?.as_object()) {
            for (name, setting) in properties {
                assert!(setting.get("description").is_some(), "{name}");
            }
        }
    }
}
