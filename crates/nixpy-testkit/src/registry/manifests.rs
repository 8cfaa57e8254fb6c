//! `/v2/<name>/manifests/<reference>`: PUT, GET, HEAD and DELETE.
//!
//! A manifest is taken only if all that it names is in the repository with the
//! size it states. A registry may be laxer; a client that needs it to be has a fault.

use axum::body::Body;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, Response};
use serde_json::{Value, json};

use super::refusal::Refusal;
use super::respond;
use super::storage::{Storage, StoredManifest};
use crate::digest::{digest, is_digest, matches};

/// The largest manifest; registries are to take at least 4 MiB.
pub(super) const LARGEST: usize = 4 << 20;

pub(super) const INDEXES: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];
const IMAGES: [&str; 2] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// GET, HEAD and DELETE.
pub(super) fn manifest(
    storage: &mut Storage,
    method: &Method,
    headers: &HeaderMap,
    name: &str,
    reference: &str,
) -> Result<Response<Body>, Refusal> {
    let unknown = || {
        Refusal::new(
            404,
            "MANIFEST_UNKNOWN",
            format!("{name} has no manifest {reference}"),
        )
    };
    let found = storage
        .repository(name)
        .and_then(|repository| repository.manifest(reference));
    let (digest, stored) = found.ok_or_else(unknown)?;
    let (digest, stored) = (digest.to_owned(), stored.clone());
    match *method {
        Method::GET | Method::HEAD if !accepts(headers, &stored.media_type) => {
            // So answer registries that cannot convert, and clients that forget a type learn of it here.
            let message = format!(
                "found a {}, which the Accept header does not name",
                stored.media_type
            );
            Err(Refusal::new(404, "MANIFEST_UNKNOWN", message))
        }
        Method::GET | Method::HEAD => {
            let about = [
                ("docker-content-digest", digest.as_str()),
                ("content-type", &stored.media_type),
            ];
            Ok(if *method == Method::HEAD {
                respond::head(&about, stored.bytes.len())
            } else {
                respond::body(200, &about, stored.bytes)
            })
        }
        Method::DELETE => {
            let repository = storage.repository_mut(name);
            if is_digest(reference) {
                repository.manifests.remove(reference);
                repository.tags.retain(|_, tagged| *tagged != digest);
            } else {
                repository.tags.remove(reference);
            }
            Ok(respond::empty(202, &[]))
        }
        _ => Err(Refusal::no_such_method()),
    }
}

/// PUT.
pub(super) fn put(
    storage: &mut Storage,
    headers: &HeaderMap,
    name: &str,
    reference: &str,
    bytes: Vec<u8>,
) -> Result<Response<Body>, Refusal> {
    let invalid = |message: String| Refusal::new(400, "MANIFEST_INVALID", message);
    let document: Value =
        serde_json::from_slice(&bytes).map_err(|error| invalid(error.to_string()))?;
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !INDEXES.contains(&media_type) && !IMAGES.contains(&media_type) {
        return Err(invalid(format!(
            "no manifest has the Content-Type {content_type:?}"
        )));
    }
    if document
        .get("mediaType")
        .is_some_and(|stated| stated != media_type)
    {
        return Err(invalid(format!(
            "mediaType is {}, Content-Type is {media_type}",
            document["mediaType"]
        )));
    }
    check_references(storage, name, media_type, &document)?;
    let actual = digest(&bytes);
    if is_digest(reference) && !matches(reference, &bytes) {
        return Err(Refusal::new(
            400,
            "DIGEST_INVALID",
            format!("the manifest's digest is {actual}"),
        ));
    }
    let repository = storage.repository_mut(name);
    let stored = if is_digest(reference) {
        reference.to_owned()
    } else {
        actual
    };
    let manifest = StoredManifest {
        media_type: media_type.to_owned(),
        bytes: bytes.into(),
    };
    repository.manifests.insert(stored.clone(), manifest);
    if !is_digest(reference) {
        repository.tags.insert(reference.to_owned(), stored.clone());
    }
    let location = format!("/v2/{name}/manifests/{stored}");
    let mut about = vec![
        ("location", location.as_str()),
        ("docker-content-digest", &stored),
    ];
    if let Some(subject) = document["subject"]["digest"].as_str() {
        about.push(("oci-subject", subject));
    }
    Ok(respond::empty(201, &about))
}

/// Everything the manifest names must be there; the answer lists all that is not.
fn check_references(
    storage: &Storage,
    name: &str,
    media_type: &str,
    document: &Value,
) -> Result<(), Refusal> {
    let list = |field: &str| document[field].as_array().cloned().unwrap_or_default();
    let index = INDEXES.contains(&media_type);
    let named = if index {
        list("manifests")
    } else {
        [vec![document["config"].clone()], list("layers")].concat()
    };
    let mut missing = Vec::new();
    for descriptor in named {
        let digest = descriptor["digest"].as_str().unwrap_or_default();
        let found = if index {
            let child = storage
                .repository(name)
                .and_then(|repository| repository.manifests.get(digest));
            child.map(|child| child.bytes.len())
        } else {
            storage.blob(name, digest).map(|blob| blob.len())
        };
        match found {
            None if descriptor.get("urls").is_some() => {}
            None => missing.push(json!({ "digest": digest })),
            Some(size) if descriptor["size"] == size => {}
            Some(size) => {
                let message = format!("{digest} has {size} bytes, not {}", descriptor["size"]);
                return Err(Refusal::new(400, "MANIFEST_INVALID", message));
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Refusal::all(
        400,
        "MANIFEST_BLOB_UNKNOWN",
        "the manifest names what is not in this repository",
        missing,
    ))
}

/// A client that sends no Accept header takes anything.
fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let values = || {
        headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|v| v.split(','))
    };
    let names = |range: &str| range == media_type || range == "*/*" || range == "application/*";
    values().next().is_none()
        || values().any(|value| names(value.split(';').next().unwrap_or_default().trim()))
}
