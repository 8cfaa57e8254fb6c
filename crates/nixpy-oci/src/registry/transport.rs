//! Why a request had no answer at all: names, addresses, TLS, broken connections.

use std::error::Error as StdError;
use std::io;

use super::error::{Failure, RemoteErrorKind};

/// Why a request had no answer, whoever it was sent to.
pub fn no_answer(error: reqwest::Error) -> RemoteErrorKind {
    explain_transport(error).kind
}

/// Why a request had no answer.
pub(super) fn explain_transport(error: reqwest::Error) -> Failure {
    // The URL may carry the credentials of an upload.
    let error = error.without_url();
    let kind =
        if let Some(tls) = causes(&error).find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
            match tls {
                rustls::Error::InvalidMessage(_) => RemoteErrorKind::NotTls,
                _ => RemoteErrorKind::Untrusted,
            }
        } else if error.is_connect() {
            // `hyper-util` has no better mark for it.
            if causes(&error).any(|cause| cause.to_string() == "dns error") {
                RemoteErrorKind::UnknownHost
            } else {
                RemoteErrorKind::Unreachable
            }
        } else if error.is_timeout() {
            RemoteErrorKind::Timeout
        } else if error.is_builder() || error.is_redirect() {
            RemoteErrorKind::Protocol("the request cannot be made".to_owned())
        } else {
            RemoteErrorKind::Broken
        };
    Failure::new(kind).caused_by(error)
}

/// An error and all below it. What an `io::Error` wraps is not among its sources.
fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    fn below<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
        match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        }
    }
    std::iter::successors(Some(error), |error| below(*error))
}
