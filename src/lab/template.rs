//! The `lab.toml` that `labimg new` writes.

use minijinja::{Environment, UndefinedBehavior, context};

use super::schema;
use crate::manifests::Profile;
use labimg_tree::fault::{Fault, FaultKind};

const TEMPLATE: &str = include_str!("template.toml");

/// The values that differ between new labs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// Name of the cluster.
    pub name: String,
    /// Board of all nodes.
    pub board: String,
    /// Number of workers beside the master.
    pub workers: u8,
    /// The SSH key, as written in `ssh_keys`.
    pub ssh_key: Option<String>,
    /// How much the cluster runs by itself.
    pub stack: Profile,
}

/// The built-in template is bad.
#[derive(Debug, thiserror::Error)]
#[error("the template of lab.toml cannot be filled in")]
pub struct TemplateError(#[from] minijinja::Error);

impl Fault for TemplateError {
    fn kind(&self) -> FaultKind {
        FaultKind::Ours
    }
}

/// The text of a commented `lab.toml`.
///
/// # Errors
/// When the built-in template is bad, which the tests rule out.
pub fn render(answers: &Answers) -> Result<String, TemplateError> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let text = environment.render_str(
        TEMPLATE,
        context! {
            schema => schema::URL,
            name => quoted(&answers.name),
            board => quoted(&answers.board),
            key => answers.ssh_key.as_deref().map(quoted),
            stack => quoted(answers.stack.name()),
            workers => (1..=answers.workers).map(|n| quoted(&format!("worker-{n}"))).collect::<Vec<_>>(),
        },
    )?;
    // Jinja removes the last newline.
    Ok(text + "\n")
}

#[cfg(test)]
mod tests {
    use super::super::tests::known;
    use super::super::{Lab, Stack, parse, schema};
    use super::*;

    fn answers() -> Answers {
        Answers {
            name: "home".to_owned(),
            board: "rpi4".to_owned(),
            workers: 2,
            ssh_key: None,
            stack: Profile::Minimal,
        }
    }

    #[test]
    fn it_says_what_it_was_asked_for() {
        let text = render(&Answers { ssh_key: Some("~/.ssh/a \"b\".pub".to_owned()), ..answers() }).unwrap();
        let (lab, warnings) = parse(&text, None, known()).unwrap();
        assert_eq!(warnings, []);
        assert_eq!((lab.name.as_str(), lab.ssh_keys.as_slice()), ("home", &["~/.ssh/a \"b\".pub".to_owned()][..]));
        let nodes: Vec<_> = lab.nodes.iter().map(|n| (n.name.as_str(), n.role.as_str(), n.board.as_str())).collect();
        assert_eq!(
            nodes,
            [("master", "master", "rpi4"), ("worker-1", "worker", "rpi4"), ("worker-2", "worker", "rpi4")]
        );
    }

    #[test]
    fn without_a_key_it_warns() {
        let (lab, warnings) = parse(&render(&Answers { workers: 0, ..answers() }).unwrap(), None, known()).unwrap();
        assert_eq!(lab.nodes.len(), 1);
        assert!(warnings.iter().any(|w| w.message.contains("nobody can log in")), "{warnings:?}");
    }

    #[test]
    fn what_it_says_is_the_default() {
        let (lab, _) = parse(&render(&answers()).unwrap(), None, known()).unwrap();
        let bare = parse("name = \"home\"\n[[nodes]]\nname=\"master\"\nrole=\"master\"\nboard=\"rpi4\"", None, known())
            .unwrap()
            .0;
        // New labs get more than old ones have.
        assert_eq!(lab.stack.profile, Profile::Minimal);
        let rest = |lab: Lab| Lab { nodes: Vec::new(), stack: Stack::default(), ..lab };
        assert_eq!(rest(lab), rest(bare));
    }

    /// Every commented setting must be valid when its `#` is removed, and every setting must be there.
    #[test]
    fn its_comments_are_examples_that_work() {
        let text = render(&Answers { ssh_key: Some("~/.ssh/id.pub".to_owned()), ..answers() }).unwrap();
        let is_setting = |line: &str| {
            let key = line.split('=').next().unwrap_or_default().trim_end();
            let word = !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b"_3".contains(&b));
            line.starts_with("[wifi]") || word && line.contains(" = ")
        };
        let lines = text.lines().map(|line| line.strip_prefix("# ").filter(|l| is_setting(l)).unwrap_or(line));
        let whole: String = lines.map(|line| format!("{line}\n")).collect();
        let (lab, warnings) = parse(&whole, None, known()).unwrap_or_else(|e| panic!("{e:?}\n{whole}"));
        assert_eq!(warnings, []);
        let written = toml::to_string(&lab).unwrap();
        assert_eq!(parse(&written, None, known()).unwrap().0, lab, "what was read reads the same once written");
        let root: toml::Table = whole.parse().unwrap();
        let schema = schema::of_model();
        let top = |table: &toml::Table, properties: &serde_json::Value| {
            let known = properties.as_object().unwrap().keys();
            assert_eq!(table.keys().collect::<Vec<_>>(), known.collect::<Vec<_>>());
        };
        top(&root, &schema["properties"]);
        for (section, definition) in [("wifi", "Wifi"), ("k3s", "K3s"), ("storage", "Storage")] {
            top(root[section].as_table().unwrap(), &schema["definitions"][definition]["properties"]);
        }
        top(root["nodes"][0].as_table().unwrap(), &schema["definitions"]["LabNode"]["properties"]);
    }
}
