//! Messages are for people: how a library prints its types for programmers must not be in them.

/// The message, when it has nothing of Rust's `Debug` that does not stand in `given`, the text that it is about.
///
/// # Panics
/// When it has.
pub fn in_words<'a>(message: &'a str, given: &str) -> &'a str {
    for mark in ["Some(", "Ok(", "Err(", "Error(", "(None", ": None", "DuplicateKeyPolicy", "budget"] {
        assert!(!message.contains(mark) || given.contains(mark), "`{mark}` in {message:?} about {given:?}");
    }
    let mut rest = message;
    while let Some((before, after)) = rest.split_once(" {") {
        // `Error { code: 3 }`, but not `x = { a = 1 }`.
        let name = before.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        let is_type = name.starts_with(|c: char| c.is_ascii_uppercase()) && after.starts_with([' ', '\n', '}']);
        assert!(!is_type || given.contains(name), "`{name} {{` in {message:?} about {given:?}");
        rest = after;
    }
    message
}

#[cfg(test)]
mod tests {
    use super::in_words;

    #[test]
    fn what_is_for_programmers_is_found() {
        #[derive(Debug)]
        #[expect(dead_code, reason = "only printed")]
        struct Inner {
            code: Option<u8>,
        }
        for message in
            [format!("it is {:?}", Some(3)), format!("{:?}", Inner { code: None }), "budget breached: x".into()]
        {
            assert!(std::panic::catch_unwind(|| in_words(&message, "").len()).is_err(), "{message}");
        }
        assert_eq!(in_words("write `x = { a = 1 }`, not Some(1)", "x = Some(1)").len(), 34);
    }
}
