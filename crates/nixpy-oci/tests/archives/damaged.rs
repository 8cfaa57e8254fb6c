//! Archives with one wrong byte, or with too few.

use nixpy_oci::digest::Digest;
use nixpy_testkit::archive::DockerArchive;
use nixpy_testkit::archive::layer_tar;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::Config;

use crate::bytes::gzip;
use crate::place::{Place, promptly};

fn tars() -> [Vec<u8>; 2] {
    [b"one", b"two"].map(|content| layer_tar(&[("file", content)]))
}

fn whole(packed: bool) -> Vec<u8> {
    let built = tars().into_iter();
    let built = built.fold(DockerArchive::of("api:1"), DockerArchive::layer_bytes);
    match packed {
        true => gzip(&built.build()),
        false => built.build(),
    }
}

/// It is refused, and nothing is tagged; or the layers are those that went in.
fn is_refused_or_sound(archive: Vec<u8>) {
    let (outcome, tagged) = promptly(move || async move {
        let place = Place::layout();
        let outcome = place.publish(&archive).await;
        (outcome, place.is_tagged())
    });
    match outcome {
        Err(_) => assert!(!tagged),
        Ok(pushed) => {
            let found: Vec<Digest> = pushed.layers.iter().map(|layer| layer.diff_id).collect();
            assert_eq!(found, tars().map(|tar| Digest::of(&tar)));
        }
    }
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::with_cases(96) })]

    #[test]
    fn one_wrong_byte_is_refused_or_changes_no_layer(packed in any::<bool>(), at in any::<Index>(), wrong in 1..=u8::MAX) {
        let mut archive = whole(packed);
        let at = at.index(archive.len());
        archive[at] ^= wrong;
        is_refused_or_sound(archive);
    }

    #[test]
    fn an_archive_cut_anywhere_is_refused_or_whole(packed in any::<bool>(), at in any::<Index>()) {
        let mut archive = whole(packed);
        archive.truncate(at.index(archive.len()));
        is_refused_or_sound(archive);
    }
}
