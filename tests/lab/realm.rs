//! The realm that Keycloak imports at its first start, against what its import takes. Keycloak refuses a file with a key that
//! it does not know, and then does not start at all.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::{KEY, labimg, stderr, stdout};

const DOMAIN: &str = "lab.home.arpa";
/// Stands before each mapper's name in Keycloak, and has to be given.
const OIDC: &str = "openid-connect";

/// What a key of a document may have.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    YesNo,
    Texts,
    /// By name: texts.
    TextMap,
    /// By name: lists of texts.
    ListMap,
    /// A list of such documents.
    List(Fields),
}
use Kind::{List, ListMap, Text, TextMap, Texts, YesNo};

/// The keys of a document that a lab may use.
type Fields = &'static [(&'static str, Kind)];

/// Keys and their kinds in Keycloak 26 (core/src/main/java/org/keycloak/representations/idm), as far as a lab could want
/// them. Left out on purpose: `clientScopes`, with which Keycloak makes none of its own (profile, email, basic with `sub`),
/// and what is deprecated.
const REALM: Fields = &[
    ("realm", Text),
    ("enabled", YesNo),
    ("displayName", Text),
    ("displayNameHtml", Text),
    ("sslRequired", Text),
    ("registrationAllowed", YesNo),
    ("registrationEmailAsUsername", YesNo),
    ("rememberMe", YesNo),
    ("verifyEmail", YesNo),
    ("loginWithEmailAllowed", YesNo),
    ("duplicateEmailsAllowed", YesNo),
    ("resetPasswordAllowed", YesNo),
    ("editUsernameAllowed", YesNo),
    ("bruteForceProtected", YesNo),
    ("permanentLockout", YesNo),
    ("passwordPolicy", Text),
    ("internationalizationEnabled", YesNo),
    ("supportedLocales", Texts),
    ("defaultLocale", Text),
    ("attributes", TextMap),
    ("groups", List(GROUP)),
    ("defaultGroups", Texts),
    ("users", List(USER)),
    ("clients", List(CLIENT)),
];
const GROUP: Fields = &[("name", Text), ("attributes", ListMap), ("realmRoles", Texts), ("clientRoles", ListMap)];
const USER: Fields = &[
    ("username", Text),
    ("enabled", YesNo),
    ("firstName", Text),
    ("lastName", Text),
    ("email", Text),
    ("emailVerified", YesNo),
    ("attributes", ListMap),
    ("requiredActions", Texts),
    ("realmRoles", Texts),
    ("clientRoles", ListMap),
    ("groups", Texts),
    ("credentials", List(&[("type", Text), ("value", Text), ("temporary", YesNo)])),
];
const CLIENT: Fields = &[
    ("clientId", Text),
    ("name", Text),
    ("description", Text),
    ("enabled", YesNo),
    ("protocol", Text),
    ("publicClient", YesNo),
    ("bearerOnly", YesNo),
    ("consentRequired", YesNo),
    ("standardFlowEnabled", YesNo),
    ("implicitFlowEnabled", YesNo),
    ("directAccessGrantsEnabled", YesNo),
    ("serviceAccountsEnabled", YesNo),
    ("frontchannelLogout", YesNo),
    ("fullScopeAllowed", YesNo),
    ("secret", Text),
    ("rootUrl", Text),
    ("baseUrl", Text),
    ("redirectUris", Texts),
    ("webOrigins", Texts),
    ("attributes", TextMap),
    ("protocolMappers", List(&[("name", Text), ("protocol", Text), ("protocolMapper", Text), ("config", TextMap)])),
];

/// Clients that each realm has before its file is read, and the roles of theirs that a lab gives.
const MADE_BEFORE: [(&str, &[&str]); 1] = [("realm-management", &["realm-admin"])];

/// What is no key, or has another kind.
fn wrong(value: &Value, fields: Fields, path: &str, all: &mut Vec<String>) {
    let Some(map) = value.as_object() else { return all.push(format!("{path} is no object")) };
    for (key, value) in map {
        let path = format!("{path}.{key}");
        let Some((_, kind)) = fields.iter().find(|(name, _)| name == key) else {
            all.push(format!("{path} is not known"));
            continue;
        };
        let texts = |value: &Value| value.as_array().is_some_and(|list| list.iter().all(Value::is_string));
        let each = |of: &dyn Fn(&Value) -> bool| value.as_object().is_some_and(|map| map.values().all(of));
        let is_right = match kind {
            Text => value.is_string(),
            YesNo => value.is_boolean(),
            Texts => texts(value),
            TextMap => each(&Value::is_string),
            ListMap => each(&texts),
            List(fields) => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    wrong(item, fields, &format!("{path}[{index}]"), all);
                }
                value.is_array()
            }
        };
        if !is_right {
            all.push(format!("{path} has another kind: {value}"));
        }
    }
}

/// The realm as Keycloak reads it, and the keys of the Secret from which it fills it in; `None` without Keycloak.
fn realm(stack: &str) -> Option<(Value, BTreeSet<String>)> {
    let folder = tempfile::tempdir().unwrap();
    let node = "[[nodes]]\nname = \"master\"\nrole = \"master\"\nboard = \"rpi5\"\n";
    let lab = format!("name = \"home\"\nssh_keys = [\"{KEY}\"]\ndomain = \"{DOMAIN}\"\n{stack}\n{node}");
    std::fs::write(folder.path().join("lab.toml"), lab).unwrap();
    let rendered = labimg(folder.path(), &["stack", "render"]);
    assert!(rendered.status.success(), "{stack}: {}", stderr(&rendered));
    let objects: Vec<Value> = serde_saphyr::from_multiple(&stdout(&rendered)).unwrap();
    let named = |kind: &str, name: &str| {
        let is_it = |object: &&Value| {
            let metadata = &object["metadata"];
            object["kind"] == kind && metadata["name"] == name && metadata["namespace"] == "auth"
        };
        objects.iter().find(is_it)
    };
    let text = named("ConfigMap", "keycloak-realm")?["data"]["lab-realm.json"].as_str().unwrap();
    let secret = named("Secret", "keycloak-clients").unwrap();
    let keys = secret["stringData"].as_object().unwrap().keys().cloned().collect();
    Some((serde_json::from_str(text).unwrap_or_else(|e| panic!("{stack}: {e}\n{text}")), keys))
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn texts(value: &Value, key: &str) -> Vec<String> {
    list(value, key).iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// `${NAME}` in all texts.
fn placeholders(value: &Value, all: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            let parts = text.split("${").skip(1);
            all.extend(parts.map(|part| part.split('}').next().unwrap_or_default().to_owned()));
        }
        Value::Array(items) => items.iter().for_each(|item| placeholders(item, all)),
        Value::Object(map) => map.values().for_each(|item| placeholders(item, all)),
        _ => {}
    }
}

/// Whether an address is one of the lab: by TLS, of a name below the domain, without a wildcard in the name.
fn is_below(address: &str) -> bool {
    let host = address.strip_prefix("https://").map(|rest| rest.split('/').next().unwrap_or_default());
    host.is_some_and(|host| {
        let name = host.strip_suffix(&format!(".{DOMAIN}")).unwrap_or_default();
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    })
}

/// Checks a realm; returns the names of its clients.
fn judge(what: &str, realm: &Value, secret: &BTreeSet<String>) -> Vec<String> {
    let mut all = Vec::new();
    wrong(realm, REALM, "realm", &mut all);
    let mut used = Vec::new();
    placeholders(realm, &mut used);
    all.extend(used.iter().filter(|name| !secret.contains(*name)).map(|name| format!("${{{name}}} is in no Secret")));
    assert!(all.is_empty(), "{what}: {all:#?}");

    let groups: Vec<String> =
        list(realm, "groups").iter().map(|g| format!("/{}", g["name"].as_str().unwrap())).collect();
    let of_users = list(realm, "users").iter().flat_map(|user| texts(user, "groups"));
    for group in of_users.chain(texts(realm, "defaultGroups")) {
        assert!(groups.contains(&group), "{what}: there is no group {group}");
    }
    // A role of a client that is not there ends the import.
    let none = Map::new();
    for holder in list(realm, "groups").iter().chain(list(realm, "users")) {
        for (client, roles) in holder["clientRoles"].as_object().unwrap_or(&none) {
            let known = MADE_BEFORE.iter().find(|(name, _)| name == client).map_or(&[][..], |(_, roles)| roles);
            assert!(
                roles.as_array().unwrap().iter().all(|role| known.iter().any(|name| role == name)),
                "{what}: {roles}"
            );
        }
    }
    for user in list(realm, "users") {
        // Whoever takes part in oauth2-proxy has a verified address; a password of labimg's is for the first login alone.
        assert_eq!(user["emailVerified"], true, "{what}");
        for role in texts(user, "realmRoles") {
            assert_eq!(role, format!("default-roles-{}", realm["realm"].as_str().unwrap()), "{what}");
        }
        for credential in list(user, "credentials") {
            assert!(credential["type"] == "password" && credential["temporary"] == true, "{what}");
            assert!(credential["value"].as_str().unwrap().starts_with("${"), "{what}: a password in the open");
        }
    }
    list(realm, "clients").iter().map(|client| judge_client(what, client)).collect()
}

fn judge_client(what: &str, client: &Value) -> String {
    let id = client["clientId"].as_str().unwrap().to_owned();
    let what = format!("{what}: {id}");
    assert!(client["publicClient"] == false && client["protocol"] == OIDC, "{what}");
    assert!(client["secret"].as_str().unwrap().starts_with("${CLIENT_SECRET_"), "{what}: a secret in the open");
    let back = texts(client, "redirectUris");
    assert!(back.iter().any(|address| is_below(address)), "{what}");
    for address in &back {
        // Vault's command line listens on the user's own computer.
        let is_own = id == "vault" && address == "http://localhost:8250/oidc/callback";
        assert!((is_below(address) || is_own) && !address.contains('*'), "{what}: {address}");
    }
    let after = client["attributes"]["post.logout.redirect.uris"].as_str().unwrap();
    assert!(is_below(after) && is_below(client["baseUrl"].as_str().unwrap()), "{what}: {after}");
    let mappers = list(client, "protocolMappers");
    assert!(mappers.iter().all(|mapper| mapper["protocol"] == OIDC), "{what}");
    let groups: Vec<&Value> =
        mappers.iter().filter(|mapper| mapper["protocolMapper"] == "oidc-group-membership-mapper").collect();
    let [groups] = groups[..] else { panic!("{what}: {} mappers of groups", groups.len()) };
    let config = &groups["config"];
    assert!(config["claim.name"] == "groups" && config["full.path"] == "false", "{what}: {config}");
    assert!(config["id.token.claim"] == "true" && config["userinfo.token.claim"] == "true", "{what}: {config}");
    id
}

const EVERYBODY: [&str; 4] = ["oauth2-proxy", "grafana", "nextcloud", "vault"];

#[test]
fn keycloak_can_import_the_realm_of_each_profile() {
    for (profile, expected) in [("identity", &EVERYBODY[..1]), ("seed", &EVERYBODY), ("full", &EVERYBODY)] {
        let (realm, secret) = realm(&format!("[stack]\nprofile = \"{profile}\"")).unwrap();
        assert_eq!(judge(profile, &realm, &secret), expected, "{profile}");
    }
    for profile in ["none", "minimal"] {
        assert_eq!(realm(&format!("[stack]\nprofile = \"{profile}\"")), None, "{profile}");
    }
}

#[test]
fn keycloak_can_import_the_realm_without_each_of_its_clients() {
    // What needs oauth2-proxy goes with it; the first, the last and those between.
    let off = [
        &["grafana"][..],
        &["nextcloud"],
        &["vault", "vault-webhook"],
        &["oauth2-proxy", "linkerd-viz", "headlamp"],
        &["oauth2-proxy", "linkerd-viz", "headlamp", "grafana", "nextcloud", "vault", "vault-webhook"],
    ];
    for names in off {
        let switches: String =
            names.iter().map(|name| format!("[stack.components.{name}]\nenabled = false\n")).collect();
        let (realm, secret) = realm(&format!("[stack]\nprofile = \"seed\"\n{switches}")).unwrap();
        let left: Vec<&str> = EVERYBODY.into_iter().filter(|name| !names.contains(name)).collect();
        assert_eq!(judge(&names.join(", "), &realm, &secret), left);
    }
}

#[test]
fn nobody_asks_keycloak_for_a_scope_that_it_does_not_have() {
    // Those that Keycloak makes by itself, as far as services ask for them.
    let known = ["openid", "profile", "email", "offline_access", "roles"];
    let folder = tempfile::tempdir().unwrap();
    let node = "[[nodes]]\nname = \"master\"\nrole = \"master\"\nboard = \"rpi5\"\n";
    std::fs::write(folder.path().join("lab.toml"), format!("name = \"home\"\nssh_keys = [\"{KEY}\"]\n{node}")).unwrap();
    let rendered = stdout(&labimg(folder.path(), &["stack", "render", "--profile", "full"]));
    let mut asked = Vec::new();
    for line in rendered.lines() {
        let line = line.trim_start().trim_start_matches("- ");
        // oauth2-proxy, Grafana, and Nextcloud's command; Vault's role names none.
        for before in ["scope: ", "scopes: ", "oidc_scopes: ", "--scope="] {
            if let Some(words) = line.strip_prefix(before) {
                let words: String = words.chars().take_while(|c| *c != '\\' && *c != ']').collect();
                let is_between = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
                let of_line = words.split(is_between).map(str::to_owned).filter(|word| !word.is_empty());
                asked.push(of_line.take_while(|word| word != "unique").collect::<Vec<_>>());
            }
        }
    }
    assert!(asked.len() >= 3, "{asked:?}");
    for scope in asked.iter().flatten() {
        assert!(known.contains(&scope.as_str()), "{scope}: {asked:?}");
    }
}
