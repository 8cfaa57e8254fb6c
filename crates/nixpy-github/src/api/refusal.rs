//! An attempt that failed: what octocrab makes of it, in our words, and whether another may do.

use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, StatusCode};

use super::again::{Again, again};
use super::error::ApiErrorKind;

/// Of a refusal more is not told.
const LONGEST_MESSAGE: usize = 500;

/// One attempt that failed.
pub(super) struct Failed {
    pub(super) kind: ApiErrorKind,
    pub(super) again: Again,
}

impl Failed {
    pub(super) fn for_good(kind: ApiErrorKind) -> Self {
        Self {
            kind,
            again: Again::Never,
        }
    }
}

/// What GitHub has said no with.
pub(super) fn refused(error: octocrab::Error, permission: &'static str) -> Failed {
    let octocrab::Error::GitHub { source, .. } = error else {
        return silence(error);
    };
    let status = source.status_code;
    let headers = source.headers.clone().unwrap_or_default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let again = again(
        status,
        &headers,
        &source.message,
        now.unwrap_or_default().as_secs(),
    );
    let reasons = source.errors.iter().flatten().map(reason);
    let message = reasons.fold(source.message.clone(), |told, reason| {
        format!("{told}; {reason}")
    });
    let message = one_line(&message);
    let kind = match (status, &again) {
        (StatusCode::UNAUTHORIZED, _) => ApiErrorKind::Unauthorized,
        (StatusCode::NOT_FOUND, _) => ApiErrorKind::NotFound { permission },
        (_, Again::After(after)) => ApiErrorKind::RateLimited { after: *after },
        (StatusCode::FORBIDDEN, _) => ApiErrorKind::NotPermitted {
            permission,
            message,
            accepted: accepted(&headers),
        },
        (status, _) if status.is_server_error() => ApiErrorKind::Trouble {
            status: status.as_u16(),
        },
        (status, _) => ApiErrorKind::Refused {
            status: status.as_u16(),
            message,
        },
    };
    Failed { kind, again }
}

/// What a token needs for it, in GitHub's own words.
fn accepted(headers: &HeaderMap) -> Option<String> {
    let told = headers.get("x-accepted-github-permissions")?;
    let told = one_line(told.to_str().ok()?.trim());
    Some(told).filter(|told| !told.is_empty())
}

/// One of the reasons that a refusal gives: text, or a field and what is wrong with it.
fn reason(value: &serde_json::Value) -> String {
    let text = |name: &str| value[name].as_str().unwrap_or_default();
    match value {
        serde_json::Value::String(text) => text.clone(),
        _ if !text("message").is_empty() => text("message").to_owned(),
        _ => format!("{} {}: {}", text("resource"), text("field"), text("code")),
    }
}

/// No answer: whether the request has arrived nobody knows, unless there was no connection.
pub(super) fn silence(error: octocrab::Error) -> Failed {
    let mut unsent = false;
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<reqwest::Error>() {
            unsent |= error.is_connect();
        }
        cause = error.source();
    }
    Failed {
        kind: ApiErrorKind::Silence(deepest(&error)),
        again: match unsent {
            true => Again::Anew,
            false => Again::Soon,
        },
    }
}

/// The cause of all causes: what is above it repeats it, with addresses.
pub(super) fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    one_line(&error.to_string())
}

/// As far as it is told, and nothing in it that a terminal would obey.
fn one_line(text: &str) -> String {
    let text = text.chars().take(LONGEST_MESSAGE);
    text.map(|c| if c.is_control() { ' ' } else { c }).collect()
}
