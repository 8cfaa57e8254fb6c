//! Answers that say no, in the one form the specification has for them:
//! `{"errors": [{"code": …, "message": …, "detail": …}]}`.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::{Response, StatusCode};
use serde_json::{Value, json};

/// The status that stands for "there is no answer", and is never sent.
pub(super) const BROKEN_OFF: u16 = 499;

/// A status, one or more errors, and headers that help the client.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    errors: Vec<Value>,
    headers: Vec<(HeaderName, String)>,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap(),
            errors: Vec::new(),
            headers: Vec::new(),
        }
        .and(code, message, Value::Null)
    }

    /// A path or a method that the registry does not have.
    pub(super) fn no_such_page() -> Self {
        Self::new(404, "UNSUPPORTED", "no such endpoint")
    }

    /// A method that the endpoint does not have.
    pub(super) fn no_such_method() -> Self {
        Self::new(405, "UNSUPPORTED", "the operation is unsupported")
    }

    /// The connection ended before the request did: nobody will read this.
    pub(super) fn broken_off() -> Self {
        Self::new(BROKEN_OFF, "UNKNOWN", "the connection ended in mid-body")
    }

    /// Several errors at once, as manifests have them.
    pub(super) fn all(
        status: u16,
        code: &str,
        message: &str,
        details: impl IntoIterator<Item = Value>,
    ) -> Self {
        let none = Self {
            status: StatusCode::from_u16(status).unwrap(),
            errors: Vec::new(),
            headers: Vec::new(),
        };
        details
            .into_iter()
            .fold(none, |refusal, detail| refusal.and(code, message, detail))
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers
            .push((HeaderName::from_static(name), value.into()));
        self
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(json!({ "errors": self.errors }).to_string()));
        *response.status_mut() = self.status;
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in self.headers {
            response
                .headers_mut()
                .append(name, HeaderValue::from_str(&value).unwrap());
        }
        response
    }

    fn and(mut self, code: &str, message: impl Into<String>, detail: Value) -> Self {
        self.errors
            .push(json!({ "code": code, "message": message.into(), "detail": detail }));
        self
    }
}
