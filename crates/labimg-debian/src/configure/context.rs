//! What every tool needs.

use std::collections::BTreeSet;

use super::recognise::kernel_abi;
use labimg_tree::Tree;

/// The tree that tools change, and the package on whose behalf they do.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) tree: &'a mut Tree,
    /// The package whose scripts are being replaced.
    pub(crate) package: String,
    /// Debian's name of the node's architecture.
    pub(crate) architecture: String,
    /// Explicit triggers activated so far.
    pub(crate) triggered: BTreeSet<String>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(tree: &'a mut Tree, architecture: &str) -> Self {
        let (package, triggered) = (String::new(), BTreeSet::new());
        Self { tree, package, architecture: architecture.to_owned(), triggered }
    }

    /// Replaces `@multiarch@` (the architecture's library folder) and `@abi@` (the kernel version in the package's
    /// name).
    pub(crate) fn expand(&self, text: &str) -> String {
        let multiarch = match self.architecture.as_str() {
            "amd64" => "x86_64-linux-gnu",
            _ => "aarch64-linux-gnu",
        };
        let abi = kernel_abi(&self.package).unwrap_or_default();
        text.replace("@multiarch@", multiarch).replace("@abi@", abi)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn architecture_and_kernel_are_filled_in() {
        let mut tree = Tree::new(0);
        let mut context = Context::new(&mut tree, "amd64");
        "linux-image-6.1-amd64".clone_into(&mut context.package);
        assert_eq!(context.expand("/usr/lib/@multiarch@/@abi@"), "/usr/lib/x86_64-linux-gnu/6.1-amd64");
    }
}
