//! The first pass over the text, on the parser's events: what a tree of values would hide. Both places of a key that
//! stands twice, brackets that are never closed, numbers that read one way to a person and another to a parser.

use std::collections::BTreeMap;

use serde_yaml::granit_parser::{ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError, StructureStyle};

use crate::{Problem, Source, Span};

/// Looks at the whole text. `Err` if it is no YAML, else what is wrong with it all the same.
pub(crate) fn scan(source: &Source) -> Result<Vec<Problem>, Problem> {
    let mut walk = Scan::default();
    for event in Parser::new_from_str(&source.text) {
        match event {
            Ok((event, range)) => {
                let at = place(range.start, range.end);
                match event {
                    Event::Scalar(text, style, _, tag) => {
                        walk.scalar(&text, style == ScalarStyle::Plain && tag.is_none(), at);
                    }
                    Event::SequenceStart(style, ..) => walk.open('[', style, at),
                    Event::MappingStart(style, ..) => walk.open('{', style, at),
                    Event::Alias(_) => drop(walk.takes_key()),
                    Event::SequenceEnd | Event::MappingEnd => drop(walk.open.pop()),
                    Event::DocumentStart(..) => walk.document(at),
                    _ => {}
                }
            }
            Err(error) => return Err(walk.syntax(&error, source)),
        }
    }
    Ok(walk.problems)
}

#[derive(Default)]
struct Scan {
    open: Vec<Collection>,
    documents: usize,
    problems: Vec<Problem>,
}

/// A list or mapping that has begun.
struct Collection {
    bracket: char,
    style: StructureStyle,
    at: Span,
    /// For mappings: the keys so far, and whether the next node is a key.
    keys: BTreeMap<String, Span>,
    key_next: bool,
}

impl Scan {
    /// Whether the node that begins now is the key of a mapping.
    fn takes_key(&mut self) -> bool {
        let Some(top) = self.open.last_mut().filter(|top| top.bracket == '{') else {
            return false;
        };
        top.key_next = !top.key_next;
        !top.key_next
    }

    fn open(&mut self, bracket: char, style: StructureStyle, at: Span) {
        if self.takes_key() {
            let problem = Problem::error("ablate::spec::yaml", "a key must be text").at(at);
            self.problems
                .push(problem.help("quote it if it begins with a bracket"));
        }
        let (keys, key_next) = (BTreeMap::new(), bracket == '{');
        self.open.push(Collection {
            bracket,
            style,
            at,
            keys,
            key_next,
        });
    }

    fn scalar(&mut self, text: &str, plain: bool, at: Span) {
        if self.takes_key() {
            self.key(text, plain, at);
        } else if plain {
            self.problems.extend(number(text).map(|problem| problem.at(at)));
        }
    }

    fn key(&mut self, text: &str, plain: bool, at: Span) {
        if plain && matches!(text, "" | "~" | "null" | "Null" | "NULL") {
            let problem = Problem::error("ablate::spec::yaml", "a key is missing before the `:`").at(at);
            self.problems
                .push(problem.help("name it, or quote it if it is meant as text"));
        }
        let Some(top) = self.open.last_mut() else { return };
        let Some(first) = top.keys.get(text) else {
            top.keys.insert(text.to_owned(), at);
            return;
        };
        let message = format!("the key `{text}` stands twice, first on line {}", first.line);
        let problem = Problem::error("ablate::spec::duplicate_key", message).at(at);
        self.problems
            .push(problem.also(*first, "first here").help("keep one of them"));
    }

    fn document(&mut self, at: Span) {
        self.documents += 1;
        if self.documents == 2 {
            let problem = Problem::error("ablate::spec::yaml", "a second document begins here").at(at);
            self.problems
                .push(problem.help("keep one experiment in a file, and drop the `---`"));
        }
    }

    /// Why the text is no YAML. A bracket left open is found by the parser far below it: the bracket is named instead.
    fn syntax(&self, error: &ScanError, source: &Source) -> Problem {
        let at = place(*error.marker(), *error.marker());
        let line = source.line(at.line);
        let bracket = self.open.iter().rfind(|c| c.style == StructureStyle::Flow);
        let indent = line.len() - line.trim_start().len();
        if line[..indent].contains('\t') && bracket.is_none() {
            let problem = Problem::error("ablate::spec::yaml", "a tab stands in the indentation").at(at);
            return problem.help("indent with spaces");
        }
        match bracket {
            Some(open) if never_closed(error.kind(), open, at) => {
                let close = if open.bracket == '[' { ']' } else { '}' };
                let message = format!("this `{}` is never closed", open.bracket);
                Problem::error("ablate::spec::yaml", message)
                    .at(open.at)
                    .also(at, format!("`{close}` or `,` expected before this"))
                    .help(format!("add a `{close}`"))
            }
            _ => {
                let (message, help) = explain(error.kind());
                let problem = Problem::error("ablate::spec::yaml", message).at(at);
                match help {
                    Some(help) => problem.help(help),
                    None => problem,
                }
            }
        }
    }
}

fn never_closed(kind: &ErrorKind, open: &Collection, at: Span) -> bool {
    use ErrorKind as E;
    match kind {
        E::UnclosedFlowCollection { .. }
        | E::UnexpectedEof
        | E::UnexpectedEofFlowSequence
        | E::UnexpectedEofFlowMapping
        | E::UnexpectedEofImplicitFlowMapping => true,
        E::ExpectedFlowMappingSeparator
        | E::ExpectedFlowSequenceSeparator
        | E::InvalidColonPlacement
        | E::InvalidIndentation
        | E::InvalidFlowScalarIndent
        | E::BlockEntryInFlowCollection
        | E::PlainScalarStartsWithDashFlowIndicator
        | E::MappingValueNotAllowed => open.at.line < at.line,
        _ => false,
    }
}

/// The parser's message, in words about the file where that helps.
fn explain(kind: &ErrorKind) -> (String, Option<&'static str>) {
    use ErrorKind as E;
    match kind {
        E::MappingValueNotAllowed | E::InvalidColonPlacement => (
            "a `:` cannot stand here".into(),
            Some("indent the key like its neighbours, or quote text that holds `: `"),
        ),
        E::UnclosedQuotedScalar | E::InvalidQuotedScalarIndent | E::UnexpectedEof => (
            "a quoted text is never closed before here".into(),
            Some("close the quote"),
        ),
        E::ExpectedBlockMappingKey | E::InvalidIndentation | E::InvalidSimpleKey | E::SimpleKeyExpected => (
            "a `key: value` is expected here".into(),
            Some("indent it like its neighbours, and put a `:` and a space after the key"),
        ),
        E::UnexpectedCharacter { character } => (
            format!("a text cannot begin with `{}`", character.escape_default()),
            Some("quote it"),
        ),
        E::MisplacedFlowCollectionEnd => (
            "a bracket is closed that was never opened".into(),
            Some("remove it, or quote it"),
        ),
        E::MismatchedFlowCollectionEnd { open, close } => (
            format!("`{open}` is closed by `{close}`"),
            Some("close it with its own bracket"),
        ),
        E::UnknownAnchor => (
            "there is no anchor of this name above".into(),
            Some("define it with `&NAME`, or quote a text that begins with `*`"),
        ),
        E::UnknownQuotedScalarEscape => (
            "a quoted text holds an unknown escape".into(),
            Some("write `\\\\` for a backslash, or use single quotes"),
        ),
        other => (other.to_string(), None),
    }
}

/// A plain number that cannot be taken as it stands.
fn number(text: &str) -> Option<Problem> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let code = "ablate::spec::ambiguous_number";
    if matches!(digits.to_ascii_lowercase().as_str(), ".nan" | ".inf") {
        let message = format!("`{text}` is no number an experiment can use");
        return Some(Problem::error("ablate::spec::out_of_range", message).help("write a finite number"));
    }
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    if digits.len() > 1 && digits.starts_with('0') {
        let message = format!("`{text}` begins with 0: octal to some parsers, decimal to others");
        return Some(Problem::error(code, message).help("drop the 0, or quote it if it is a name"));
    }
    let fits = text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok();
    let message = format!("`{text}` does not fit in 64 bits");
    (!fits).then(|| Problem::error(code, message).help("quote it if it is a name"))
}

fn place(start: Marker, end: Marker) -> Span {
    let offset = start.byte_offset().unwrap_or_default();
    Span {
        offset,
        length: end
            .byte_offset()
            .unwrap_or_default()
            .saturating_sub(offset)
            .max(1),
        line: start.line().max(1),
        column: start.col() + 1,
    }
}
