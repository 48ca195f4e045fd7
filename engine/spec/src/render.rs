//! Problems as text: code, place, the line with a mark under it, help.

use std::fmt::Write;

use crate::{Problem, Severity, Source, Span};

/// All problems, one block each.
pub fn render(problems: &[Problem], source: &Source, color: bool) -> String {
    let blocks: Vec<_> = problems
        .iter()
        .map(|problem| block(problem, source, color))
        .collect();
    blocks.join("\n")
}

fn block(problem: &Problem, source: &Source, color: bool) -> String {
    let word = match problem.severity {
        Severity::Error => paint("error", "31;1", color),
        Severity::Warning => paint("warning", "33;1", color),
    };
    let mut out = format!("{word}[{}]: {}\n", problem.code, problem.message);
    if let Some(span) = problem.at {
        let _ = writeln!(out, "  --> {}:{}:{}", source.name, span.line, span.column);
        out.push_str(&snippet(source, span, '^', "", color));
    } else {
        let _ = writeln!(out, "  --> {}", source.name);
    }
    for (span, what) in &problem.also {
        out.push_str(&snippet(source, *span, '-', what, color));
    }
    if let Some(help) = &problem.help {
        let _ = writeln!(out, "  {} {help}", paint("help:", "36;1", color));
    }
    out
}

fn snippet(source: &Source, span: Span, mark: char, what: &str, color: bool) -> String {
    let line = source.line(span.line).replace('\t', " ");
    let wide = line.chars().count();
    let column = span.column.clamp(1, wide + 1);
    let length = source
        .text
        .get(span.offset..span.offset + span.length)
        .map_or(span.length, |t| t.chars().count());
    let length = length.clamp(1, (wide + 1).saturating_sub(column).max(1));
    let marks = paint(&mark.to_string().repeat(length), "31", color);
    let number = span.line.to_string();
    let gap = " ".repeat(number.len());
    let indent = " ".repeat(column - 1);
    let text = format!("{number} | {line}\n{gap} | {indent}{marks} {what}");
    format!("{}\n", text.trim_end())
}

fn paint(text: &str, code: &str, color: bool) -> String {
    if color {
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}
