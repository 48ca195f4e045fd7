//! What trainers ask of their ports.
#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code, unreachable_pub)]
mod common;
#[path = "../../models/tests/common/mod.rs"]
#[allow(dead_code)]
mod encoders;

use common::{MemoryHost, kind, texts::triples};
use encoders::tiny_encoder;
use serde_json::json;

#[test]
fn patience_without_anything_to_look_at_is_refused() {
    let base = tiny_encoder();
    let host = || {
        MemoryHost::new()
            .with("data", triples())
            .with_source("base", "a folder", base.path())
    };
    let fields = || json!({"batch": 4, "max_length": 16, "patience": 2});
    let refused = host().try_run(kind("train/biencoder"), fields()).unwrap_err();
    assert!(
        refused.contains("`patience`") && refused.contains("`dev`"),
        "{refused}"
    );
    host()
        .with("dev", triples())
        .run(kind("train/biencoder"), fields());
}
