//! Image layouts: tars, and documents one a line, whose digests are put in by the
//! target (`@N` and `#N` name a later line).

use nixpy_testkit::archive::{DockerArchive, layer_tar};

use crate::Seeds;
use crate::archives::{gzip, packed, xz};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const DOCKER: &str = "application/vnd.docker";

pub fn seeds() -> Seeds {
    let image = DockerArchive::of("api:1").layer(&[("a", b"a")]);
    let files = image.layout();
    let files: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
        .collect();
    let tar = packed(&files);
    vec![
        ("gzip", gzip(&tar)),
        ("xz", xz(&tar)),
        ("zstd", zstd::encode_all(tar.as_slice(), 3).unwrap()),
        ("twice", packed(&[files.clone(), files].concat())),
        ("tar", tar),
        ("no-layout", layer_tar(&[("oci-layout", b"{}"), ("x", b"")])),
        ("skopeo", skopeo()),
        ("two-platforms", two_platforms()),
        ("nested", nested()),
        ("docker", docker()),
        ("attested", attested()),
    ]
}

fn descriptor(kind: &str, line: usize, rest: &str) -> String {
    format!(r#"{{"mediaType":"{kind}","digest":"@{line}","size":#{line}{rest}}}"#)
}

fn manifest(config: (&str, usize), layers: &[(&str, usize)], rest: &str) -> String {
    let layers: Vec<String> = layers
        .iter()
        .map(|(kind, line)| descriptor(kind, *line, ""))
        .collect();
    let config = descriptor(config.0, config.1, "");
    format!(
        r#"{{"schemaVersion":2,"config":{config},"layers":[{}]{rest}}}"#,
        layers.join(",")
    )
}

fn index(entries: &[String]) -> String {
    format!(
        r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
        entries.join(",")
    )
}

fn config(architecture: &str, diff_ids: &[usize]) -> String {
    let diff_ids: Vec<String> = diff_ids.iter().map(|line| format!("\"@{line}\"")).collect();
    format!(
        r#"{{"architecture":"{architecture}","os":"linux","rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
        diff_ids.join(",")
    )
}

fn lines(lines: &[String]) -> Vec<u8> {
    lines.join("\n").into_bytes()
}

fn skopeo() -> Vec<u8> {
    lines(&[
        index(&[descriptor(
            MANIFEST,
            1,
            r#","annotations":{"org.opencontainers.image.ref.name":"x"}"#,
        )]),
        manifest(
            (CONFIG, 2),
            &[(LAYER, 3), (&format!("{LAYER}+gzip"), 4)],
            r#","annotations":{"a":"b","dev.nixpy-ci.identity":"x"}"#,
        ),
        config("amd64", &[3, 4]),
        "a layer".to_owned(),
        "another layer".to_owned(),
    ])
}

fn two_platforms() -> Vec<u8> {
    let of = |line, architecture: &str| {
        let platform = format!(r#","platform":{{"architecture":"{architecture}","os":"linux"}}"#);
        descriptor(MANIFEST, line, &platform)
    };
    lines(&[
        index(&[of(1, "amd64"), of(2, "arm64")]),
        manifest((CONFIG, 3), &[(LAYER, 5)], ""),
        manifest((CONFIG, 4), &[(LAYER, 5)], ""),
        config("amd64", &[5]),
        config("arm64", &[5]),
        "a layer".to_owned(),
    ])
}

fn nested() -> Vec<u8> {
    lines(&[
        index(&[descriptor(INDEX, 1, ""), descriptor(INDEX, 1, "")]),
        index(&[descriptor(MANIFEST, 2, "")]),
        manifest((CONFIG, 3), &[], ""),
        config("riscv64", &[]),
    ])
}

fn docker() -> Vec<u8> {
    lines(&[
        index(&[descriptor(
            &format!("{DOCKER}.distribution.manifest.v2+json"),
            1,
            "",
        )]),
        manifest(
            (&format!("{DOCKER}.container.image.v1+json"), 2),
            &[(&format!("{DOCKER}.image.rootfs.diff.tar.gzip"), 3)],
            "",
        ),
        config("amd64", &[3]),
        "a layer".to_owned(),
    ])
}

/// As buildkit writes it: what is beside the image says that it is none.
fn attested() -> Vec<u8> {
    lines(&[
        index(&[
            descriptor(
                MANIFEST,
                1,
                r#","platform":{"architecture":"unknown","os":"unknown"}"#,
            ),
            descriptor(MANIFEST, 1, r#","artifactType":"application/x""#),
            descriptor(MANIFEST, 2, r#","platform":null"#),
        ]),
        manifest(("application/vnd.in-toto+json", 3), &[], ""),
        manifest(
            (CONFIG, 4),
            &[(&format!("{LAYER}+zstd"), 3)],
            r#","annotations":null"#,
        ),
        "{}".to_owned(),
        config("amd64", &[3]),
    ])
}
