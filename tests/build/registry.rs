//! Container images from Debian's packaged registry to containerd, which k3s contains.

use std::process::Command;

use crate::charts::exported;
use crate::locked::Locked;
use crate::registry_server::{ME, Registry, start, wait_until};
use crate::{fails, run, stderr, stdout, succeeds};

#[test]
fn an_image_of_a_registry_comes_to_the_container_runtime() {
    let locked = Locked::new();
    let dir = locked.bench.dir.path();
    let registry = Registry::start(dir, None);
    let port = registry.port;
    let sha256 = registry.push_image("lab/app", &["amd64", "arm64"], 100).sha256;

    let name = format!("127.0.0.1:{port}/lab/app:1.0");
    let lab = locked.dir.join("lab.toml");
    let text = std::fs::read_to_string(&lab).unwrap();
    let with = |image: &str| text.replace("[k3s]\n", &format!("[k3s]\nimages = [\"{image}\"]\n"));
    let logins = dir.join("auth.json");
    let lock = || {
        let mut command = locked.command("lock");
        command.env("REGISTRY_AUTH_FILE", &logins);
        command
    };
    let login = |auth: &str| {
        std::fs::write(&logins, format!(r#"{{"auths":{{"127.0.0.1:{port}":{{"auth":"{auth}"}}}}}}"#)).unwrap();
    };
    std::fs::write(&lab, with(&name)).unwrap();
    std::fs::write(&logins, "{}").unwrap();
    fails(&mut lock(), 1, &["lab/app:1.0", "401 Unauthorized to a request without a login", "auth.json"]);
    // `me:wrong`.
    login("bWU6d3Jvbmc=");
    fails(&mut lock(), 1, &["lab/app:1.0", "401 Unauthorized to the login from", "auth.json"]);
    login(ME);
    std::fs::write(&lab, with(&name.replace("app:", "none:"))).unwrap();
    fails(&mut lock(), 1, &["lab/none:1.0", "gives no such image to anyone who asks"]);
    std::fs::write(&lab, with(&name)).unwrap();
    succeeds(&mut lock());
    let lock = std::fs::read_to_string(&locked.lock).unwrap();
    assert!(lock.contains(&format!("name = \"{name}\"")) && lock.contains(&sha256.to_string()), "{lock}");
    let (mut command, image) = locked.build("node.img");
    succeeds(command.env("REGISTRY_AUTH_FILE", &logins));
    let archive = dir.join("images.tar");
    let (_, tar) = exported(&image, "var/lib/rancher/k3s/agent/images/labimg-images.tar").unwrap();
    std::fs::write(&archive, tar).unwrap();

    // k3s imports with the same library.
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    // A socket's path has at most 107 bytes.
    let short = tempfile::tempdir().unwrap();
    let socket = short.path().join("socket");
    let config = dir.join("containerd.toml");
    let text = format!(
        "version = 2\nroot = \"{0}/root\"\nstate = \"{0}/state\"\nuid = {uid}\ngid = {gid}\n\
         disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = \"{1}\"\nuid = {uid}\ngid = {gid}\n",
        dir.join("containerd").display(),
        socket.display()
    );
    std::fs::write(&config, text).unwrap();
    let _containerd = start(Command::new("containerd").arg("-c").arg(&config), &dir.join("containerd.log"));
    let ctr = |arguments: &[&str]| {
        let mut command = Command::new("ctr");
        command.arg("--address").arg(&socket).args(arguments);
        command
    };
    wait_until("containerd answers", || run(&mut ctr(&["version"])).status.success());
    let imported = run(ctr(&["images", "import", "--no-unpack", "--all-platforms"]).arg(&archive));
    assert!(imported.status.success(), "{}", stderr(&imported));
    let listed = stdout(&succeeds(&mut ctr(&["images", "list"])));
    let line = listed.lines().find(|line| line.starts_with(&name)).unwrap_or_else(|| panic!("{listed}"));
    assert!(line.contains(&format!("sha256:{sha256}")) && line.contains("linux/arm64"), "{listed}");
    // Nothing named by the manifest is missing.
    let checked = stdout(&succeeds(&mut ctr(&["images", "check"])));
    let line = checked.lines().find(|line| line.starts_with(&name)).unwrap_or_else(|| panic!("{checked}"));
    assert!(line.contains("complete (2/2)"), "{checked}");
}
