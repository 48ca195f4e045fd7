//! Models that were trained here, opened by sentence-transformers, transformers and peft, where they are installed.
#![allow(clippy::unwrap_used)]

use std::{env, path::Path, process::Command};

use ablate_e2e::program::{binary, told};

/// What `tests/peers/interchange.py` needs.
const PACKAGES: &str = "import gguf, peft, sentence_transformers, transformers";

/// `ABLATE_PYTHON` names the Python that has them, else it is `python3`.
#[test]
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn trained_models_compute_the_same_in_other_libraries() {
    let python = env::var("ABLATE_PYTHON").unwrap_or_else(|_| "python3".into());
    let found = Command::new(&python).args(["-c", PACKAGES]).output();
    if !found.is_ok_and(|found| found.status.success()) {
        eprintln!(
            "SKIPPED: `{python}` has not all of gguf, peft and sentence-transformers; set ABLATE_PYTHON to one that has (tests/peers/interchange.txt)"
        );
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/interchange.py");
    let scratch = tempfile::tempdir().unwrap();
    let output = Command::new(python)
        .arg(script)
        .arg(binary())
        .arg(scratch.path().join("work"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", told(&output));
    let checks = said.lines().filter(|line| line.starts_with("ok  ")).count();
    assert_eq!(checks, 6, "{said}");
}
