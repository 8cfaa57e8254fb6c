//! Identities of images: equal for what gives equal bytes, and for nothing else.

use nixpy_oci::compress::Compression;
use nixpy_oci::contents::Content;
use nixpy_oci::image::{Body, Config, ConfigTemplate, Image};
use nixpy_oci::layer::{Entry, Identity, Layer, Source};
use nixpy_oci::manifest::Annotations;
use nixpy_oci::platform::Platform;
use nixpy_oci::tarball::Stamp;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use crate::cases;

/// What decides about an image's bytes.
#[derive(Clone, Debug, PartialEq)]
struct Made {
    /// Content and comment.
    layers: Vec<(String, String)>,
    env: Vec<String>,
    architecture: String,
    annotations: Annotations,
    level: u8,
}

fn made() -> impl Strategy<Value = Made> {
    // Few letters, so that two are often nearly the same.
    let text = "[ab\",]{0,3}";
    let layers = vec((text, text), 0..4);
    let annotations = prop::collection::btree_map(text, text, 0..2);
    let rest = (vec(text, 0..3), "a(md|rm)64", annotations, 1..3_u8);
    (layers, rest).prop_map(|(layers, (env, architecture, annotations, level))| Made {
        layers,
        env,
        architecture,
        annotations,
        level,
    })
}

fn layer((content, comment): &(String, String)) -> Layer {
    Layer {
        identity: Identity::of("test/1", content),
        source: Source::Entries {
            entries: vec![Entry::File("f".to_owned(), 0o644, content.clone())],
            stamp: Stamp::root(),
        },
        size_hint: 0,
        stated_diff_id: None,
        comment: comment.clone(),
        contents: Vec::<Content>::new(),
    }
}

fn identity(made: &Made) -> Identity {
    let platform = Platform::linux(&made.architecture);
    let image = Image {
        body: Body::Layers {
            base: None,
            layers: made.layers.iter().map(layer).collect(),
            config: Config::Template(ConfigTemplate {
                created: "1970-01-01T00:00:01Z".to_owned(),
                platform: platform.clone(),
                config: json!({ "Env": made.env }),
            }),
        },
        platform,
        annotations: made.annotations.clone(),
    };
    image.identity(Compression::Gzip(made.level))
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn two_images_have_one_identity_only_if_they_are_the_same(one in made(), other in made()) {
        prop_assert_eq!(identity(&one) == identity(&other), one == other);
        prop_assert_eq!(identity(&one.clone()), identity(&one));
    }

    #[test]
    fn the_order_of_layers_counts(made in made(), from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>()) {
        prop_assume!(!made.layers.is_empty());
        let mut permuted = made.clone();
        let count = made.layers.len();
        permuted.layers.swap(from.index(count), to.index(count));
        prop_assert_eq!(identity(&permuted) == identity(&made), permuted == made);
    }
}
