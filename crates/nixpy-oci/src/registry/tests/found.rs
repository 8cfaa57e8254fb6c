//! What there is in a repository, blobs read piece by piece, and what is taken away.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use nixpy_testkit::registry::{Bearer, Fault, Method, Registry as Double};

use super::{NAME, anonymous, blob, client, digest_of, manifest, user};
use crate::digest::Digest;
use crate::registry::{Registry, RemoteErrorKind};

/// A registry with one manifest under each of these tags.
fn tagged(double: &Double, tags: impl IntoIterator<Item = String>) -> Digest {
    let (config, content) = blob(10);
    double.put_blob(NAME, content.read(0, 10).unwrap());
    let bytes = manifest(&config);
    for tag in tags {
        double.put_manifest(NAME, &tag, &serde_json::from_slice(&bytes).unwrap());
    }
    let first = double.tags(NAME).remove(0);
    double.tag(NAME, &first).unwrap().parse().unwrap()
}

/// A blob of so many bytes, in the registry.
fn stored(double: &Double, size: usize) -> (Digest, Vec<u8>) {
    let (descriptor, content) = blob(size);
    let bytes = content.read(0, size).unwrap().to_vec();
    double.put_blob(NAME, bytes.clone());
    (descriptor.digest, bytes)
}

async fn read(
    registry: &Registry,
    digest: Digest,
    range: Option<std::ops::Range<u64>>,
) -> Result<Vec<u8>, super::super::RemoteError> {
    let reading = registry.read_blob(digest, range).await?.unwrap();
    let pieces: Vec<_> = reading.bytes.try_collect().await?;
    Ok(pieces.concat())
}

#[tokio::test]
async fn all_tags_are_listed_whatever_fits_on_a_page() {
    let double = Double::start();
    assert!(anonymous(&double).tags().await.unwrap().is_empty());
    tagged(&double, (0..2_345).map(|number| format!("t-{number}")));
    double.reset_counts();
    let tags = anonymous(&double).tags().await.unwrap();
    assert_eq!(tags.len(), 2_345);
    assert_eq!(double.count(Method::GET, "/tags/list"), 3);
}

#[tokio::test]
async fn a_blob_is_read_whole_or_in_part() {
    let double = Double::start();
    let (digest, bytes) = stored(&double, 700_000);
    let registry = anonymous(&double);
    assert!(read(&registry, digest, None).await.unwrap() == bytes);
    for range in [0..1, 5..600_000, 699_999..700_000, 699_990..800_000] {
        let part = read(&registry, digest, Some(range.clone())).await.unwrap();
        let end = usize::try_from(range.end).unwrap().min(bytes.len());
        assert!(
            part == bytes[usize::try_from(range.start).unwrap()..end],
            "{range:?}"
        );
    }
    let size = registry
        .read_blob(digest, Some(7..9))
        .await
        .unwrap()
        .unwrap()
        .size;
    assert_eq!(size, 700_000);
    let absent = registry.read_blob(digest_of("x"), None).await.unwrap();
    assert!(absent.is_none());
}

#[tokio::test]
async fn a_blob_whose_connection_breaks_is_taken_up_there() {
    let double = Double::start();
    let (digest, bytes) = stored(&double, 700_000);
    let registry = anonymous(&double);
    double.fail(
        Fault::cut_after(300_000)
            .on(Method::GET, "/blobs/")
            .times(2),
    );
    assert!(read(&registry, digest, None).await.unwrap() == bytes);
    let ranges = double.requests().into_iter();
    let ranges = ranges.filter(|it| it.headers.contains_key("range")).count();
    assert_eq!(ranges, 2);
    double.fail(Fault::cut_after(1_000).on(Method::GET, "/blobs/").always());
    let error = read(&registry, digest, None).await.unwrap_err();
    assert_eq!(*error.kind(), RemoteErrorKind::Broken);
    assert!(error.to_string().contains("read the blob"), "{error}");
}

#[tokio::test]
async fn a_blob_that_stands_still_is_given_up() {
    let double = Double::start();
    let (digest, _) = stored(&double, 100);
    double.fail(
        Fault::hang(Duration::from_secs(30))
            .on(Method::GET, "/blobs/")
            .always(),
    );
    let error = anonymous(&double)
        .read_blob(digest, None)
        .await
        .unwrap_err();
    assert_eq!(*error.kind(), RemoteErrorKind::Timeout);
}

#[tokio::test]
async fn a_manifest_is_taken_away_with_its_tags() {
    let double = Double::start();
    let digest = tagged(&double, ["one".to_owned(), "two".to_owned()]);
    let registry = anonymous(&double);
    assert!(registry.delete_manifest(digest).await.unwrap());
    assert!(registry.tags().await.unwrap().is_empty());
    assert!(!registry.delete_manifest(digest).await.unwrap());
    double.fail(Fault::status(405).on(Method::DELETE, "/manifests/"));
    let error = registry.delete_manifest(digest).await.unwrap_err();
    assert!(matches!(
        error.kind(),
        RemoteErrorKind::Refused { status: 405, .. }
    ));
}

#[tokio::test]
async fn a_token_for_deleting_is_asked_for_when_something_is_deleted() {
    let double = Double::builder().auth(Bearer::new("me", "secret")).start();
    let digest = tagged(&double, ["one".to_owned()]);
    let registry = client(&double, user("secret"));
    registry.tags().await.unwrap();
    assert!(registry.delete_manifest(digest).await.unwrap());
    let requests = double.requests().into_iter();
    let scopes: Vec<bool> = requests
        .filter(|it| it.path == "/token")
        .map(|it| it.query.contains("delete"))
        .collect();
    assert_eq!(scopes, [false, true]);
}
