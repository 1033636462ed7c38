//! Raspberry Pi: what Debian's `raspi-firmware` keeps on the firmware partition.
//!
//! Its hook writes config.txt and cmdline.txt from here-documents. They are taken from the hook itself, so the build
//! writes the same as the node at its next kernel upgrade.

use super::{BoardError, file, missing};
use crate::parts::board::Board;
use labimg_tree::{Kind, Tree, TreePath};

const HOOK: &str = "etc/kernel/postinst.d/z50-raspi-firmware";
const DEFAULTS: &str = "etc/default/raspi-firmware";
const EXTRA_CONFIG: &str = "etc/default/raspi-firmware-custom";
const EXTRA_ARGUMENTS: &str = "etc/default/raspi-extra-cmdline";
const UNPACKED: &str = "was raspi-firmware unpacked?";

/// How many here-documents the hook has for config.txt and cmdline.txt; all of them apply to arm64 with an initramfs.
const DOCUMENTS: (usize, usize) = (5, 1);

/// Settings for the hook that it would otherwise detect on the running board.
pub(super) fn settings(tree: &mut Tree, board: &Board, partuuid: &str) -> Result<(), BoardError> {
    if !tree.contains(DEFAULTS) {
        return Err(missing(board, DEFAULTS, UNPACKED));
    }
    let mut defaults = tree.read_text(DEFAULTS)?;
    let set = format!(
        "\n# Set when the image was built. No memory is kept for video: a node has no screen.\n\
         CMA=0\nROOTPART=PARTUUID={partuuid}\nCONSOLES=\"{}\"\n",
        board.kernel.consoles.join(" ")
    );
    defaults.push_str(&set);
    tree.write(DEFAULTS, 0o644, defaults)?;
    if !board.firmware.config.is_empty() {
        tree.write(EXTRA_CONFIG, 0o644, format!("{}\n", board.firmware.config.join("\n")))?;
    }
    tree.write(EXTRA_ARGUMENTS, 0o644, format!("{}\n", board.kernel.arguments.join(" ")))?;
    Ok(())
}

/// Adds the boot firmware, device trees, config.txt and cmdline.txt.
pub(super) fn fill(
    tree: &Tree,
    out: &mut Tree,
    board: &Board,
    partuuid: &str,
    version: &str,
) -> Result<(), BoardError> {
    copy(tree, out, "usr/lib/raspi-firmware", |_| true)?;
    let trees = format!("usr/lib/linux-image-{version}/broadcom");
    copy(tree, out, &trees, |name| name.starts_with("bcm") && name.strip_suffix(".dtb").is_some())?;
    // The first boot stages of every board except the Pi 5, which has them in its EEPROM.
    for name in ["bootcode.bin", "start.elf", "start4.elf"] {
        if !out.contains(name) {
            return Err(missing(board, &format!("usr/lib/raspi-firmware/{name}"), UNPACKED));
        }
    }

    let hook = file(tree, board, HOOK, UNPACKED)?;
    let hook = hook.to_vec().map_err(|source| labimg_tree::TreeError::Read { path: TreePath::default(), source })?;
    let hook = String::from_utf8_lossy(&hook);
    let custom = board.firmware.config.join("\n");
    let values = [
        ("${KERNEL}", format!("vmlinuz-{version}")),
        ("${latest_initrd_basename}", format!("initrd.img-{version}")),
        ("$(cat ${firmware_custom})", custom),
        ("${firmware_custom}", format!("/{EXTRA_CONFIG}")),
        // The hook puts a space before each.
        ("${pre_cmdline}", format!(" {}", super::consoles(board))),
        ("$ROOTPART", format!("PARTUUID={partuuid}")),
        // For CMA=0.
        ("$SET_CMA", String::new()),
        ("${post_cmdline}", board.kernel.arguments.join(" ")),
    ];
    let config = documents(&hook, "config.txt", &values)?;
    let cmdline = documents(&hook, "cmdline.txt", &values)?;
    if (config.len(), cmdline.len()) != DOCUMENTS {
        let what = format!("it writes config.txt in {} parts and cmdline.txt in {}", config.len(), cmdline.len());
        return Err(BoardError::Hook { path: HOOK, what });
    }
    // The last here-document inserts the extra lines, if there are any.
    let parts = if board.firmware.config.is_empty() { config.len() - 1 } else { config.len() };
    out.write("config.txt", 0o644, config.into_iter().take(parts).collect::<String>())?;
    out.write("cmdline.txt", 0o644, cmdline.concat())?;
    Ok(())
}

/// The here-documents that the hook writes to a file of the firmware partition, with the values substituted.
fn documents(hook: &str, name: &str, values: &[(&str, String)]) -> Result<Vec<String>, BoardError> {
    let target = format!("/boot/firmware/{name} <<EOF");
    let mut lines = hook.lines();
    let mut all = Vec::new();
    while let Some(line) = lines.next() {
        if !line.ends_with(&target) {
            continue;
        }
        let mut text = String::new();
        for line in lines.by_ref().take_while(|line| *line != "EOF") {
            text.push_str(line);
            text.push('\n');
        }
        all.push(substitute(&text, values)?);
    }
    Ok(all)
}

/// Substitutes variables in one pass, so that a value that looks like a variable stays unchanged.
fn substitute(text: &str, values: &[(&str, String)]) -> Result<String, BoardError> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['$', '`', '\\']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let Some((name, value)) = values.iter().find(|(name, _)| from.starts_with(name)) else {
            let what = from.lines().next().unwrap_or_default();
            return Err(BoardError::Hook { path: HOOK, what: format!("it writes `{what}`") });
        };
        out.push_str(value);
        rest = &from[name.len()..];
    }
    out.push_str(rest);
    Ok(out)
}

/// Copies the wanted files of a folder and its subfolders, as `cp -r` does.
fn copy(tree: &Tree, out: &mut Tree, folder: &str, wanted: impl Fn(&str) -> bool) -> Result<(), BoardError> {
    // Newer kernel packages have a symbolic link here.
    let folder = tree.resolve(folder)?;
    let skip = folder.as_bytes().len() + 1;
    for (path, _, inode) in tree.below(&folder) {
        let relative = path.as_bytes().get(skip..).unwrap_or_default();
        if let Kind::File(content) = &inode.kind
            && wanted(&String::from_utf8_lossy(relative))
        {
            out.write(relative, 0o644, content.clone())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::Parts;

    const SCRIPT: &str = "x\ncat >/boot/firmware/config.txt <<EOF\na=${KERNEL}\nEOF\nif y; then\n  \
                          cat >>/boot/firmware/config.txt <<EOF\nb\nEOF\nfi\ncat >/boot/firmware/cmdline.txt <<EOF\n\
                          ${pre} c\nEOF\n";

    #[test]
    fn here_documents_are_taken_from_the_hook() {
        let values = [("${KERNEL}", "$k".to_owned())];
        assert_eq!(documents(SCRIPT, "config.txt", &values).unwrap(), ["a=$k\n", "b\n"]);
        let error = documents(SCRIPT, "cmdline.txt", &values).unwrap_err().to_string();
        assert!(error.contains("`${pre} c`"), "{error}");
    }

    /// A root tree with a package whose hook has the known parts.
    fn root() -> Tree {
        let part = |file: &str, text: &str| format!("cat >>/boot/firmware/{file} <<EOF\n{text}\nEOF\n");
        let hook = [
            part("config.txt", "# head"),
            part("config.txt", "arm_64bit=1"),
            part("config.txt", "kernel=${KERNEL}"),
            part("config.txt", "initramfs ${latest_initrd_basename}"),
            part("config.txt", "# ${firmware_custom}\n$(cat ${firmware_custom})"),
            part("cmdline.txt", "${pre_cmdline} root=$ROOTPART rw $SET_CMA ${post_cmdline}"),
        ];
        let mut tree = Tree::new(0);
        tree.write(HOOK, 0o755, hook.concat()).unwrap();
        tree.write(DEFAULTS, 0o644, "#CMA=64M\n").unwrap();
        tree.write("boot/vmlinuz-6.12", 0o644, "kernel").unwrap();
        tree.mkdir("usr/lib/modules/6.12", 0o755).unwrap();
        tree.symlink("lib", "usr/lib").unwrap();
        for name in ["bootcode.bin", "start.elf", "start4.elf", "overlays/x.dtbo"] {
            tree.write(format!("usr/lib/raspi-firmware/{name}"), 0o644, name).unwrap();
        }
        for name in ["bcm2837-rpi-zero-2-w.dtb", "other.dtb"] {
            tree.write(format!("usr/lib/linux-image-6.12/broadcom/{name}"), 0o644, name).unwrap();
        }
        tree
    }

    #[test]
    fn the_partition_is_as_the_hook_will_write_it() {
        let board = Parts::built_in().unwrap().board("zero2w").unwrap().clone();
        let mut tree = root();
        super::super::prepare(&mut tree, &board, "0a-02", "initramfs".into()).unwrap();
        let defaults = tree.read_text(DEFAULTS).unwrap();
        assert!(defaults.contains("\nCMA=0\nROOTPART=PARTUUID=0a-02\nCONSOLES=\"tty0 ttyS1,115200\"\n"), "{defaults}");
        let out = super::super::firmware(&tree, &board, "0a-02").unwrap();
        assert_eq!(
            out.read_text("config.txt").unwrap(),
            "# head\narm_64bit=1\nkernel=vmlinuz-6.12\ninitramfs initrd.img-6.12\n\
             # /etc/default/raspi-firmware-custom\ngpu_mem=16\n"
        );
        assert_eq!(
            out.read_text("cmdline.txt").unwrap(),
            " console=tty0 console=ttyS1,115200 root=PARTUUID=0a-02 rw  rootfstype=ext4 cgroup_enable=memory \
             cgroup_memory=1 panic=30 loglevel=6\n"
        );
        assert!(out.contains("overlays/x.dtbo") && !out.contains("other.dtb"));
    }

    #[test]
    fn a_hook_with_more_parts_is_refused() {
        let board = Parts::built_in().unwrap().board("zero2w").unwrap().clone();
        let mut tree = root();
        let longer = tree.read_text(HOOK).unwrap() + "cat >>/boot/firmware/config.txt <<EOF\nnew\nEOF\n";
        tree.write(HOOK, 0o755, longer).unwrap();
        super::super::prepare(&mut tree, &board, "0a-02", "initramfs".into()).unwrap();
        let error = super::super::firmware(&tree, &board, "0a-02").unwrap_err().to_string();
        assert!(error.contains("config.txt in 6 parts"), "{error}");
    }
}
