//! Hides secrets in a text that is shown or logged.

/// Parts of the names of secret settings, in `lab.toml`, in k3s's configuration, or put there by mistake.
const SECRET: [&str; 4] = ["pass", "psk", "token", "secret"];

/// The same text with private keys and the values of secret settings masked. Every character is replaced by one with
/// the same length in bytes, so that spans and columns stay valid.
///
/// It works on the lines of the text, because a file with a syntax error has no other structure.
#[must_use]
pub fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = next_secret(rest) {
        masked.push_str(&rest[..start]);
        let length = secret_length(&rest[start..]);
        masked.extend(rest[start..start + length].chars().map(hidden));
        rest = &rest[start + length..];
    }
    masked.push_str(rest);
    masked
}

/// Where the first secret begins.
fn next_secret(text: &str) -> Option<usize> {
    let setting = SECRET.iter().flat_map(|name| text.match_indices(name)).filter_map(|(at, name)| {
        // The rest of the key (`_file`, a closing quote), then `=`.
        let after = &text[at + name.len()..];
        let key = after.find(|c: char| !(c.is_ascii_alphanumeric() || "-_\"'+ \t".contains(c)))?;
        let value = after[key..].strip_prefix('=')?;
        let value = value.trim_start_matches([' ', '\t']);
        Some(text.len() - value.len()).filter(|_| !value.is_empty())
    });
    let key = text.match_indices("PRIVATE KEY-----").map(|(at, found)| at + found.len());
    setting.chain(key).min()
}

/// The length in bytes of the secret at the start of `text`.
fn secret_length(text: &str) -> usize {
    for (open, close) in [("\"\"\"", "\"\"\""), ("'''", "'''")] {
        if let Some(inside) = text.strip_prefix(open) {
            return inside.find(close).map_or(text.len(), |end| open.len() + end);
        }
    }
    let line = text.find(['\n', '\r']).unwrap_or(text.len());
    let line = &text[..line];
    if let Some(inside) = line.strip_prefix('\'') {
        return inside.find('\'').map_or(line.len(), |end| 1 + end);
    }
    if let Some(inside) = line.strip_prefix('"') {
        let mut escaped = false;
        let end = inside.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        return end.map_or(line.len(), |end| 1 + end);
    }
    line.len().max(text.chars().next().map_or(0, char::len_utf8))
}

/// A neutral character of the same length; quotes and newlines stay, so that the line keeps its shape.
fn hidden(c: char) -> char {
    match (c, c.len_utf8()) {
        ('"' | '\'' | '\n' | '\r', _) => c,
        (_, 1) => '*',
        (_, 2) => '\u{b7}',
        (_, 3) => '\u{2022}',
        _ => '\u{1f784}',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn secrets_are_hidden_and_all_else_is_not() {
        for (text, shown) in [
            ("passphrase = \"bird song\" # mine\nname = \"a\"", "passphrase = \"*********\" # mine\nname = \"a\""),
            ("wifi = { passphrase = 'a b', ssid = \"x\" }", "wifi = { passphrase = '***', ssid = \"x\" }"),
            ("passphrase = \"a\\\"b\", x", "passphrase = \"**\"*\", x"),
            ("passphrase = birds\nx = 1", "passphrase = *****\nx = 1"),
            ("passphrase = \"birds\nx = 1", "passphrase = \"*****\nx = 1"),
            ("\"agent-token\" = \"K10\"", "\"agent-token\" = \"***\""),
            ("token-file = \"/a\"", "token-file = \"**\""),
            ("# passphrase: none\nx = 1", "# passphrase: none\nx = 1"),
            ("passphrase = \"\"\"a\nb\"\"\"\nx = 1", "passphrase = \"\"\"*\n*\"\"\"\nx = 1"),
            ("passphrase = \"bü\"", "passphrase = \"*\u{b7}\""),
            ("passphrase =", "passphrase ="),
        ] {
            assert_eq!(mask(text), shown, "{text}");
        }
        let key = "x = \"-----BEGIN OPENSSH PRIVATE KEY-----\\nabc\"";
        assert!(!mask(key).contains("abc"), "{}", mask(key));
    }

    proptest! {
        #[test]
        fn places_stay(text in "(passphrase|token|=| |\"|'|\n|\"\"\"|PRIVATE KEY-----|ü|a|\u{1f600}){0,30}") {
            let masked = mask(&text);
            prop_assert_eq!(masked.len(), text.len());
            let ends = |t: &str| t.char_indices().map(|(i, c)| (i, c == '\n')).collect::<Vec<_>>();
            prop_assert_eq!(ends(&masked), ends(&text));
        }
    }
}
