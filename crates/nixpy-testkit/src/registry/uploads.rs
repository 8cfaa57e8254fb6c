//! Blob uploads: in one POST, in POST and PUT, in chunks, and by mounting.
//!
//! The location is absolute and carries a query of its own, as that of widely
//! used registries does: a client must take it as it is, and append to its query.

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_RANGE};
use axum::http::{HeaderMap, Method, Response};

use super::auth::Admission;
use super::incoming::Incoming;
use super::query::Query;
use super::refusal::Refusal;
use super::respond;
use super::serve::{Shared, host};
use super::storage::Session;
use crate::digest::{is_digest, matches};

/// Which of the optional parts of uploading the registry has.
#[derive(Clone, Debug)]
pub(super) struct UploadRules {
    pub(super) mounts: bool,
    pub(super) single_post: bool,
    pub(super) relative_locations: bool,
    pub(super) ranged_chunk_limit: Option<u64>,
    pub(super) chunk_minimum: Option<u64>,
}

/// `POST /v2/<name>/blobs/uploads/`
pub(super) async fn begin(
    shared: &Shared,
    headers: &HeaderMap,
    query: &Query,
    name: &str,
    admission: &Admission,
    incoming: &mut Incoming,
) -> Result<Response<Body>, Refusal> {
    let rules = &shared.uploads;
    if let (Some(digest), Some(from), true) = (query.get("mount"), query.get("from"), rules.mounts)
    {
        // One who may not read there learns no more than one who asks for what is not there.
        if admission.may_pull(from) && shared.storage().mount(digest, from, name) {
            return Ok(created(shared, headers, name, digest));
        }
    }
    if let (Some(digest), true) = (query.get("digest"), rules.single_post) {
        let id = shared.storage().begin(name);
        let received = receive(shared, name, &id, incoming).await;
        let session = shared.storage().end(&id);
        received?;
        return finish(shared, headers, name, digest, session);
    }
    let id = shared.storage().begin(name);
    let mut response = in_progress(shared, headers, name, &id, 202)?;
    if let Some(minimum) = rules.chunk_minimum {
        response
            .headers_mut()
            .insert("oci-chunk-min-length", minimum.into());
    }
    Ok(response)
}

/// PATCH, PUT, GET and DELETE of the location that [`begin`] gave.
pub(super) async fn go_on(
    shared: &Shared,
    method: &Method,
    headers: &HeaderMap,
    query: &Query,
    (name, id): (&str, &str),
    incoming: &mut Incoming,
) -> Result<Response<Body>, Refusal> {
    let state = shared
        .storage()
        .session(name, id)
        .map(|session| session.state.clone());
    if state.ok_or_else(|| unknown(id))? != query.get("_state").unwrap_or_default() {
        return Err(Refusal::new(
            400,
            "BLOB_UPLOAD_INVALID",
            "the location's own query is missing: use it as given",
        ));
    }
    match *method {
        Method::GET => in_progress(shared, headers, name, id, 204),
        Method::DELETE => {
            shared.storage().end(id);
            Ok(respond::empty(204, &[]))
        }
        Method::PATCH => {
            check_range(shared, headers, name, id)?;
            receive(shared, name, id, incoming).await?;
            in_progress(shared, headers, name, id, 202)
        }
        Method::PUT => {
            let digest = query.get("digest").ok_or_else(|| {
                Refusal::new(
                    400,
                    "DIGEST_INVALID",
                    "the closing PUT must have the digest in its query",
                )
            })?;
            check_range(shared, headers, name, id)?;
            receive(shared, name, id, incoming).await?;
            let session = shared.storage().end(id);
            finish(shared, headers, name, digest, session)
        }
        _ => Err(Refusal::no_such_method()),
    }
}

/// Takes the body as it comes: what came before a cut is kept, as by a real registry.
async fn receive(
    shared: &Shared,
    name: &str,
    id: &str,
    incoming: &mut Incoming,
) -> Result<(), Refusal> {
    while let Some(piece) = incoming.next().await? {
        let mut storage = shared.storage();
        let session = storage.session(name, id).ok_or_else(|| unknown(id))?;
        session.received.extend_from_slice(&piece);
    }
    Ok(())
}

/// A chunk must say where it belongs, and belong where the last one ended.
fn check_range(shared: &Shared, headers: &HeaderMap, name: &str, id: &str) -> Result<(), Refusal> {
    let Some(range) = headers.get(CONTENT_RANGE) else {
        return Ok(());
    };
    let range = range.to_str().unwrap_or_default();
    let parsed = range
        .split_once('-')
        .and_then(|(a, b)| Some((a.parse::<u64>().ok()?, b.parse::<u64>().ok()?)));
    let Some((first, last)) = parsed.filter(|(first, last)| first <= last) else {
        return Err(Refusal::new(
            400,
            "BLOB_UPLOAD_INVALID",
            format!("Content-Range {range:?} is not <first>-<last>"),
        ));
    };
    let length = last - first + 1;
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|announced| announced != length) {
        return Err(Refusal::new(
            400,
            "SIZE_INVALID",
            format!("Content-Length is not that of {range}"),
        ));
    }
    if shared
        .uploads
        .ranged_chunk_limit
        .is_some_and(|limit| length > limit)
    {
        return Err(Refusal::new(
            413,
            "SIZE_INVALID",
            format!("a chunk of {length} bytes is too large"),
        ));
    }
    let (offset, location) = {
        let mut storage = shared.storage();
        let session = storage.session(name, id).ok_or_else(|| unknown(id))?;
        (
            session.received.len() as u64,
            location(shared, headers, name, id, &session.state),
        )
    };
    if first != offset {
        return Err(Refusal::new(
            416,
            "BLOB_UPLOAD_INVALID",
            format!("the next byte is {offset}, not {first}"),
        )
        .header("location", location)
        .header("range", received_range(offset)));
    }
    Ok(())
}

fn finish(
    shared: &Shared,
    headers: &HeaderMap,
    name: &str,
    digest: &str,
    session: Option<Session>,
) -> Result<Response<Body>, Refusal> {
    let received = session
        .ok_or_else(|| unknown("that was cancelled meanwhile"))?
        .received;
    if !is_digest(digest) || !matches(digest, &received) {
        let message = format!(
            "{digest} is not the digest of the {} bytes received",
            received.len()
        );
        return Err(Refusal::new(400, "DIGEST_INVALID", message));
    }
    shared.storage().put_blob(name, digest, received.into());
    Ok(created(shared, headers, name, digest))
}

fn created(shared: &Shared, headers: &HeaderMap, name: &str, digest: &str) -> Response<Body> {
    let location = absolute(shared, headers, &format!("/v2/{name}/blobs/{digest}"));
    respond::empty(
        201,
        &[("location", &location), ("docker-content-digest", digest)],
    )
}

fn in_progress(
    shared: &Shared,
    headers: &HeaderMap,
    name: &str,
    id: &str,
    status: u16,
) -> Result<Response<Body>, Refusal> {
    let mut storage = shared.storage();
    let session = storage.session(name, id).ok_or_else(|| unknown(id))?;
    let location = location(shared, headers, name, id, &session.state);
    let range = received_range(session.received.len() as u64);
    Ok(respond::empty(
        status,
        &[
            ("location", &location),
            ("range", &range),
            ("docker-upload-uuid", id),
        ],
    ))
}

fn location(shared: &Shared, headers: &HeaderMap, name: &str, id: &str, state: &str) -> String {
    let state: String = form_urlencoded::byte_serialize(state.as_bytes()).collect();
    absolute(
        shared,
        headers,
        &format!("/v2/{name}/blobs/uploads/{id}?_state={state}"),
    )
}

fn absolute(shared: &Shared, headers: &HeaderMap, path: &str) -> String {
    if shared.uploads.relative_locations {
        return path.to_owned();
    }
    format!("http://{}{path}", host(headers, shared.address))
}

/// `0-0` is said of nothing and of one byte alike, as registries do.
fn received_range(offset: u64) -> String {
    format!("0-{}", offset.saturating_sub(1))
}

fn unknown(id: &str) -> Refusal {
    Refusal::new(404, "BLOB_UPLOAD_UNKNOWN", format!("no upload {id}"))
}
