//! The double itself: what does not fit the description is seen.

use nixpy_testkit::github::{Github, TOKEN};

/// A request that no part of this project makes; the answer's status.
async fn raw(github: &Github, method: &str, path: &str, body: &str) -> u16 {
    let client = nixpy_oci::registry::http_client(std::time::Duration::from_secs(5)).unwrap();
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    let request = client.request(method, format!("{}{path}", github.api_url()));
    let request = request
        .header("authorization", format!("Bearer {TOKEN}"))
        .header("x-github-api-version", "2022-11-28")
        .body(body.to_owned());
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn what_does_not_fit_the_description_is_a_complaint() {
    let cases = [
        (
            "POST",
            "/repos/acme/api/check-runs",
            r#"{"name": 7, "head_sha": "abc"}"#,
            "/name: 7 is not of type",
        ),
        (
            "POST",
            "/repos/acme/api/check-runs",
            r#"{"head_sha": "abc"}"#,
            r#""name" is a required property"#,
        ),
        (
            "POST",
            "/repos/acme/api/issues/7/comments",
            r#"{"text": "x"}"#,
            "there is no field text",
        ),
        (
            "POST",
            "/repos/acme/api/issues/7/comments",
            "no json",
            "the body is no JSON",
        ),
        (
            "GET",
            "/repos/acme/api/issues/seven/comments",
            "",
            "is not of type \"integer\"",
        ),
        (
            "GET",
            "/repos/acme/api/pulls?head_ref=x",
            "",
            "there is no parameter head_ref",
        ),
        (
            "POST",
            "/repos/acme/api/releases/1/assets",
            "bytes",
            "name is missing",
        ),
        (
            "GET",
            "/repos/acme/api/mistakes",
            "",
            "there is no such operation",
        ),
    ];
    let github = Github::start();
    for (method, path, body, expected) in cases {
        raw(&github, method, path, body).await;
        let complaints = github.take_complaints();
        let found = complaints
            .iter()
            .any(|complaint| complaint.contains(expected));
        assert!(found, "{method} {path} {body}: {complaints:#?}");
    }
}

#[tokio::test]
async fn a_complaint_ends_the_test() {
    let github = Github::start();
    raw(&github, "PUT", "/repos/acme/api/mistakes", "").await;
    let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(github)));
    let told = dropped.unwrap_err();
    let told = told.downcast_ref::<String>().unwrap();
    assert!(
        told.contains("PUT /repos/acme/api/mistakes: there is no such operation"),
        "{told}"
    );
}
