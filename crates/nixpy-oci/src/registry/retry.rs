//! Trying again: how often, and how long to wait in between.
//!
//! The wait doubles from one try to the next, and is spread so that the layers of
//! one push do not all come back in the same moment. A registry that names a time
//! (`Retry-After`, on 429 and 503) is not asked again before; if it names more
//! than [`LONGEST_OBEYED`], waiting is the user's decision and the error says so.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, SystemTime};

use super::error::{Failure, RemoteErrorKind};

/// No wait of our own choosing is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// A registry that asks for more than this is given up.
pub(super) const LONGEST_OBEYED: Duration = Duration::from_secs(120);

/// Runs `attempt` until it succeeds, fails for good, or has been repeated so
/// often, or so often after it stood still; it is told how often it was tried before.
pub(super) async fn retrying<T, F>(
    retries: u32,
    stalls: u32,
    first_wait: Duration,
    mut attempt: impl FnMut(u32) -> F,
) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut stalled = 0;
    for tried in 0.. {
        let failure = match attempt(tried).await {
            Err(failure) if failure.is_transient() && tried < retries => failure,
            result => return result,
        };
        if failure.kind == RemoteErrorKind::Timeout {
            stalled += 1;
            if stalled > stalls {
                return Err(failure);
            }
        }
        if failure
            .retry_after
            .is_some_and(|wait| wait > LONGEST_OBEYED)
        {
            return Err(failure);
        }
        let wait = backoff(first_wait, tried).max(failure.retry_after.unwrap_or_default());
        tracing::debug!(kind = ?failure.kind, ?wait, tried, "trying again");
        tokio::time::sleep(wait).await;
    }
    unreachable!("the loop ends by returning")
}

/// `first`, doubled for each try and spread over three quarters to all of it.
fn backoff(first: Duration, tried: u32) -> Duration {
    let wait = first.saturating_mul(1 << tried.min(16)).min(LONGEST_WAIT);
    // The seed of a hash map is as random as this needs to be.
    let share = RandomState::new().hash_one(tried) % 256;
    wait.mul_f64(0.75 + share as f64 / 1024.0)
}

/// Reads a `Retry-After`: seconds or an HTTP date
/// (<https://www.rfc-editor.org/rfc/rfc9110#name-retry-after>), and the `12.5ms`
/// that ghcr.io has been seen to send.
pub fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let seconds = |number: &str, unit: f64| {
        let number = number.trim().parse::<f64>().ok().filter(|n| *n >= 0.0)?;
        Duration::try_from_secs_f64(number * unit).ok()
    };
    if let Some(milliseconds) = value.strip_suffix("ms") {
        return seconds(milliseconds, 0.001);
    }
    seconds(value.strip_suffix('s').unwrap_or(value), 1.0).or_else(|| {
        let date = httpdate::parse_http_date(value).ok()?;
        Some(date.duration_since(now).unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_all_its_forms() {
        let now = SystemTime::UNIX_EPOCH;
        for (text, milliseconds) in [
            ("7", Some(7_000)),
            ("0", Some(0)),
            ("12.5ms", Some(12)),
            ("1.5s", Some(1_500)),
            ("Thu, 01 Jan 1970 00:01:00 GMT", Some(60_000)),
            ("Wed, 31 Dec 1969 00:00:00 GMT", None),
            ("-1", None),
            ("soon", None),
        ] {
            let read = parse_retry_after(text, now).map(|wait| wait.as_millis());
            assert_eq!(read, milliseconds, "{text}");
        }
    }

    #[test]
    fn waits_double_are_spread_and_have_an_end() {
        let first = Duration::from_millis(250);
        for (tried, most) in [(0, 250), (1, 500), (2, 1_000), (3, 2_000), (40, 20_000)] {
            let wait = backoff(first, tried).as_millis();
            assert!(wait <= most && wait >= most * 3 / 4, "{tried}: {wait}");
        }
    }
}
