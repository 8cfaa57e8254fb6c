//! The lists that are made from manifests: tags and referrers.

use axum::body::Body;
use axum::http::Response;
use serde_json::{Value, json};

use super::manifests::INDEXES;
use super::query::Query;
use super::refusal::Refusal;
use super::respond;
use super::storage::{Storage, StoredManifest};

/// `GET /v2/<name>/tags/list`
pub(super) fn tags(
    storage: &Storage,
    query: &Query,
    name: &str,
) -> Result<Response<Body>, Refusal> {
    let unknown = || {
        Refusal::new(
            404,
            "NAME_UNKNOWN",
            format!("repository {name} is not known here"),
        )
    };
    let all = &storage.repository(name).ok_or_else(unknown)?.tags;
    let last = query.get("last").unwrap_or_default();
    let rest: Vec<&String> = all
        .keys()
        .filter(|tag| last.is_empty() || tag.as_str() > last)
        .collect();
    let wanted = query
        .get("n")
        .and_then(|n| n.parse().ok())
        .unwrap_or(usize::MAX);
    let page = &rest[..rest.len().min(wanted)];
    let mut response = respond::json(&json!({ "name": name, "tags": page }));
    if let (Some(end), true) = (page.last(), page.len() < rest.len()) {
        let link = format!("</v2/{name}/tags/list?n={wanted}&last={end}>; rel=\"next\"");
        response.headers_mut().insert("link", link.parse().unwrap());
    }
    Ok(response)
}

/// `GET /v2/<name>/referrers/<digest>`
pub(super) fn referrers(
    storage: &Storage,
    query: &Query,
    name: &str,
    subject: &str,
) -> Response<Body> {
    let manifests = storage
        .repository(name)
        .into_iter()
        .flat_map(|repository| &repository.manifests);
    let filter = query.get("artifactType");
    let found: Vec<Value> = manifests
        .filter_map(|(digest, stored)| refers(digest, stored, subject))
        .filter(|descriptor| filter.is_none_or(|wanted| descriptor["artifactType"] == wanted))
        .collect();
    let index =
        json!({ "schemaVersion": 2, "mediaType": INDEXES[0], "manifests": found }).to_string();
    let mut about = vec![("content-type", INDEXES[0])];
    if filter.is_some() {
        about.push(("oci-filters-applied", "artifactType"));
    }
    respond::body(200, &about, index.into())
}

fn refers(digest: &str, stored: &StoredManifest, subject: &str) -> Option<Value> {
    let document: Value = serde_json::from_slice(&stored.bytes).ok()?;
    if document["subject"]["digest"] != subject {
        return None;
    }
    let mut descriptor =
        json!({ "mediaType": stored.media_type, "digest": digest, "size": stored.bytes.len() });
    let artifact = document
        .get("artifactType")
        .or_else(|| document["config"].get("mediaType"));
    for (name, value) in [
        ("artifactType", artifact),
        ("annotations", document.get("annotations")),
    ] {
        if let Some(value) = value {
            descriptor[name] = value.clone();
        }
    }
    Some(descriptor)
}
