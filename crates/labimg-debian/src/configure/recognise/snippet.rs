//! The sections that debhelper puts into maintainer scripts, recognised by their text (debhelper's `autoscripts`).

use super::super::words;
use super::Action;

/// The condition around most `postinst` sections.
const CONFIGURE: &str = r#"if [ "$1" = "configure" ] || [ "$1" = "abort-upgrade" ] || [ "$1" = "abort-deconfigure" ] || [ "$1" = "abort-remove" ] ; then"#;

/// The texts that fill a template's holes, in the order of first use.
type Holes<'a> = [&'a str];

/// A section: its debhelper program, its lines and what it does. The lines are without surrounding blanks, comments and
/// `CONFIGURE … fi`; a hole `{}` stands for any text without shell syntax.
struct Template {
    helper: &'static str,
    lines: &'static [&'static str],
    actions: fn(&Holes) -> Option<Vec<Action>>,
}

const TEMPLATES: &[Template] = &[
    Template {
        helper: "dh_installsystemd",
        lines: &[
            "deb-systemd-helper unmask '{}' >/dev/null || true",
            "if deb-systemd-helper --quiet was-enabled '{}'; then",
            "deb-systemd-helper enable '{}' >/dev/null || true",
            "else",
            "deb-systemd-helper update-state '{}' >/dev/null || true",
            "fi",
        ],
        actions: |holes| same(holes, |unit| Action::Enable { unit, user: false }),
    },
    Template {
        helper: "dh_installsystemd",
        lines: &[
            "if deb-systemd-helper debian-installed '{}'; then",
            "deb-systemd-helper unmask '{}' >/dev/null || true",
            "if deb-systemd-helper --quiet was-enabled '{}'; then",
            "deb-systemd-helper enable '{}' >/dev/null || true",
            "fi",
            "fi",
            "deb-systemd-helper update-state '{}' >/dev/null || true",
        ],
        actions: |holes| same(holes, |unit| Action::UpdateState { unit, user: false }),
    },
    Template {
        helper: "dh_installsystemduser",
        lines: &[
            "if [ -z \"$DPKG_ROOT\" ] ; then",
            "deb-systemd-helper --user unmask '{}' >/dev/null || true",
            "if deb-systemd-helper --quiet --user was-enabled '{}' ; then",
            "deb-systemd-helper --user enable '{}' >/dev/null || true",
            "else",
            "deb-systemd-helper --user update-state '{}' >/dev/null || true",
            "fi",
            "fi",
        ],
        actions: |holes| same(holes, |unit| Action::Enable { unit, user: true }),
    },
    Template {
        helper: "dh_installsystemduser",
        lines: &[
            "if [ -z \"$DPKG_ROOT\" ] ; then",
            "if deb-systemd-helper --user debian-installed '{}' ; then",
            "deb-systemd-helper --user unmask '{}' >/dev/null || true",
            "if deb-systemd-helper --quiet --user was-enabled '{}' ; then",
            "deb-systemd-helper --user enable '{}' >/dev/null || true",
            "fi",
            "fi",
            "deb-systemd-helper --user update-state '{}' >/dev/null || true",
            "fi",
        ],
        actions: |holes| same(holes, |unit| Action::UpdateState { unit, user: true }),
    },
    // Starting and restarting services: nothing runs in an image.
    Template {
        helper: "dh_installsystemd",
        lines: &[
            "if [ -d /run/systemd/system ]; then",
            "systemctl --system daemon-reload >/dev/null || true",
            "if [ -n \"$2\" ]; then",
            "_dh_action={}",
            "else",
            "_dh_action={}",
            "fi",
            "deb-systemd-invoke $_dh_action {} >/dev/null || true",
            "fi",
        ],
        actions: nothing,
    },
    Template {
        helper: "dh_installsystemd",
        lines: &[
            "if [ -z \"$DPKG_ROOT\" ] && [ -d /run/systemd/system ]; then",
            "systemctl --system daemon-reload >/dev/null || true",
            "deb-systemd-invoke {} >/dev/null || true",
            "fi",
        ],
        actions: nothing,
    },
    Template {
        helper: "dh_installsystemd",
        lines: &[
            "if [ -d /run/systemd/system ]; then",
            "systemctl --system daemon-reload >/dev/null || true",
            "deb-systemd-invoke {} >/dev/null || true",
            "fi",
        ],
        actions: nothing,
    },
    Template {
        helper: "dh_installsystemd",
        lines: &[
            "if [ -z \"$DPKG_ROOT\" ] && [ -d /run/systemd/system ]; then",
            "systemctl --system daemon-reload >/dev/null || true",
            "if [ -n \"$2\" ]; then",
            "deb-systemd-invoke {} >/dev/null || true",
            "fi",
            "fi",
        ],
        actions: nothing,
    },
    Template {
        helper: "dh_installsystemd",
        lines: &[
            "if [ -z \"$DPKG_ROOT\" ] && [ \"$1\" = upgrade ] && [ -d /run/systemd/system ] ; then",
            "deb-systemd-invoke stop {} >/dev/null || true",
            "fi",
        ],
        actions: nothing,
    },
    Template {
        helper: "dh_installinit",
        lines: &[
            "if [ -z \"$DPKG_ROOT\" ] && [ -x \"/etc/init.d/{}\" ]; then",
            "update-rc.d {} defaults >/dev/null",
            "if [ -n \"$2\" ]; then",
            "_dh_action={}",
            "else",
            "_dh_action={}",
            "fi",
            "invoke-rc.d --skip-systemd-native {} $_dh_action || exit 1",
            "fi",
        ],
        actions: rc,
    },
    Template {
        helper: "dh_installinit",
        lines: &[
            "if [ -z \"$DPKG_ROOT\" ] && [ -x \"/etc/init.d/{}\" ]; then",
            "update-rc.d {} defaults >/dev/null",
            "invoke-rc.d --skip-systemd-native {} {} || exit 1",
            "fi",
        ],
        actions: rc,
    },
    Template {
        helper: "dh_installinit",
        lines: &["if [ -x \"/etc/init.d/{}\" ]; then", "update-rc.d {} defaults >/dev/null || exit 1", "fi"],
        actions: rc,
    },
    // For a package that was removed but not purged, which cannot be on a fresh install.
    Template {
        helper: "dh_installinit",
        lines: &[
            "if [ \"$1\" = \"install\" ] && [ -n \"$2\" ] && [ -e \"/etc/init.d/{}\" ] ; then",
            "chmod +x \"/etc/init.d/{}\" >/dev/null || true",
            "fi",
        ],
        actions: nothing,
    },
    Template {
        helper: "dh_installtmpfiles",
        lines: &[
            "if [ -x \"$(command -v systemd-tmpfiles)\" ]; then",
            "systemd-tmpfiles ${DPKG_ROOT:+--root=\"$DPKG_ROOT\"} --create {} || true",
            "fi",
        ],
        actions: |holes| first_list(holes, |files| Action::Tmpfiles { files }),
    },
    Template {
        helper: "dh_installsysusers",
        lines: &["systemd-sysusers ${DPKG_ROOT:+--root=\"$DPKG_ROOT\"} {}"],
        actions: |holes| first_list(holes, |files| Action::Sysusers { files }),
    },
    // Needs programs of desktop packages. When those are installed, their own scripts are unknown anyway.
    Template {
        helper: "dh_installmenu",
        lines: &[
            "if [ \"$1\" = \"configure\" ] && [ -x \"`command -v update-menus`\" ] && [ -x \"$DPKG_ROOT`command -v update-menus`\" ]; then",
            "update-menus",
            "fi",
        ],
        actions: nothing,
    },
    Template {
        helper: "dh_icons",
        lines: &["if command -v update-icon-caches >/dev/null; then", "update-icon-caches {}", "fi"],
        actions: nothing,
    },
];

/// What a section with this body by `helper` does on a fresh install; `None` when it is unknown.
pub(crate) fn actions(helper: &str, body: &str) -> Option<Vec<Action>> {
    match helper {
        "dh_installdeb" => maintscript(body),
        "dh_installalternatives" => alternatives(inside(&significant(body))?.join("\n").as_str()),
        _ => {
            let lines = significant(body);
            let inner = inside(&lines).unwrap_or(&lines);
            TEMPLATES.iter().filter(|t| t.helper == helper).find_map(|t| (t.actions)(&fill(t.lines, inner)?))
        }
    }
}

/// The `update-alternatives --install` commands of a script; `None` when there is none or one cannot be parsed.
pub(crate) fn alternatives(text: &str) -> Option<Vec<Action>> {
    let commands = words::commands(text, "update-alternatives");
    let installs = commands.iter().filter(|words| words.iter().any(|w| w == "--install"));
    // An expansion (`$`) would need a shell.
    let found: Vec<Action> = installs
        .map(|words| {
            words.iter().all(|w| !w.contains(['$', '`'])).then(|| Action::Alternative { words: words.clone() })
        })
        .collect::<Option<_>>()?;
    (!found.is_empty()).then_some(found)
}

/// Sections of `dpkg-maintscript-helper`: they only act when an older version was installed.
fn maintscript(body: &str) -> Option<Vec<Action>> {
    let known = |line: &&str| {
        let words = words::split(line);
        words.first().is_some_and(|w| w == "dpkg-maintscript-helper")
            && words.get(1).is_some_and(|w| {
                matches!(w.as_str(), "rm_conffile" | "mv_conffile" | "symlink_to_dir" | "dir_to_symlink")
            })
            && words.last().is_some_and(|w| w == "$@")
    };
    significant(body).iter().all(known).then(Vec::new)
}

/// The lines with content, without surrounding blanks.
fn significant(body: &str) -> Vec<&str> {
    body.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).collect()
}

/// The lines inside the condition on `configure`.
fn inside<'a, 'b>(lines: &'b [&'a str]) -> Option<&'b [&'a str]> {
    let [first, inner @ .., "fi"] = lines else { return None };
    // dh_installalternatives leaves out the blank before the last semicolon.
    (first.replace("];", "] ;") == CONFIGURE).then_some(inner)
}

/// Fills the holes of a template's lines; `None` when a line differs.
fn fill<'a>(template: &[&str], lines: &[&'a str]) -> Option<Vec<&'a str>> {
    if template.len() != lines.len() {
        return None;
    }
    let mut holes = Vec::new();
    for (pattern, line) in template.iter().zip(lines) {
        let mut pieces = pattern.split("{}");
        let mut rest = line.strip_prefix(pieces.next()?)?;
        let mut pieces = pieces.peekable();
        while let Some(piece) = pieces.next() {
            let at = if pieces.peek().is_none() {
                rest.len().checked_sub(piece.len()).filter(|&at| rest.get(at..) == Some(piece))?
            } else {
                rest.find(piece)?
            };
            let hole = &rest[..at];
            if hole.is_empty() || hole.contains(['$', '`', ';', '|', '&', '<', '>', '"', '(', ')']) {
                return None;
            }
            holes.push(hole);
            rest = &rest[at + piece.len()..];
        }
        if !pattern.contains("{}") && !rest.is_empty() {
            return None;
        }
    }
    Some(holes)
}

#[allow(clippy::unnecessary_wraps, reason = "called like its siblings")]
fn nothing(_: &Holes) -> Option<Vec<Action>> {
    Some(Vec::new())
}

/// One action, if all holes hold the same unit.
fn same(holes: &Holes, make: fn(String) -> Action) -> Option<Vec<Action>> {
    let unit = holes.first()?;
    holes.iter().all(|hole| hole == unit).then(|| vec![make((*unit).to_owned())])
}

/// One action with the words of the only hole.
fn first_list(holes: &Holes, make: fn(Vec<String>) -> Action) -> Option<Vec<Action>> {
    Some(vec![make(words::split(holes.first()?))])
}

/// The links of an init script, named in the first two holes.
fn rc(holes: &Holes) -> Option<Vec<Action>> {
    same(holes.get(..2)?, |script| Action::Rc { script })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(inner: &str) -> String {
        format!("{CONFIGURE}\n{inner}\nfi\n")
    }

    #[test]
    fn an_enabled_unit() {
        let body = section(
            "\t# a comment\n\tdeb-systemd-helper unmask 'a@b.service' >/dev/null || true\n
             if deb-systemd-helper --quiet was-enabled 'a@b.service'; then
             deb-systemd-helper enable 'a@b.service' >/dev/null || true
             else
             deb-systemd-helper update-state 'a@b.service' >/dev/null || true
             fi",
        );
        let enable = Action::Enable { unit: "a@b.service".into(), user: false };
        assert_eq!(actions("dh_installsystemd", &body), Some(vec![enable]));
        let mixed = body.replacen("a@b", "c", 1);
        assert_eq!(actions("dh_installsystemd", &mixed), None, "two different units are not such a section");
        assert_eq!(actions("dh_installsystemd", &body.replace("unmask", "mask")), None);
    }

    #[test]
    fn lists_and_init_scripts() {
        let body = section(
            "if [ -x \"$(command -v systemd-tmpfiles)\" ]; then
             systemd-tmpfiles ${DPKG_ROOT:+--root=\"$DPKG_ROOT\"} --create a.conf b.conf || true
             fi",
        );
        let made = actions("dh_installtmpfiles", &body);
        assert_eq!(made, Some(vec![Action::Tmpfiles { files: vec!["a.conf".into(), "b.conf".into()] }]));
        let injected = body.replace("b.conf", "b.conf; rm -r /x");
        assert_eq!(actions("dh_installtmpfiles", &injected), None);
        let body = section("if [ -x \"/etc/init.d/x\" ]; then\nupdate-rc.d x defaults >/dev/null || exit 1\nfi");
        assert_eq!(actions("dh_installinit", &body), Some(vec![Action::Rc { script: "x".into() }]));
    }

    #[test]
    fn restarts_after_upgrades_do_nothing() {
        let body = section(
            "if [ -z \"$DPKG_ROOT\" ] && [ -d /run/systemd/system ]; then
             systemctl --system daemon-reload >/dev/null || true
             if [ -n \"$2\" ]; then
             deb-systemd-invoke try-restart 'a.service' >/dev/null || true
             fi
             fi",
        );
        assert_eq!(actions("dh_installsystemd", &body), Some(Vec::new()));
        assert_eq!(actions("dh_installsystemd", &body.replace("'a.service'", "$(rm /x)")), None);
    }

    #[test]
    fn moves_of_conffiles_do_nothing_on_a_fresh_install() {
        let body = "dpkg-maintscript-helper rm_conffile /etc/a 1.0\\~ -- \"$@\"\n";
        assert_eq!(actions("dh_installdeb", body), Some(Vec::new()));
        assert_eq!(actions("dh_installdeb", "rm -f /etc/a\n"), None);
    }

    #[test]
    fn alternatives_with_slaves() {
        let text = "update-alternatives --quiet --install /l n /p 5 \\\n --slave /sl s /sp || true\n";
        let words = ["--quiet", "--install", "/l", "n", "/p", "5", "--slave", "/sl", "s", "/sp"];
        assert_eq!(alternatives(text), Some(vec![Action::Alternative { words: words.map(str::to_owned).into() }]));
        assert_eq!(alternatives("update-alternatives --install $x n /p 1\n"), None);
    }
}
