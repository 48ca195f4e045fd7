//! When a server is asked again.

use std::time::Duration;

use ablate_core::Seed;
use ureq::http::Response;

/// The longest pause before another try.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// Seconds of a year: nothing that is waited for takes longer.
pub(super) const YEAR: f64 = 31_536_000.0;

/// Whether so many seconds can be waited for.
pub(super) fn is_span(seconds: f64) -> bool {
    seconds > 0.0 && seconds <= YEAR
}

/// The pause before try `tries + 1`: half a second, doubled each time, of which chance takes up to half.
pub(super) fn pause(at: usize, tries: u32) -> Duration {
    let whole = 0.5 * f64::from(1_u32 << tries.min(16));
    let chance = Seed::root(0)
        .child("pause")
        .child(&format!("{at} {tries}"))
        .stream()
        .uniform();
    Duration::from_secs_f64(whole * (1.0 - chance / 2.0)).min(LONGEST_PAUSE)
}

/// When the server wants to be asked again: as it says, else when the limit that was reached is lifted.
pub(super) fn asked<T>(response: &Response<T>) -> Option<Duration> {
    let header = |name: &str| response.headers().get(name)?.to_str().ok().map(str::trim);
    let number = |name: &str| header(name)?.parse::<f64>().ok();
    let lifted = || {
        let lifted = ["requests", "tokens"].map(|limit| {
            let left = number(&format!("x-ratelimit-remaining-{limit}")).unwrap_or(0.0);
            let reset = header(&format!("x-ratelimit-reset-{limit}")).filter(|_| left <= 0.0);
            reset.and_then(seconds)
        });
        let lifted = lifted.into_iter().flatten().reduce(f64::max);
        lifted.filter(|_| response.status().as_u16() == 429)
    };
    let seconds = number("retry-after-ms")
        .map(|ms| ms / 1000.0)
        .or_else(|| number("retry-after"))
        .or_else(lifted)?;
    // "At once", from a server that is busy, says nothing.
    (seconds > 0.0).then(|| Duration::from_secs_f64(seconds.min(YEAR)))
}

/// A span as Go writes it, `1m30s` or `250ms`; a bare number is of seconds.
fn seconds(span: &str) -> Option<f64> {
    if let Ok(bare) = span.parse() {
        return Some(bare);
    }
    let (mut rest, mut total) = (span, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let (number, behind) = rest.split_at(digits);
        let letters = behind.find(|character: char| character.is_ascii_digit());
        let (unit, behind) = behind.split_at(letters.unwrap_or(behind.len()));
        let factor = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * factor;
        rest = behind;
    }
    Some(total)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn asked_after(status: u16, headers: &[(&str, &str)]) -> Option<f64> {
        let response = Response::builder().status(status);
        let add = |response: ureq::http::response::Builder, (name, value): &(&str, &str)| {
            response.header(*name, *value)
        };
        let response = headers.iter().fold(response, add).body(()).unwrap();
        asked(&response).map(|pause| pause.as_secs_f64())
    }

    #[test]
    fn a_server_says_when_to_come_back_in_many_ways() {
        assert_eq!(asked_after(429, &[("retry-after", "2")]), Some(2.0));
        assert_eq!(asked_after(503, &[("retry-after-ms", "250")]), Some(0.25));
        assert_eq!(asked_after(429, &[("retry-after", "1e300")]), Some(YEAR));
        assert_eq!(asked_after(429, &[("retry-after", "NaN")]), None);
        assert_eq!(asked_after(429, &[("retry-after", "0")]), None);
        let (requests, tokens) = ("x-ratelimit-reset-requests", "x-ratelimit-reset-tokens");
        let date = ("retry-after", "Wed, 21 Oct 2035 07:28:00 GMT");
        assert_eq!(asked_after(429, &[date, (requests, "20s")]), Some(20.0));
        assert_eq!(
            asked_after(429, &[(requests, "1m1.5s"), (tokens, "200ms")]),
            Some(61.5)
        );
        let left = ("x-ratelimit-remaining-requests", "7");
        let reset = [left, (requests, "6m0s"), (tokens, "200ms")];
        assert_eq!(asked_after(429, &reset), Some(0.2));
        assert_eq!(
            asked_after(500, &[(requests, "20s")]),
            None,
            "no limit was reached"
        );
    }

    #[test]
    fn what_is_no_span_is_none() {
        assert_eq!(
            ["1h", "soon", "3d", "s"].map(seconds),
            [Some(3600.0), None, None, None]
        );
    }
}
