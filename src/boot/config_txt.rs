//! Reads `config.txt` as the Raspberry Pi firmware does, as far as it matters for booting Linux (Raspberry Pi
//! documentation, "config.txt": boot options and conditional filters).

/// The boot settings of `config.txt`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigTxt {
    /// `kernel`: file name of the kernel; `None` when the firmware chooses.
    pub kernel: Option<String>,
    /// `initramfs`: files that are loaded in order.
    pub initramfs: Vec<String>,
    /// `device_tree`: file name; `None` when the firmware chooses by model.
    pub device_tree: Option<String>,
    /// `cmdline`: file of the kernel's command line.
    pub cmdline: String,
    /// `os_prefix`: prefix for the names of kernel, initramfs, command line and device tree.
    pub os_prefix: String,
    /// `arm_64bit`: whether the kernel is started in 64-bit mode.
    pub arm_64bit: bool,
}

impl ConfigTxt {
    /// Parses `text` as a board with these conditional filters does, such as `["pi3"]`; `[all]` always counts.
    ///
    /// Lines that are not settings are skipped, as by the firmware. The firmware also cuts lines after 98 characters;
    /// [`ConfigTxt::too_long`] finds such mistakes.
    #[must_use]
    pub fn parse(text: &str, filters: &[String]) -> Self {
        let mut config = Self {
            kernel: None,
            initramfs: Vec::new(),
            device_tree: None,
            cmdline: "cmdline.txt".to_owned(),
            os_prefix: String::new(),
            // Pi 3 firmware since 2023 and all later models start in 64-bit mode by default.
            arm_64bit: true,
        };
        let mut applies = true;
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(filter) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                applies = filter == "all" || filters.iter().any(|f| f == filter);
                continue;
            }
            if !applies {
                continue;
            }
            // `initramfs FILE ADDRESS` is the only setting without `=`.
            if let Some(rest) = line.strip_prefix("initramfs ") {
                let files = rest.split_whitespace().next().unwrap_or_default();
                config.initramfs = files.split(',').filter(|f| !f.is_empty()).map(str::to_owned).collect();
                continue;
            }
            let Some((key, value)) = line.split_once('=') else { continue };
            let value = value.trim();
            let text = || Some(value.to_owned()).filter(|v| !v.is_empty());
            match key.trim() {
                "kernel" => config.kernel = text(),
                "ramfsfile" => config.initramfs = value.split(',').map(str::to_owned).collect(),
                "device_tree" => config.device_tree = text(),
                "cmdline" => value.clone_into(&mut config.cmdline),
                "os_prefix" => value.clone_into(&mut config.os_prefix),
                "arm_64bit" => config.arm_64bit = value != "0",
                _ => {}
            }
        }
        config
    }

    /// The numbers of the lines that the firmware would cut: it reads 98 characters of each.
    #[must_use]
    pub fn too_long(text: &str) -> Vec<usize> {
        text.lines().enumerate().filter(|(_, l)| l.len() > 98).map(|(i, _)| i + 1).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> ConfigTxt {
        ConfigTxt::parse(text, &["pi3".to_owned()])
    }

    #[test]
    fn settings_and_filters() {
        let config = parse(
            "# x\narm_64bit=1\nkernel=vmlinuz-6\n[pi4]\nkernel=other\n[pi3]\ninitramfs a.img,b.img followkernel\n[all]\nos_prefix=new/\n",
        );
        assert_eq!(config.kernel.as_deref(), Some("vmlinuz-6"));
        assert_eq!(config.initramfs, ["a.img", "b.img"]);
        assert_eq!(config.os_prefix, "new/");
        assert_eq!(config.cmdline, "cmdline.txt");
    }

    #[test]
    fn the_last_setting_wins_and_an_empty_file_means_defaults() {
        assert_eq!(parse("kernel=a\nkernel=b\n").kernel.as_deref(), Some("b"));
        assert_eq!(parse("").kernel, None);
        assert_eq!(ConfigTxt::too_long(&format!("a\n{}\n", "x".repeat(99))), [2]);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "([a-z_]{0,9}[= \\[\\]#,]{0,2}[a-z0-9.]{0,9}\n?){0,20}") {
            let _ = parse(&text);
        }
    }
}
