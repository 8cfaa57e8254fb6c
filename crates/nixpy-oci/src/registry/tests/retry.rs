use std::time::{Duration, Instant};

use nixpy_testkit::registry::{Bearer, Fault, Method, Registry as Double};

use super::{anonymous, blob, client, options, user};
use crate::registry::{Credentials, Registry, RemoteErrorKind};

#[tokio::test]
async fn answers_that_mean_not_now_are_not_the_last_word() {
    for status in [408, 429, 500, 502, 503, 504] {
        let double = Double::start();
        double.fail(
            Fault::status(status)
                .on(Method::GET, "/manifests/")
                .times(2),
        );
        assert!(
            anonymous(&double)
                .resolve(&"v1".parse().unwrap())
                .await
                .unwrap()
                .is_none()
        );
        assert_eq!(double.count(Method::GET, "/manifests/"), 3, "{status}");
    }
}

#[tokio::test]
async fn answers_that_mean_no_are() {
    for status in [400, 403, 405] {
        let double = Double::start();
        double.fail(Fault::status(status).on(Method::GET, "/manifests/"));
        let error = anonymous(&double)
            .resolve(&"v1".parse().unwrap())
            .await
            .unwrap_err();
        assert!(!error.is_transient(), "{error}");
        assert_eq!(double.count(Method::GET, "/manifests/"), 1, "{status}");
    }
}

#[tokio::test]
async fn the_end_of_patience_is_an_error_that_may_pass() {
    let double = Double::start();
    double.fail(Fault::status(503).on(Method::GET, "/manifests/").always());
    let error = anonymous(&double)
        .resolve(&"v1".parse().unwrap())
        .await
        .unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert_eq!(double.count(Method::GET, "/manifests/"), 5);
}

#[tokio::test]
async fn a_registry_that_asks_for_time_is_left_alone_by_everybody() {
    let double = Double::start();
    double.fail(
        Fault::status(429)
            .on(Method::POST, "/blobs/uploads/")
            .retry_after(1),
    );
    let registry = anonymous(&double);
    let (descriptor, content) = blob(10);
    let begun = Instant::now();
    registry.put_blob(&descriptor, &content).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn a_registry_that_asks_for_an_hour_is_given_up_and_quoted() {
    let double = Double::start();
    double.fail(
        Fault::status(429)
            .on(Method::GET, "/manifests/")
            .retry_after(3600)
            .always(),
    );
    let error = anonymous(&double)
        .resolve(&"v1".parse().unwrap())
        .await
        .unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
    assert!(error.to_string().contains("asks to wait 3600 s"), "{error}");
    assert_eq!(double.count(Method::GET, "/manifests/"), 1);
}

#[tokio::test]
async fn what_stands_still_is_repeated_as_often_as_that_is_allowed() {
    let double = Double::start();
    double.fail(
        Fault::hang(Duration::from_secs(60))
            .on(Method::GET, "/tags/list")
            .always(),
    );
    let repository = format!("{}/acme/api", double.host()).parse().unwrap();
    let options = crate::registry::RegistryOptions {
        retries: 4,
        stalls: 1,
        ..options()
    };
    let registry = Registry::new(repository, Credentials::Anonymous, options).unwrap();
    let error = registry.tags().await.unwrap_err();
    assert_eq!(*error.kind(), RemoteErrorKind::Timeout);
    assert_eq!(double.count(Method::GET, "/tags/list"), 2);
}

#[tokio::test]
async fn an_upload_that_stands_still_is_begun_again() {
    let double = Double::start();
    double.fail(Fault::hang(Duration::from_secs(60)).on(Method::PUT, "/blobs/uploads/"));
    let (descriptor, content) = blob(1 << 20);
    let begun = Instant::now();
    anonymous(&double)
        .put_blob(&descriptor, &content)
        .await
        .unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_token_service_may_fail_in_passing_too() {
    let double = Double::builder().auth(Bearer::new("me", "secret")).start();
    double.fail(Fault::status(503).on(Method::GET, "/token").times(2));
    assert!(
        client(&double, user("secret"))
            .resolve(&"v1".parse().unwrap())
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_registry_that_comes_back_is_found_again() {
    let double = Double::start();
    let repository = format!("{}/acme/api", double.host()).parse().unwrap();
    // Some twenty seconds, where it is away for a moment.
    let options = crate::registry::RegistryOptions {
        retries: 12,
        ..options()
    };
    let registry = Registry::new(repository, Credentials::Anonymous, options).unwrap();
    registry.resolve(&"v1".parse().unwrap()).await.unwrap();
    double.stop();
    let later = tokio::task::spawn_blocking(move || {
        std::thread::sleep(Duration::from_millis(30));
        double.restart();
        double
    });
    assert!(
        registry
            .resolve(&"v1".parse().unwrap())
            .await
            .unwrap()
            .is_none()
    );
    later.await.unwrap();
}

#[tokio::test]
async fn nobody_at_the_address_and_no_address_are_told_apart() {
    let double = Double::start();
    let repository = format!("{}/acme/api", double.host()).parse().unwrap();
    double.stop();
    // Nobody is asked for that name: it never is one.
    let no_address = "registry.invalid/acme/api".parse().unwrap();
    for (repository, kind) in [
        (repository, RemoteErrorKind::Unreachable),
        (no_address, RemoteErrorKind::UnknownHost),
    ] {
        let options = crate::registry::RegistryOptions {
            retries: 1,
            ..options()
        };
        let registry = Registry::new(repository, Credentials::Anonymous, options).unwrap();
        let error = registry.resolve(&"v1".parse().unwrap()).await.unwrap_err();
        assert_eq!(*error.kind(), kind, "{error}");
    }
}
