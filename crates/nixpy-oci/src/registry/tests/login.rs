use nixpy_testkit::registry::{Auth, Bearer, Method, Registry as Double};

use super::{Credentials, Secret, anonymous, blob, client, manifest, story, user};
use crate::manifest::media_type;
use crate::registry::RemoteErrorKind;

#[tokio::test]
async fn a_run_logs_in_once_however_much_it_does() {
    let double = Double::builder().auth(Bearer::new("me", "secret")).start();
    let registry = client(&double, user("secret"));
    let (descriptor, content) = blob(1000);
    let tag = "v1".parse().unwrap();
    let (found, known) = tokio::join!(registry.resolve(&tag), registry.has_blob(descriptor.digest));
    assert!(found.unwrap().is_none() && !known.unwrap());
    registry.put_blob(&descriptor, &content).await.unwrap();
    let bytes = manifest(&descriptor);
    registry
        .put_manifest(media_type::MANIFEST, &bytes, None)
        .await
        .unwrap();
    registry
        .put_manifest(media_type::MANIFEST, &bytes, Some(&tag))
        .await
        .unwrap();
    assert_eq!(
        (double.count(Method::GET, "/token"), double.requests().len()),
        (1, 8)
    );
}

#[tokio::test]
async fn a_push_that_changes_nothing_costs_eight_requests() {
    let double = Double::builder().auth(Bearer::new("me", "secret")).start();
    let registry = client(&double, user("secret"));
    let (descriptor, content) = blob(10);
    registry.put_blob(&descriptor, &content).await.unwrap();
    let (one, index) = (manifest(&descriptor), "v1".parse().unwrap());
    let digest = crate::digest::Digest::of(&one);
    registry
        .put_manifest(media_type::MANIFEST, &one, Some(&index))
        .await
        .unwrap();

    double.reset_counts();
    let registry = client(&double, user("secret"));
    registry.resolve(&index).await.unwrap().unwrap();
    for _platform in 0..2 {
        registry.manifest(digest).await.unwrap().unwrap();
        registry
            .put_manifest(media_type::MANIFEST, &one, None)
            .await
            .unwrap();
    }
    registry
        .put_manifest(media_type::MANIFEST, &one, Some(&index))
        .await
        .unwrap();
    assert_eq!(story(&double).len(), 8, "{:?}", story(&double));
}

#[tokio::test]
async fn a_token_that_runs_out_is_replaced_in_the_middle() {
    let double = Double::builder()
        .auth(Bearer::new("me", "secret").token_uses(3))
        .start();
    let registry = client(&double, user("secret"));
    for size in [1000, 2000, 3_000_000, 4000] {
        let (descriptor, content) = blob(size);
        registry.put_blob(&descriptor, &content).await.unwrap();
    }
    assert_eq!(double.count(Method::GET, "/token"), 3);
}

#[tokio::test]
async fn a_registry_that_takes_passwords_itself_gets_them() {
    let double = Double::builder().auth(Auth::basic("me", "secret")).start();
    let (descriptor, content) = blob(1000);
    client(&double, user("secret"))
        .put_blob(&descriptor, &content)
        .await
        .unwrap();
    assert_eq!(story(&double), ["GET v2", "POST upload", "PUT upload"]);
}

#[tokio::test]
async fn a_wrong_password_is_an_error_at_the_first_word() {
    for auth in [
        Auth::basic("me", "secret"),
        Auth::from(Bearer::new("me", "secret")),
    ] {
        let double = Double::builder().auth(auth).start();
        let error = client(&double, user("wrong"))
            .resolve(&"v1".parse().unwrap())
            .await
            .unwrap_err();
        assert_eq!(
            *error.kind(),
            RemoteErrorKind::Unauthenticated { anonymous: false }
        );
        assert!(
            error.to_string().contains("refused the credentials (401)"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_token_that_is_given_goes_to_the_registry_as_it_is() {
    let double = Double::builder().auth(Bearer::new("me", "secret")).start();
    let token = Credentials::Bearer(Secret::new("not-one-of-yours"));
    let error = client(&double, token)
        .resolve(&"v1".parse().unwrap())
        .await
        .unwrap_err();
    assert_eq!(
        *error.kind(),
        RemoteErrorKind::Unauthenticated { anonymous: false }
    );
    assert_eq!(story(&double), ["GET manifests"]);
    assert_eq!(
        double.requests()[0].headers["authorization"],
        "Bearer not-one-of-yours"
    );
}

#[tokio::test]
async fn who_may_only_read_is_told_when_writing() {
    let double = Double::builder()
        .auth(Bearer::new("me", "secret").pull_only())
        .start();
    let registry = client(&double, user("secret"));
    let (descriptor, content) = blob(10);
    assert!(!registry.has_blob(descriptor.digest).await.unwrap());
    let error = registry.put_blob(&descriptor, &content).await.unwrap_err();
    assert!(
        matches!(error.kind(), RemoteErrorKind::Denied(_)),
        "{error}"
    );
}

#[tokio::test]
async fn nobody_may_read_what_is_public() {
    let double = Double::builder()
        .auth(Bearer::new("me", "secret").anonymous_pull())
        .start();
    assert!(
        anonymous(&double)
            .resolve(&"v1".parse().unwrap())
            .await
            .unwrap()
            .is_none()
    );
}
