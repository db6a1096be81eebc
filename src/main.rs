//! The command line of arrayfs.

mod cli;

fn main() -> std::process::ExitCode {
    cli::run()
}
