//! The binary `ablate`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ablate::main()
}
