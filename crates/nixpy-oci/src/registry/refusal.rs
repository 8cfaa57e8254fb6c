//! An answer that is not a success: its error codes, and what it says, in the form
//! of <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes>
//! or, from whatever stands in between, in none.

use std::time::Duration;

use oci_client::errors::{OciEnvelope, OciErrorCode};
use reqwest::StatusCode;

use super::error::{Failure, RemoteErrorKind};

/// An answer that is not a success.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) codes: Vec<OciErrorCode>,
    pub(super) message: String,
    anonymous: bool,
    retry_after: Option<Duration>,
}

impl Refusal {
    pub(super) fn read(
        status: StatusCode,
        body: &[u8],
        anonymous: bool,
        retry_after: Option<Duration>,
    ) -> Self {
        let (codes, message) = match serde_json::from_slice::<OciEnvelope>(body) {
            Ok(envelope) => {
                let messages = envelope.errors.iter().map(|error| error.message.as_str());
                let message = one_line(&messages.collect::<Vec<_>>().join(", "));
                (
                    envelope
                        .errors
                        .into_iter()
                        .map(|error| error.code)
                        .collect(),
                    message,
                )
            }
            // A page of a proxy says less than the status that stands before it.
            Err(_) if body.trim_ascii_start().starts_with(b"<") => (Vec::new(), String::new()),
            Err(_) => (Vec::new(), one_line(&String::from_utf8_lossy(body))),
        };
        Self {
            status,
            codes,
            message,
            anonymous,
            retry_after,
        }
    }

    /// The failure that this is unless the caller knows better.
    pub(super) fn into_failure(self) -> Failure {
        let kind = match self.status {
            StatusCode::UNAUTHORIZED => RemoteErrorKind::Unauthenticated {
                anonymous: self.anonymous,
            },
            StatusCode::FORBIDDEN => RemoteErrorKind::Denied(self.message),
            StatusCode::NOT_FOUND => RemoteErrorKind::NotFound(self.message),
            status => RemoteErrorKind::Refused {
                status: status.as_u16(),
                code: self.codes.first().and_then(name_of),
                message: self.message,
            },
        };
        Failure {
            retry_after: self.retry_after,
            kind,
            source: None,
        }
    }

    /// Whether one of these is among the error codes.
    pub(super) fn says(&self, codes: &[OciErrorCode]) -> bool {
        self.codes.iter().any(|code| codes.contains(code))
    }
}

/// The code as the specification writes it.
fn name_of(code: &OciErrorCode) -> Option<String> {
    Some(one_line(serde_json::to_value(code).ok()?.as_str()?))
}

/// Somebody else's text, fit for the middle of a message.
pub fn one_line(text: &str) -> String {
    let visible = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect::<String>();
    let words = visible.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}
