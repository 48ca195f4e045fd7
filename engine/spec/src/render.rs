//! Problems as text: code, place, the line with a mark under it, help.

use std::fmt::Write;

use crate::{Problem, Severity, Source, Span};

/// How many characters of a source line are shown.
const WIDTH: usize = 100;

/// All problems, one block each:
///
/// ```text
/// error[ablate::spec::unknown_field]: `sample` has no field `cuont`
///   --> study.yaml:4:16
/// 4 |   docs: {use: sample, cuont: 10}
///   |                       ^^^^^
///   help: did you mean `count`?
/// ```
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
    let mut out = format!("{word}[{}]: {}\n", problem.code, visible(&problem.message));
    let lines = problem
        .at
        .iter()
        .chain(problem.also.iter().map(|(span, _)| span))
        .map(|span| span.line);
    let gutter = lines.max().unwrap_or(1).to_string().len();
    if let Some(span) = problem.at {
        let _ = writeln!(
            out,
            "{:gutter$} --> {}:{}:{}",
            "", source.name, span.line, span.column
        );
        out.push_str(&snippet(source, span, gutter, '^', "", color));
    } else {
        let _ = writeln!(out, "{:gutter$} --> {}", "", source.name);
    }
    for (span, what) in &problem.also {
        out.push_str(&snippet(source, *span, gutter, '-', what, color));
    }
    if let Some(help) = &problem.help {
        let _ = writeln!(
            out,
            "{:gutter$} {} {}",
            "",
            paint("help:", "36;1", color),
            visible(help)
        );
    }
    out
}

/// A line and the mark under it; nothing where the text has no such line.
fn snippet(source: &Source, span: Span, gutter: usize, mark: char, what: &str, color: bool) -> String {
    if source.text.is_empty() {
        return String::new();
    }
    let line: Vec<char> = source.line(span.line).chars().map(shown).collect();
    let start = (span.column - 1).min(line.len());
    let marked = source
        .text
        .get(span.offset..span.offset + span.length)
        .map_or(span.length, |text| text.chars().count());
    let length = marked.clamp(1, (line.len() - start).max(1));
    let (from, text) = window(&line, start, length);
    let indent = " ".repeat(start - from.0 + from.1);
    let marks = paint(&mark.to_string().repeat(length.min(WIDTH)), "31", color);
    let under = format!("{indent}{marks} {what}");
    format!(
        "{:>gutter$} | {text}\n{:gutter$} | {}\n",
        span.line,
        "",
        under.trim_end()
    )
}

/// The part of a long line around a mark, with its first character and how far "..." moves it right.
fn window(line: &[char], start: usize, length: usize) -> ((usize, usize), String) {
    if line.len() <= WIDTH {
        return ((0, 0), line.iter().collect());
    }
    let from = start.saturating_sub(WIDTH.saturating_sub(length.min(WIDTH)) / 2);
    let to = (from + WIDTH).min(line.len());
    let left = if from > 0 { "..." } else { "" };
    let right = if to < line.len() { "..." } else { "" };
    let middle: String = line[from..to].iter().collect();
    ((from, left.len()), format!("{left}{middle}{right}"))
}

/// A user's text with nothing in it that a terminal would obey.
fn visible(text: &str) -> String {
    text.chars()
        .map(|c| if c == '\n' { c } else { shown(c) })
        .collect()
}

fn shown(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

fn paint(text: &str, code: &str, color: bool) -> String {
    if color {
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}
