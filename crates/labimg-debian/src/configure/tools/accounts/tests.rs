//! All tools that edit the account files, run in sequence.

use super::*;
use crate::configure::Context;
use crate::configure::tools::systemd_sysusers::SysUser;
use crate::configure::tools::{adduser, shadowconfig, systemd_sysusers as sysusers};

const NOLOGIN: &str = "/usr/sbin/nologin";

fn tree() -> Tree {
    let mut tree = Tree::new(20_000 * DAY + 5);
    tree.write("etc/passwd", 0o644, "root:*:0:0:root:/root:/bin/bash\nnobody:*:65534:65534:::\n").unwrap();
    let ages = "PASS_MAX_DAYS 99999\nPASS_MIN_DAYS 0\nPASS_WARN_AGE 7\n";
    tree.write("etc/login.defs", 0o644, ages).unwrap();
    tree.write("etc/group", 0o644, "root:*:0:\nshadow:*:42:\nusers:*:100:\nnogroup:*:65534:\n").unwrap();
    tree
}

fn lines(tree: &Tree, path: &str) -> String {
    tree.read_text(path).unwrap()
}

#[test]
fn sysusers_then_shadow_then_adduser() {
    let mut tree = tree();
    Accounts::edit(&mut tree, |accounts| {
        sysusers::add_group(accounts, "journal", None)?;
        sysusers::add_group(accounts, "net", None)?;
        let (gecos, home, shell) = ("Net", "/", NOLOGIN);
        let user = SysUser { name: "net", uid: None, group: None, gecos, home, shell, locked: true };
        sysusers::add_user(accounts, &user)?;
        sysusers::add_user(accounts, &SysUser { name: "ssh", group: Some("nogroup"), locked: false, ..user })
    })
    .unwrap();
    shadowconfig::on(&mut Context::new(&mut tree, "arm64")).unwrap();
    Accounts::edit(&mut tree, |accounts| {
        adduser::add_user(accounts, "_rpc", "/run/rpcbind")?;
        adduser::add_group(accounts, "_ssh")?;
        accounts.add_member("_rpc", "_ssh")
    })
    .unwrap();
    assert_eq!(
        lines(&tree, "etc/passwd"),
        "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:::\nnet:x:998:998:Net:/:/usr/sbin/nologin\n\
         ssh:x:997:65534:Net:/:/usr/sbin/nologin\n_rpc:x:100:65534::/run/rpcbind:/usr/sbin/nologin\n"
    );
    assert_eq!(
        lines(&tree, "etc/shadow"),
        "net:!*:20000:::::1:\nssh:!*:20000::::::\nroot:*:20000:0:99999:7:::\nnobody:*:20000:0:99999:7:::\n\
         _rpc:!:20000::::::\n"
    );
    assert_eq!(
        lines(&tree, "etc/gshadow"),
        "journal:!*::\nnet:!*::\nroot:*::\nshadow:*::\nusers:*::\nnogroup:*::\n_ssh:!::_rpc\n"
    );
    assert!(lines(&tree, "etc/group").ends_with("journal:x:999:\nnet:x:998:\n_ssh:x:101:_rpc\n"));
    assert!(!lines(&tree, "etc/passwd-").contains("_rpc"), "the backup holds what was there before");
    let shadow = tree.get("etc/shadow").unwrap();
    assert_eq!((shadow.mode, shadow.gid), (0o640, 42));
}

#[test]
fn what_is_there_stays() {
    let mut tree = tree();
    Accounts::edit(&mut tree, |accounts| {
        adduser::add_group(accounts, "users")?;
        adduser::add_user(accounts, "root", "/x")
    })
    .unwrap();
    assert!(!tree.contains("etc/passwd-"));
    let accounts = Accounts::load(&tree).unwrap();
    assert_eq!(accounts.gid("users").unwrap(), 100);
    assert_eq!(accounts.uid("7").unwrap(), 7);
    assert!(matches!(accounts.uid("who"), Err(ConfigureError::NoAccount { .. })));
}
