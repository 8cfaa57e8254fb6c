//! What is written for later runs, and read by them.

use std::time::{Duration, SystemTime};

use nixpy_oci::contents::{Content, read, written};
use nixpy_oci::layer::Identity;
use nixpy_oci::ledger::{Ledger, identity};
use nixpy_oci::manifest::{
    Annotations, Descriptor, Index, Manifest, annotation, media_type, to_bytes,
};
use nixpy_oci::name::Repository;
use nixpy_oci::platform::Platform;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use crate::cases;

fn descriptor() -> impl Strategy<Value = Descriptor> {
    let annotations = btree_map(".{0,4}", ".{0,8}", 0..3);
    let platform = prop::option::of("[a-z0-9]{1,6}");
    (any::<u64>(), any::<u8>(), annotations, platform).prop_map(
        |(size, content, annotations, platform)| Descriptor {
            size,
            annotations,
            platform: platform.map(|architecture| Platform::linux(&architecture)),
            ..Descriptor::of(media_type::LAYER_ZSTD, &[content])
        },
    )
}

/// With an identity: one of few, so that some are noted again.
fn layer() -> impl Strategy<Value = Descriptor> {
    (0..12_u8).prop_map(|n| {
        let identity = Identity::of("test/1", &n).to_string();
        Descriptor {
            annotations: Annotations::from([(annotation::IDENTITY.to_owned(), identity)]),
            ..Descriptor::of(media_type::LAYER_GZIP, &[n])
        }
    })
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn contents_are_read_as_they_were_written(named in vec((".{0,12}", any::<u64>()), 0..8)) {
        let contents: Vec<Content> = named
            .into_iter()
            .map(|(name, size)| Content { name, size })
            .collect();
        let mut kept = contents.clone();
        kept.retain(|content| !content.name.is_empty() && !content.name.contains(char::is_whitespace));
        prop_assert_eq!(read(&written(&contents)), kept);
    }

    #[test]
    fn documents_are_read_as_they_were_written(
        config in descriptor(), layers in vec(descriptor(), 0..4), annotations in btree_map(".{0,4}", ".{0,8}", 0..3),
    ) {
        let manifest = Manifest::new(config, layers.clone(), annotations.clone());
        prop_assert_eq!(&serde_json::from_slice::<Manifest>(&to_bytes(&manifest)).unwrap(), &manifest);
        let mut backwards = layers.clone();
        backwards.reverse();
        let index = Index::new(layers, annotations.clone());
        prop_assert_eq!(&serde_json::from_slice::<Index>(&to_bytes(&index)).unwrap(), &index);
        let digests = |index: &Index| -> Vec<_> { index.manifests.iter().map(|m| (m.platform.clone(), m.digest)).collect() };
        prop_assert_eq!(digests(&Index::new(backwards, annotations)), digests(&index));
    }
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn the_ledger_has_every_layer_once_the_latest_first(
        runs in vec((any::<bool>(), vec(layer(), 0..6)), 1..6),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let names: [Repository; 2] = ["ghcr.io/acme/api", "ghcr.io/acme/web"].map(|name| name.parse().unwrap());
        let mut expected: [Vec<String>; 2] = Default::default();
        for (at, (web, layers)) in runs.iter().enumerate() {
            let which = usize::from(*web);
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(at as u64);
            Ledger::note(dir.path(), &names[which], layers, now).unwrap();
            let new = layers.iter().filter_map(identity).map(str::to_owned);
            let mut seen = std::collections::BTreeSet::new();
            expected[which] = new.chain(expected[which].clone()).filter(|name| seen.insert(name.clone())).collect();
        }
        let ledger = Ledger::read(dir.path());
        for (name, expected) in names.iter().zip(&expected) {
            let known: Vec<&str> = ledger.of(name).filter_map(identity).collect();
            prop_assert_eq!(&known, expected);
        }
        let beside: Vec<&str> = ledger.beside(&names[0]).filter_map(|(_, layer)| identity(layer)).collect();
        prop_assert_eq!(&beside, &expected[1]);
    }
}
