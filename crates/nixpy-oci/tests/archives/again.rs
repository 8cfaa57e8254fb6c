//! Publishing again, under other circumstances.

use nixpy_oci::compress::Compression;
use nixpy_oci::image::How;
use nixpy_testkit::archive::DockerArchive;

use crate::bytes::many_layers;
use crate::place::{Place, promptly};

#[test]
fn what_was_published_before_changes_no_byte() {
    let text = "some text that levels compress otherwise, again and again. ";
    let text: String = (0..20_000)
        .map(|n: u32| format!("{text}{}", n * n % 977))
        .collect();
    let archive = DockerArchive::of("api:latest")
        .layer(&[("text", text.as_bytes())])
        .layer(&[("small", b"small")])
        .build();
    promptly(move || async move {
        for history in [
            [Compression::Gzip(1), Compression::Gzip(12)].as_slice(),
            &[Compression::Zstd(1), Compression::Zstd(12)],
            &[
                Compression::Gzip(6),
                Compression::Zstd(3),
                Compression::Gzip(6),
            ],
            &[
                Compression::Gzip(6),
                Compression::Gzip(1),
                Compression::Gzip(6),
            ],
        ] {
            let mut place = Place::layout();
            let mut last = None;
            for compression in history {
                place.options.compression = *compression;
                last = Some(place.publish(&archive).await.unwrap().manifest);
            }
            let fresh = Place::layout().compressing(*history.last().unwrap());
            let fresh = fresh.publish(&archive).await.unwrap();
            assert_eq!(last.unwrap(), fresh.manifest, "{history:?}");
        }
    });
}

#[test]
fn a_manifest_is_the_same_whether_its_layers_were_known_or_made() {
    let (short, long) = (many_layers(2).build(), many_layers(3).build());
    promptly(move || async move {
        let (grown, fresh) = (Place::layout(), Place::layout());
        grown.publish(&short).await.unwrap();
        let grown = grown.publish(&long).await.unwrap();
        assert_eq!(grown.layers[0].how, How::Described);
        let fresh = fresh.publish(&long).await.unwrap();
        assert_eq!(fresh.layers[0].how, How::Sent);
        assert_eq!(grown.manifest, fresh.manifest);
    });
}
