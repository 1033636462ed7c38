//! The debconf database in `/var/cache/debconf`, so that debconf on the node knows every question and its answer
//! (debconf-devel(7) for templates; the file format is debconf's `Debconf::Format::822`).

use std::collections::{BTreeMap, BTreeSet};

use super::super::super::ConfigureError;
use labimg_tree::Tree;

const FOLDER: &str = "/var/cache/debconf";

/// What debconf knows: templates by name, and the question that each template asks.
#[derive(Debug, Default)]
pub(crate) struct Database {
    templates: BTreeMap<String, Fields>,
    questions: BTreeMap<String, Question>,
}

/// Values by lower-case field name.
type Fields = BTreeMap<String, String>;

#[derive(Debug, Default)]
struct Question {
    value: Option<String>,
    owners: BTreeSet<String>,
    seen: bool,
    variables: BTreeMap<String, String>,
}

impl Database {
    /// Loads the templates of a package. `owner` is its name, `path` is for messages.
    ///
    /// # Errors
    /// A line that is neither a field nor its continuation, or a template without a name.
    pub(crate) fn load(&mut self, owner: &str, path: &str, text: &str) -> Result<(), ConfigureError> {
        for stanza in text.split("\n\n").map(|s| s.trim_matches('\n')).filter(|s| !s.is_empty()) {
            let mut fields = parse(path, stanza)?;
            let Some(name) = fields.remove("template").filter(|name| !name.is_empty()) else {
                return Err(ConfigureError::format(path, "has a template without `Template:`"));
            };
            self.questions.entry(name.clone()).or_default().owners.insert(owner.to_owned());
            self.templates.insert(name, fields);
        }
        Ok(())
    }

    /// The default answer of a template; empty when there is no default or no such template.
    pub(crate) fn default_answer(&self, name: &str) -> &str {
        self.templates.get(name).and_then(|fields| fields.get("default")).map_or("", String::as_str)
    }

    /// True when a template of this name was loaded.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.templates.contains_key(name)
    }

    /// `db_set`: stores an answer. A question that was not loaded is ignored.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        if let Some(question) = self.questions.get_mut(name) {
            question.value = Some(value.into());
        }
    }

    /// `db_fset … seen true`: the question was shown, or need not be.
    pub(crate) fn seen(&mut self, name: &str) {
        if let Some(question) = self.questions.get_mut(name) {
            question.seen = true;
        }
    }

    /// `db_subst`: stores the value of `${variable}` in the question's texts.
    pub(crate) fn substitute(&mut self, name: &str, variable: &str, value: impl Into<String>) {
        if let Some(question) = self.questions.get_mut(name) {
            question.variables.insert(variable.to_owned(), value.into());
        }
    }

    /// Writes the three files.
    ///
    /// # Errors
    /// When a file cannot be put in its place.
    pub(crate) fn write(&self, tree: &mut Tree) -> Result<(), ConfigureError> {
        let mut templates = String::new();
        for (name, fields) in &self.templates {
            line(&mut templates, "Name", name);
            for (field, value) in fields {
                line(&mut templates, &capital(field), value);
            }
            line(&mut templates, "Owners", name);
            templates.push('\n');
        }
        let mut config = String::new();
        for (name, question) in &self.questions {
            line(&mut config, "Name", name);
            line(&mut config, "Template", name);
            if let Some(value) = &question.value {
                line(&mut config, "Value", value);
            }
            let owners: Vec<&str> = question.owners.iter().map(String::as_str).collect();
            line(&mut config, "Owners", &owners.join(", "));
            if question.seen {
                line(&mut config, "Flags", "seen");
            }
            if !question.variables.is_empty() {
                config.push_str("Variables:\n");
            }
            for (variable, value) in &question.variables {
                config.extend([" ", variable, " = ", &value.replace('\n', "\\n"), "\n"]);
            }
            config.push('\n');
        }
        tree.write(format!("{FOLDER}/templates.dat"), 0o644, templates)?;
        tree.write(format!("{FOLDER}/config.dat"), 0o644, config)?;
        tree.write(format!("{FOLDER}/passwords.dat"), 0o600, "")?;
        Ok(())
    }
}

fn line(out: &mut String, field: &str, value: &str) {
    out.push_str(field);
    out.push_str(": ");
    out.push_str(&value.replace('\n', "\\n"));
    out.push('\n');
}

fn capital(field: &str) -> String {
    let mut chars = field.chars();
    chars.next().map_or(String::new(), |first| first.to_ascii_uppercase().to_string() + chars.as_str())
}

fn trim_end(text: &str) -> &str {
    text.trim_end_matches(|c: char| c.is_ascii_whitespace())
}

/// The fields of one template; the long text below a field becomes `extended_FIELD`, with the lines of each paragraph
/// joined.
fn parse(path: &str, stanza: &str) -> Result<Fields, ConfigureError> {
    let mut fields = Fields::new();
    let mut current = String::new();
    let mut extended = String::new();
    let finish = |fields: &mut Fields, current: &str, extended: &str| {
        let text = extended.trim_end_matches('\n');
        if !current.is_empty() && !text.is_empty() {
            fields.insert(format!("extended_{current}"), text.to_owned());
        }
    };
    for line in stanza.lines() {
        if let Some((name, value)) = line.split_once(':').filter(|(name, _)| is_field(name)) {
            finish(&mut fields, &current, &extended);
            extended.clear();
            current = name.to_ascii_lowercase();
            let value = value.strip_prefix(|c: char| c.is_ascii_whitespace()).unwrap_or(value);
            if fields.insert(current.clone(), trim_end(value).to_owned()).is_some() {
                return Err(ConfigureError::format(path, format!("has `{name}` twice in one template")));
            }
            continue;
        }
        let Some(text) = line.strip_prefix([' ', '\t']) else {
            return Err(ConfigureError::format(path, format!("has `{line}`, which is neither a field nor its text")));
        };
        let glued = extended.is_empty() || extended.ends_with(['\n', ' ']);
        if text == "." {
            extended.push_str("\n\n");
        } else if text.starts_with([' ', '\t']) {
            // A line with more indent is not joined.
            if !glued {
                extended.push('\n');
            }
            extended.push_str(trim_end(text));
            extended.push('\n');
        } else {
            if !glued {
                extended.push(' ');
            }
            extended.push_str(trim_end(text));
        }
    }
    finish(&mut fields, &current, &extended);
    Ok(fields)
}

fn is_field(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'@' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEMPLATES: &str = "Template: p/a\nType: boolean\nDefault: true\nDescription: Really?\n One\n two.\n .\n Three\n  * item\n  * more\nDescription-de.UTF-8: Wirklich?\n\n\nTemplate: p/b\nType: text\nDescription: B\n";

    #[test]
    fn templates_questions_and_answers() {
        let mut database = Database::default();
        database.load("p", "p.templates", TEMPLATES).unwrap();
        database.load("p:arm64", "p.templates", TEMPLATES).unwrap();
        assert_eq!(database.default_answer("p/a"), "true");
        database.set("p/a", "false");
        database.seen("p/a");
        database.substitute("p/a", "x", "1\n2");
        database.set("p/none", "x");
        let mut tree = Tree::new(0);
        database.write(&mut tree).unwrap();
        assert_eq!(
            tree.read_text("var/cache/debconf/config.dat").unwrap(),
            "Name: p/a\nTemplate: p/a\nValue: false\nOwners: p, p:arm64\nFlags: seen\nVariables:\n x = 1\\n2\n\n\
             Name: p/b\nTemplate: p/b\nOwners: p, p:arm64\n\n"
        );
        assert_eq!(
            tree.read_text("var/cache/debconf/templates.dat").unwrap(),
            "Name: p/a\nDefault: true\nDescription: Really?\nDescription-de.utf-8: Wirklich?\n\
             Extended_description: One two.\\n\\nThree\\n * item\\n * more\nType: boolean\nOwners: p/a\n\n\
             Name: p/b\nDescription: B\nType: text\nOwners: p/b\n\n"
        );
        assert_eq!(tree.get("var/cache/debconf/passwords.dat").unwrap().mode, 0o600);
    }

    #[test]
    fn damage_is_an_error() {
        for text in ["Type: text\n", "Template: a\nno field\n", "Template: a\nType: x\nType: y\n"] {
            assert!(Database::default().load("p", "p.templates", text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(Template|[A-Za-z-]{0,3}|[ .:\n\té]){0,60}") {
            let _ = Database::default().load("p", "p.templates", &text);
        }
    }
}
