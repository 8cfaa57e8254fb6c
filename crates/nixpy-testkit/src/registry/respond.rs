//! Answers that say yes.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, Response, StatusCode};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::Value;

use super::connection::Switch;

/// An answer without a body, with these headers.
pub(crate) fn empty(status: u16, headers: &[(&'static str, &str)]) -> Response<Body> {
    body(status, headers, Bytes::new())
}

/// An answer with a body, with these headers.
pub(crate) fn body(status: u16, headers: &[(&'static str, &str)], bytes: Bytes) -> Response<Body> {
    let mut response = Response::builder().status(StatusCode::from_u16(status).unwrap());
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Body::from(bytes)).unwrap()
}

/// A JSON document.
pub(crate) fn json(value: &Value) -> Response<Body> {
    body(
        200,
        &[(CONTENT_TYPE.as_str(), "application/json")],
        value.to_string().into(),
    )
}

/// What HEAD answers where GET would send these bytes.
pub(crate) fn head(headers: &[(&'static str, &str)], length: usize) -> Response<Body> {
    let mut response = empty(200, headers);
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    response
}

/// The same answer, whose body takes this long.
pub(crate) async fn trickle(response: Response<Body>, over: Duration) -> Response<Body> {
    const PIECES: u32 = 16;
    let (parts, bytes) = take_apart(response).await;
    if bytes.is_empty() {
        tokio::time::sleep(over).await;
        return Response::from_parts(parts, Body::empty());
    }
    let size = bytes.len().div_ceil(PIECES as usize);
    let pieces = (0..bytes.len())
        .step_by(size)
        .map(move |at| bytes.slice(at..bytes.len().min(at + size)));
    let slowly = stream::iter(pieces).then(move |piece| async move {
        tokio::time::sleep(over / PIECES).await;
        Ok::<_, std::io::Error>(piece)
    });
    Response::from_parts(parts, Body::from_stream(slowly))
}

/// The same answer, of which no more comes after so many bytes of its body.
pub(crate) async fn stall(response: Response<Body>, after: u64) -> Response<Body> {
    let (parts, bytes) = take_apart(response).await;
    let sent = usize::try_from(after).unwrap_or(usize::MAX);
    let first = bytes.slice(..sent.min(bytes.len()));
    let first = stream::iter([Ok::<_, std::io::Error>(first)]);
    Response::from_parts(parts, Body::from_stream(first.chain(stream::pending())))
}

/// The same answer, which ends after so many bytes of its body with the connection.
pub(crate) async fn break_off(
    response: Response<Body>,
    after: u64,
    switch: Switch,
) -> Response<Body> {
    let (parts, bytes) = take_apart(response).await;
    let sent = usize::try_from(after).unwrap_or(usize::MAX);
    if sent == 0 || sent >= bytes.len() {
        switch.cut();
        return Response::from_parts(parts, Body::empty());
    }
    let first = stream::iter([Ok(bytes.slice(..sent))]);
    let then = stream::once(async move {
        // Time for the server to hand over what is in its buffers.
        tokio::time::sleep(Duration::from_millis(30)).await;
        switch.cut();
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
    });
    Response::from_parts(parts, Body::from_stream(first.chain(then)))
}

/// The announced length stays true for a body that is then sent in pieces.
async fn take_apart(response: Response<Body>) -> (axum::http::response::Parts, Bytes) {
    let (mut parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    announce(&mut parts.headers, bytes.len());
    (parts, bytes)
}

fn announce(headers: &mut HeaderMap, length: usize) {
    if length > 0 {
        headers.insert(CONTENT_LENGTH, length.into());
    }
}
