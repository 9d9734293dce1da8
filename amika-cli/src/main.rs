//! The `amika` program.

fn main() -> std::process::ExitCode {
    amika_cli::run()
}
