//! Manifests, indexes, tags and referrers.

use nixpy_testkit::digest;
use nixpy_testkit::registry::Registry;
use serde_json::{Value, json};

use crate::client::{Answer, IMAGE, INDEX, ask, image};

fn put(registry: &Registry, reference: &str, media_type: &str, manifest: &Value) -> Answer {
    let line = format!("PUT /v2/acme/api/manifests/{reference}");
    ask(registry, &line)
        .header("Content-Type", media_type)
        .body(manifest.to_string())
        .send()
}

#[test]
fn a_manifest_comes_back_byte_for_byte_by_tag_and_by_digest() {
    let registry = Registry::start();
    let manifest = image(&registry, "acme/api", "layer");
    let stored = put(&registry, "v1", IMAGE, &manifest);
    let expected = digest(manifest.to_string().as_bytes());
    assert_eq!(
        (stored.status, stored.header("Docker-Content-Digest")),
        (201, expected.as_str())
    );
    for reference in ["v1", &expected] {
        let pulled = ask(
            &registry,
            &format!("GET /v2/acme/api/manifests/{reference}"),
        )
        .send();
        assert_eq!(pulled.body, manifest.to_string().into_bytes());
        assert_eq!(
            (
                pulled.header("Content-Type"),
                pulled.header("Docker-Content-Digest")
            ),
            (IMAGE, expected.as_str())
        );
        let head = ask(
            &registry,
            &format!("HEAD /v2/acme/api/manifests/{reference}"),
        )
        .send();
        assert_eq!(
            head.header("Content-Length"),
            manifest.to_string().len().to_string()
        );
    }
    assert_eq!(registry.manifest("acme/api", "v1"), Some(manifest));
    assert_eq!(registry.tag("acme/api", "v1"), Some(expected));
}

#[test]
fn all_blobs_that_are_missing_are_named() {
    let registry = Registry::start();
    let mut manifest = image(&registry, "acme/api", "layer");
    let absent =
        json!({ "mediaType": "application/octet-stream", "digest": digest(b"a"), "size": 1 });
    manifest["layers"] = json!([absent, { "digest": digest(b"b"), "size": 1 }]);
    let answer = put(&registry, "v1", IMAGE, &manifest);
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (400, "MANIFEST_BLOB_UNKNOWN")
    );
    assert_eq!(answer.json()["errors"][1]["detail"]["digest"], digest(b"b"));
    assert_eq!(registry.tags("acme/api"), [""; 0]);
}

#[test]
fn what_a_manifest_says_of_itself_must_be_true() {
    let registry = Registry::start();
    let manifest = image(&registry, "acme/api", "layer");
    let refused = |reference: &str, media_type: &str, manifest: &Value| {
        let answer = put(&registry, reference, media_type, manifest);
        assert_eq!(answer.status, 400);
        answer.code()
    };
    assert_eq!(refused("v1", INDEX, &manifest), "MANIFEST_INVALID");
    assert_eq!(
        refused("v1", "application/json", &manifest),
        "MANIFEST_INVALID"
    );
    assert_eq!(
        refused(&digest(b"other"), IMAGE, &manifest),
        "DIGEST_INVALID"
    );
    let mut wrong_size = manifest.clone();
    wrong_size["layers"][0]["size"] = json!(99);
    assert_eq!(refused("v1", IMAGE, &wrong_size), "MANIFEST_INVALID");
    assert_eq!(
        put(
            &registry,
            "v1",
            &format!("{IMAGE}; charset=utf-8"),
            &manifest
        )
        .status,
        201
    );
}

#[test]
fn an_index_needs_its_manifests() {
    let registry = Registry::start();
    let manifest = image(&registry, "acme/api", "layer");
    let bytes = manifest.to_string();
    let child =
        json!({ "mediaType": IMAGE, "digest": digest(bytes.as_bytes()), "size": bytes.len() });
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [child] });
    assert_eq!(
        put(&registry, "v1", INDEX, &index).code(),
        "MANIFEST_BLOB_UNKNOWN"
    );
    assert_eq!(
        put(&registry, &digest(bytes.as_bytes()), IMAGE, &manifest).status,
        201
    );
    assert_eq!(put(&registry, "v1", INDEX, &index).status, 201);
    let blind = ask(&registry, "GET /v2/acme/api/manifests/v1")
        .header("Accept", IMAGE)
        .send();
    assert_eq!(
        (blind.status, blind.code().as_str()),
        (404, "MANIFEST_UNKNOWN")
    );
    let accept = format!("{IMAGE}, {INDEX};q=0.9");
    assert_eq!(
        ask(&registry, "GET /v2/acme/api/manifests/v1")
            .header("Accept", &accept)
            .send()
            .status,
        200
    );
}

#[test]
fn a_tag_and_a_manifest_are_deleted_apart() {
    let registry = Registry::start();
    let manifest = image(&registry, "acme/api", "layer");
    let digest = registry.put_manifest("acme/api", "v1", &manifest);
    registry.put_manifest("acme/api", "v2", &manifest);
    assert_eq!(
        ask(&registry, "DELETE /v2/acme/api/manifests/v1")
            .send()
            .status,
        202
    );
    assert_eq!(registry.tags("acme/api"), ["v2"]);
    assert_eq!(
        ask(
            &registry,
            &format!("DELETE /v2/acme/api/manifests/{digest}")
        )
        .send()
        .status,
        202
    );
    assert_eq!(
        ask(&registry, "GET /v2/acme/api/manifests/v2")
            .send()
            .code(),
        "MANIFEST_UNKNOWN"
    );
}

#[test]
fn tags_are_listed_in_pages() {
    let registry = Registry::start();
    let manifest = image(&registry, "acme/api", "layer");
    for tag in ["c", "a", "b"] {
        registry.put_manifest("acme/api", tag, &manifest);
    }
    let page = ask(&registry, "GET /v2/acme/api/tags/list?n=2").send();
    assert_eq!(
        page.json(),
        json!({ "name": "acme/api", "tags": ["a", "b"] })
    );
    assert_eq!(
        page.header("Link"),
        "</v2/acme/api/tags/list?n=2&last=b>; rel=\"next\""
    );
    let rest = ask(&registry, "GET /v2/acme/api/tags/list?n=2&last=b").send();
    assert_eq!(
        (rest.json()["tags"].clone(), rest.header("Link")),
        (json!(["c"]), "")
    );
    assert_eq!(
        ask(&registry, "GET /v2/acme/none/tags/list").send().code(),
        "NAME_UNKNOWN"
    );
}

#[test]
fn referrers_are_found_by_their_subject() {
    let registry = Registry::start();
    let mut manifest = image(&registry, "acme/api", "signature");
    let subject = digest(b"an image that is not there yet");
    manifest["subject"] = json!({ "mediaType": IMAGE, "digest": subject, "size": 30 });
    manifest["artifactType"] = json!("application/vnd.example.sbom");
    assert_eq!(
        put(&registry, "sbom", IMAGE, &manifest).header("OCI-Subject"),
        subject
    );
    let find = |query: &str| {
        ask(
            &registry,
            &format!("GET /v2/acme/api/referrers/{subject}{query}"),
        )
        .send()
    };
    assert_eq!(
        find("").json()["manifests"][0]["artifactType"],
        "application/vnd.example.sbom"
    );
    let filtered = find("?artifactType=other");
    assert_eq!(filtered.json()["manifests"], json!([]));
    assert_eq!(filtered.header("OCI-Filters-Applied"), "artifactType");
}
