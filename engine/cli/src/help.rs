//! `ablate help`: the commands by what they are for.

use std::fmt::Write;

use clap::{Command, builder::StyledStr};

/// Headings, and the commands below each.
const GROUPS: [(&str, &[&str]); 4] = [
    ("Experiments", &["check", "plan", "why", "run"]),
    (
        "Results",
        &[
            "table",
            "runs",
            "show",
            "diff",
            "check-results",
            "report",
            "plot",
            #[cfg(feature = "serve")]
            "serve",
            "eval",
            "export",
        ],
    ),
    ("Store", &["verify", "gc", "pin", "unpin"]),
    (
        "Reference and set-up",
        &["stages", "models", "schema", "completions", "man", "help"],
    ),
];

/// The command with its subcommands under headings. One that stands in no group comes last.
pub(crate) fn sectioned(mut command: Command) -> Command {
    command.build();
    let listing = listing(&command);
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n{listing}\nOptions:\n{{options}}{{after-help}}"
    ))
}

fn listing(command: &Command) -> StyledStr {
    let header = command.get_styles().get_header();
    let literal = command.get_styles().get_literal();
    let mut out = StyledStr::new();
    let wide = command
        .get_subcommands()
        .map(|sub| sub.get_name().len())
        .max()
        .unwrap_or(0);
    let mut section = |title: &str, names: &[&str]| {
        write!(out, "\n{header}{title}:{header:#}").ok();
        for name in names {
            let about = command.find_subcommand(name).and_then(Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            write!(out, "\n  {literal}{name:wide$}{literal:#}  {about}").ok();
        }
        writeln!(out).ok();
    };
    for (title, names) in GROUPS {
        section(title, names);
    }
    let others = ungrouped(command);
    if !others.is_empty() {
        section("Others", &others);
    }
    out
}

fn ungrouped(command: &Command) -> Vec<&str> {
    let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    shown
        .map(Command::get_name)
        .filter(|name| !GROUPS.iter().any(|(_, group)| group.contains(name)))
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::args::Args;

    #[test]
    fn every_command_stands_in_one_group() {
        let mut command = Args::command();
        command.build();
        assert_eq!(ungrouped(&command), [""; 0]);
        let mut grouped: Vec<_> = GROUPS.iter().flat_map(|(_, names)| *names).collect();
        assert!(grouped.iter().all(|name| command.find_subcommand(name).is_some()));
        grouped.sort_unstable();
        assert!(grouped.windows(2).all(|pair| pair[0] != pair[1]), "{grouped:?}");
    }

    #[test]
    fn every_command_and_argument_is_described() {
        fn look(command: &Command) {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                let (name, of) = (argument.get_id(), command.get_name());
                assert!(argument.get_help().is_some(), "{name} of {of}");
            }
            command.get_subcommands().for_each(look);
        }
        let mut command = Args::command();
        command.build();
        look(&command);
    }
}
