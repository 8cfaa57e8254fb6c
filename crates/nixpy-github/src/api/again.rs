//! When the same request is sent again
//! (<https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api>).

use std::time::Duration;

use http::{HeaderMap, StatusCode};

/// Where GitHub says that there were too many requests, and not how long.
const UNSAID: Duration = Duration::from_secs(60);

/// What an answer that is no means for the next request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// It was not looked at, and will be after this time.
    After(Duration),
    /// It may have been done or not, and the next may be answered.
    Soon,
    /// It has not arrived, and the next may.
    Anew,
    /// The answer will stay the same.
    Never,
}

/// Of a refusal, with GitHub's words, at this time in seconds since 1970.
pub(super) fn again(status: StatusCode, headers: &HeaderMap, message: &str, now: u64) -> Again {
    let number =
        |name: &str| -> Option<u64> { headers.get(name)?.to_str().ok()?.trim().parse().ok() };
    let asked = number("retry-after").map(Duration::from_secs);
    if status.is_server_error() {
        // Who says when knows that nothing was done.
        return asked.map_or(Again::Soon, Again::After);
    }
    if !matches!(status.as_u16(), 403 | 429) {
        return Again::Never;
    }
    if let Some(asked) = asked {
        return Again::After(asked);
    }
    if number("x-ratelimit-remaining") == Some(0)
        && let Some(reset) = number("x-ratelimit-reset")
    {
        // Clocks differ.
        return Again::After(Duration::from_secs(reset.saturating_sub(now) + 1));
    }
    let is_limit = message.to_ascii_lowercase().contains("rate limit");
    match is_limit || status.as_u16() == 429 {
        true => Again::After(UNSAID),
        false => Again::Never,
    }
}

/// The wait before the nth repetition, from 0: it doubles.
pub(super) fn pause(n: u32) -> Duration {
    Duration::from_millis(250 << n.min(5))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn what_github_says_decides_how_long_is_waited() {
        let seconds = |n| Again::After(Duration::from_secs(n));
        let cases = [
            (429, headers(&[("retry-after", "7")]), "", seconds(7)),
            (403, headers(&[("retry-after", "2")]), "", seconds(2)),
            (
                403,
                headers(&[
                    ("x-ratelimit-remaining", "0"),
                    ("x-ratelimit-reset", "1010"),
                ]),
                "API rate limit exceeded",
                seconds(11),
            ),
            (
                403,
                headers(&[
                    ("x-ratelimit-remaining", "9"),
                    ("x-ratelimit-reset", "1010"),
                ]),
                "Resource not accessible by integration",
                Again::Never,
            ),
            (
                403,
                headers(&[]),
                "You have exceeded a secondary rate limit.",
                seconds(60),
            ),
            (429, headers(&[]), "", seconds(60)),
            (502, headers(&[]), "", Again::Soon),
            (503, headers(&[("retry-after", "1")]), "", seconds(1)),
            (404, headers(&[("retry-after", "1")]), "", Again::Never),
            (422, headers(&[]), "", Again::Never),
        ];
        for (status, headers, message, expected) in cases {
            let status = StatusCode::from_u16(status).unwrap();
            let told = again(status, &headers, message, 1000);
            assert_eq!(told, expected, "{status} {message} {headers:?}");
        }
    }

    #[test]
    fn pauses_double_up_to_eight_seconds() {
        assert_eq!(pause(0), Duration::from_millis(250));
        assert_eq!(pause(1), Duration::from_millis(500));
        assert_eq!(pause(60), Duration::from_secs(8));
    }
}
