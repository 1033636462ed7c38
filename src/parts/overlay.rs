//! The built-in `overlays/`: files that are laid over the root by their path.

use include_dir::{Dir, include_dir};

static OVERLAYS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/overlays");

/// The built-in overlay with this name.
#[must_use]
pub fn built_in(name: &str) -> Option<&'static Dir<'static>> {
    OVERLAYS.get_dir(name)
}

/// Whether a file begins with the name of its interpreter (execve(2), "Interpreter scripts").
#[must_use]
pub fn is_script(content: &[u8]) -> bool {
    content.starts_with(b"#!")
}
