use super::*;
use crate::wording::one_line;
use labimg_testkit::folder;

fn error(files: &[(&str, &str)]) -> String {
    let dir = folder(files);
    let text = one_line(&Parts::of(dir.path()).unwrap_err());
    text.replace(&dir.path().display().to_string(), "LAB")
}

const GATEWAY: &str = "title = \"The way out\"\nk3s = \"agent\"\n[packages]\nnftables = \"the firewall\"\n";

#[test]
fn a_folder_adds_to_what_the_program_has_and_replaces_it() {
    let worker = "title = \"Mine\"\nk3s = \"agent\"\n[packages]\n";
    let dir = folder(&[
        ("roles/gateway.toml", GATEWAY),
        ("roles/worker.toml", worker),
        ("roles/README", "not a role"),
        ("overlays/common/etc/motd", "hello\n"),
        ("overlays/gateway/etc/nftables.conf", "flush ruleset\n"),
        ("overlays/.DS_Store", ""),
    ]);
    let parts = Parts::of(dir.path()).unwrap();
    assert_eq!(parts.roles().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["gateway", "master", "server", "worker"]);
    assert_eq!(parts.role("worker").unwrap().title, "Mine");
    let files = |role: &str| {
        let own = parts.own_files(parts.role(role).unwrap());
        own.iter().flat_map(|(name, files)| files.iter().map(move |f| format!("{name}:{}", f.path))).collect::<Vec<_>>()
    };
    assert_eq!(files("gateway"), ["common:etc/motd", "gateway:etc/nftables.conf"]);
    assert_eq!(files("master"), ["common:etc/motd"]);
    assert_eq!(Parts::of(&dir.path().join("nothing")).unwrap(), Parts::built_in().unwrap());
}

#[test]
fn a_board_of_the_folder_stands_in_the_place_of_ours() {
    let ours = include_str!("../../boards/virt.toml");
    let dir = folder(&[("boards/virt.toml", &ours.replace("size_mib = ", "size_mib = 1"))]);
    let parts = Parts::of(dir.path()).unwrap();
    let size = |parts: &Parts| parts.board("virt").unwrap().firmware.size_mib;
    assert!(size(&parts) > size(&Parts::built_in().unwrap()));
}

#[test]
fn secret_files_are_for_all_a_role_or_a_node() {
    let dir = folder(&[
        ("secrets/files/modes.toml", "[\"nodes/w1\"]\n\"/etc/a\" = { owner = \"7\" }\n"),
        ("secrets/files/common/etc/a", ""),
        ("secrets/files/worker/etc/a", ""),
        ("secrets/files/nodes/w1/etc/a", ""),
        ("secrets/tls/ca.key", ""),
    ]);
    let parts = Parts::of(dir.path()).unwrap();
    let names = |role: &str, node: &str| {
        let files = parts.secret_files(parts.role(role).unwrap(), node);
        files.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(names("worker", "w1"), ["common", "worker", "nodes/w1"]);
    assert_eq!(names("master", "m"), ["common"]);
    assert_eq!(parts.nodes_with_secret_files().collect::<Vec<_>>(), ["w1"]);
    let own = parts.secret_files(parts.role("worker").unwrap(), "w1").pop().unwrap().1;
    assert_eq!((own[0].mode, own[0].owners.user.as_deref()), (Some(0o600), Some("7")));
}

#[test]
fn mistakes_name_the_file() {
    for (files, said) in [
        (&[("boards/x.toml", "title = 1\n")][..], "LAB/boards/x.toml:1: a text is expected here, not the number 1"),
        (
            &[("roles/x.toml", "titel = \"\"\n")],
            "LAB/roles/x.toml:1: there is no field `titel` here (did you mean `title`?)",
        ),
        (&[("roles/x.toml", "title = \"\"\nmanifests = true\n[packages]\n")], "only the role `master`"),
        (&[("roles/x.toml", "title = \"\"\noverlay = \"y\"\n[packages]\n")], "role x: there is no folder overlays/y"),
        (
            &[("overlays/wroker/etc/x", "")],
            "LAB/overlays/wroker: there is no role of this name (did you mean `worker`?)",
        ),
        (
            &[("secrets/files/wroker/etc/x", "")],
            "LAB/secrets/files/wroker: there is no role of this name (did you mean `worker`?)",
        ),
        (&[("overlays/motd", "")], "LAB/overlays/motd: this file is in none of the folders for roles (put it into"),
        (&[("overlays/modes.toml", "[a]\n")], "LAB/overlays/modes.toml: there is no folder a beside it"),
        (
            &[("overlays/modes.toml", "[common]\n\"/x\" = {}"), ("overlays/common/y/x", "")],
            "LAB/overlays/modes.toml: there is no /x in LAB/overlays/common",
        ),
    ] {
        let text = error(files);
        assert!(text.contains(said), "{text}");
    }
}

#[test]
fn an_unknown_name_gets_the_nearest() {
    let parts = Parts::built_in().unwrap();
    for name in ["rpi44", "RPI4"] {
        let text = one_line(&parts.board(name).unwrap_err());
        assert!(text.ends_with("; `labimg boards` lists them all)"), "{text}");
        assert!(text.starts_with(&format!("unknown board `{name}` (did you mean `rpi4` or ")), "{text}");
    }
    assert!(parts.board("../rpi4").unwrap_err().to_string().contains("unknown board `../rpi4`"));
    let error = one_line(&parts.role("mastr").unwrap_err());
    assert!(error.contains("`mastr`") && error.contains("`master`"), "{error}");
    assert!(parts.role("common").is_err());
}
