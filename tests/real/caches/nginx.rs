//! nginx, which takes what is PUT by whoever has the password.

use super::{Reader, Signed};
use crate::world::closure::noise_of;
use crate::world::nginx::Nginx;
use nixpy_cache::{CacheErrorKind, Store as _};
use tokio::runtime::Runtime;

const PASS: &str = "me:a-password";

#[test]
fn nix_takes_from_nginx_what_was_put_there() {
    let server = Nginx::that_wants("me", "a-password");
    let signed = Signed::chain(&[3 << 20, 100, 100_000]);
    let put = signed.push(server.url(), Some(PASS));
    assert_eq!(put.stored.len(), 3);
    assert!(put.sent > noise_of(&signed.paths[0]).len() as u64);
    assert!(signed.push(server.url(), Some(PASS)).stored.is_empty());

    let reader = Reader::that_trusts(&signed.key);
    reader.takes(server.url(), &signed).succeeded();
    reader.has(&signed);
}

#[test]
fn a_wrong_password_is_refused_by_nginx_and_told() {
    let server = Nginx::that_wants("me", "a-password");
    let signed = Signed::chain(&[100]);
    for pass in [None, Some("me:another")] {
        let cache = signed.cache(server.url(), pass);
        let put = Runtime::new().unwrap().block_on(cache.put(&signed.paths));
        let (_, error) = &put.failed[0];
        assert!(
            matches!(error.kind, CacheErrorKind::Refused { .. }),
            "{error}"
        );
        assert!(error.cure().unwrap().contains("NIXPY_CACHE_TOKEN"));
        assert!(!error.to_string().contains("another"), "{error}");
    }
    assert_eq!(crate::world::nixpy::names_in(&server.files()), [""; 0]);
}
