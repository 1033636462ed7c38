//! The `labimg` command: parses, dispatches, renders the error. The work is in the library.

fn main() -> std::process::ExitCode {
    labimg::cli::run()
}
