//! The program starts and says what it is. The tests of `tests/` run the program, too: Cargo builds it for them because a test
//! of its own package asks for it here.
#![allow(clippy::unwrap_used, missing_docs)]

use std::process::Command;

#[test]
fn the_program_says_its_version() {
    let output = Command::new(env!("CARGO_BIN_EXE_ablate"))
        .arg("--version")
        .output()
        .unwrap();
    let version = format!("ablate {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8_lossy(&output.stdout), version);
}
