//! What may be called how: stages, axes, and the `stage.field` names of a sweep.

use crate::{Problem, yaml::Key};

/// Names that tables and nodes use beside those of axes, and what for.
const TAKEN: [(&str, &str); 3] = [
    (
        "system",
        "that name stands for the evaluate stage of a row; choose another",
    ),
    (
        "include",
        "that name stands for the points of `include`; choose another",
    ),
    (
        "label",
        "that name stands for the name of a point of `include`; choose another",
    ),
];

/// What [`plain`] takes, as a regular expression.
pub(crate) const PLAIN: &str = r"^[\p{Alphabetic}\p{N}_-]+$";

/// Names no axis may have.
pub(crate) fn taken() -> [&'static str; 3] {
    TAKEN.map(|(name, _)| name)
}

/// Whether a stage or an axis can have this name: it stands in `stage.port` and in `stage[axis=label]`.
fn plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

/// What is wrong with the name of a stage. `reserved` are names of catalogue models.
pub(crate) fn stage(key: &Key, reserved: &[&str]) -> Option<Problem> {
    let name = &key.name;
    if reserved.contains(&name.as_str()) {
        let message = format!("the stage `{name}` has the name of a catalogue model");
        let problem = Problem::error("ablate::spec::reserved_name", message).at(key.at);
        return Some(problem.help("rename the stage: `model:` could mean either"));
    }
    if plain(name) {
        return None;
    }
    let message = format!("a stage cannot be called `{name}`");
    let problem = Problem::error("ablate::spec::bad_name", message).at(key.at);
    Some(problem.help("use letters, digits, `_` and `-`"))
}

/// What is wrong with a text that stands on one line of tables and logs.
pub(crate) fn line(what: &str, text: &str) -> Option<Problem> {
    let message = format!("{what} holds a control character");
    let problem = Problem::error("ablate::spec::bad_name", message);
    let help = "leave out line breaks, tabs and escape codes";
    text.chars().any(char::is_control).then(|| problem.help(help))
}

/// What is wrong with the name of an axis.
pub(crate) fn axis(key: &Key) -> Option<Problem> {
    let name = &key.name;
    let help = match TAKEN.iter().find(|(taken, _)| taken == name) {
        Some((_, help)) => help,
        None if plain(name) => return None,
        None => "use letters, digits, `_` and `-`",
    };
    let message = format!("an axis cannot be called `{name}`");
    Some(
        Problem::error("ablate::spec::bad_name", message)
            .at(key.at)
            .help(help),
    )
}
