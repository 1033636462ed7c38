//! Files that a maintainer script contains as here-documents. They are taken from the script, so they follow the
//! package.

use super::super::ConfigureError;

/// The text of the here-document that `script` writes to `target` by `cat`: `cat > target <<WORD`, in either order, with or
/// without `-`.
///
/// # Errors
/// When there is no such document, its end is missing, or the shell would have changed the text (`$`, `` ` `` or `\` under
/// an unquoted word).
pub(crate) fn text(script: &str, target: &str) -> Result<String, ConfigureError> {
    let bad =
        |what| ConfigureError::format(target, format!("the maintainer script that writes it has changed: {what}"));
    let mut lines = script.lines();
    let (word, strip) = lines
        .by_ref()
        .find_map(|line| opening(line, target))
        .ok_or_else(|| bad("no here-document for this file is in it"))?;
    let quoted = word.starts_with(['\'', '"', '\\']);
    let word = word.trim_matches(['\'', '"', '\\']);
    let mut text = String::new();
    for line in lines {
        let line = if strip { line.trim_start_matches('\t') } else { line };
        if line == word {
            return Ok(text);
        }
        if !quoted && line.contains(['$', '`', '\\']) {
            return Err(bad("its here-document has something for the shell to expand"));
        }
        text.push_str(line);
        text.push('\n');
    }
    Err(bad("its here-document has no end"))
}

/// The end word of a here-document if this line redirects one to `target`, and whether leading tabs are removed.
fn opening<'a>(line: &'a str, target: &str) -> Option<(&'a str, bool)> {
    let rest = line.trim().strip_prefix("cat")?;
    let (before, after) = rest.split_once("<<")?;
    let (strip, after) = after.strip_prefix('-').map_or((false, after), |a| (true, a));
    let word = after.split_whitespace().next()?;
    // The redirection is before the document or after its end word.
    let file = [before, after].into_iter().find_map(|part| part.split_once('>'))?.1;
    let file = file.trim_start_matches('>').trim().trim_matches('"').trim_start_matches("$DPKG_ROOT");
    (file == target).then_some((word, strip))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn documents_in_every_spelling() {
        let script = "f() {\n  cat > /etc/a <<-EOF\n\t\t1\tx\n\tEOF\n}\ncat <<END > /etc/b\n# 2\nEND\n\
                      \tcat > \"$DPKG_ROOT/etc/c\" <<'EOF'\nroot:$x\nEOF\n";
        assert_eq!(text(script, "/etc/a").unwrap(), "1\tx\n");
        assert_eq!(text(script, "/etc/b").unwrap(), "# 2\n");
        assert_eq!(text(script, "/etc/c").unwrap(), "root:$x\n");
        let head = "cat > /etc/ca-certificates.conf <<EOF\n# list\nEOF\n";
        assert_eq!(text(head, super::super::CERTIFICATES).unwrap(), "# list\n");
    }

    #[test]
    fn what_cannot_be_taken_as_it_stands_is_refused() {
        assert!(text("echo\n", "/etc/a").is_err());
        assert!(text("cat > /etc/a <<E\n$HOME\nE\n", "/etc/a").is_err());
        assert!(text("cat > /etc/a <<E\nx\n", "/etc/a").is_err());
    }

    proptest! {
        #[test]
        fn no_script_panics(script in "(cat|<<-?|[> \n\t'\"/aE]){0,80}") {
            let _ = text(&script, "/a");
        }
    }
}
