//! The `labimg` command. All of its work is in the library.

fn main() -> std::process::ExitCode {
    labimg::cli::run()
}
