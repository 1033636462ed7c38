//! The built-in `overlays/`: files that are laid over the root by their path.

use include_dir::{Dir, include_dir};

static OVERLAYS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/overlays");

/// The built-in overlay with this name.
#[must_use]
pub fn built_in(name: &str) -> Option<&'static Dir<'static>> {
    OVERLAYS.get_dir(name)
}

/// The mode of a file on the node: 0755 for a program, the one that sudo requires for its rules (0440), 0644 for others.
#[must_use]
pub fn usual_mode(path: &str, program: bool) -> u16 {
    if path.starts_with("etc/sudoers.d/") {
        0o440
    } else if program {
        0o755
    } else {
        0o644
    }
}

/// Whether a file begins with the name of its interpreter (execve(2), "Interpreter scripts").
#[must_use]
pub fn is_script(content: &[u8]) -> bool {
    content.starts_with(b"#!")
}
