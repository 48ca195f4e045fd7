//! `schema`: the JSON Schema of experiment files, for editors.

use ablate_registry::STAGES;

use crate::{load, print};

/// Prints it, with or without `--json`.
pub(crate) fn schema() {
    let schema = ablate_spec::schema(STAGES, &load::model_names());
    print::result(&serde_json::to_string_pretty(&schema).unwrap_or_default());
}
