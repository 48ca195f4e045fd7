//! From the target of a request to its path and query.

use crate::Request;

/// The most characters of a target.
const LONGEST: usize = 4096;

/// Reads `/run/x?name=y`; `None` for what no page of ours links to.
pub(crate) fn parse(target: &str) -> Option<Request> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if target.len() > LONGEST || !path.starts_with('/') {
        return None;
    }
    let parts = path.split('/').filter(|part| !part.is_empty());
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    Some(Request {
        path: parts.map(part).collect::<Option<_>>()?,
        query: pairs.map(pair).collect::<Option<_>>()?,
    })
}

/// A part of a path that is nothing but a name.
fn part(text: &str) -> Option<String> {
    let name = decoded(text, false)?;
    let is_name = name != "." && name != ".." && !name.contains(['/', '\\']);
    is_name.then_some(name)
}

fn pair(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    Some((decoded(name, true)?, decoded(value, true)?))
}

/// Percent signs decoded; `None` if they are broken, or for bytes that are no text or steer terminals.
fn decoded(text: &str, plus_is_space: bool) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => 16 * digit(bytes.next()?)? + digit(bytes.next()?)?,
            b'+' if plus_is_space => b' ',
            other => other,
        });
    }
    String::from_utf8(out)
        .ok()
        .filter(|text| !text.chars().any(char::is_control))
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_queries_are_decoded() {
        let request = parse("/run/2026%2D11/node?name=a%5Bb%3Dc%5D&q=two+words&q=three").unwrap();
        assert_eq!(request.path, ["run", "2026-11", "node"]);
        assert_eq!((request.value("name"), request.value("q")), ("a[b=c]", "three"));
        assert_eq!(parse("/").unwrap(), Request::default());
        assert_eq!(parse("//run//").unwrap().path, ["run"]);
    }

    #[test]
    fn no_part_of_a_path_leads_anywhere_else() {
        for escape in [
            "/run/..",
            "/run/../x",
            "/run/%2e%2e",
            "/run/%2E.",
            "/a%2fb",
            "/a%5cb",
            "/a\\b",
            "/%00",
            "/%0a",
            "/%ff",
            "/%2",
            "/%zz",
            "run",
            "http://host/run",
            "*",
            "",
        ] {
            assert_eq!(parse(escape), None, "{escape}");
        }
        assert_eq!(parse(&format!("/{}", "a".repeat(LONGEST))), None);
    }
}
