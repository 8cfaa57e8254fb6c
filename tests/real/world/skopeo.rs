//! skopeo, which judges what was published.

use std::path::Path;

use serde_json::Value;

use super::program::{output_of, program, run};

/// What is behind a reference, as it is.
pub fn raw(reference: &str) -> String {
    output_of(
        "skopeo",
        ["inspect", "--raw", "--tls-verify=false", reference],
    )
}

/// The configuration of one platform's image.
pub fn config(reference: &str, architecture: &str) -> Value {
    let choice = format!("--override-arch={architecture}");
    let text = output_of(
        "skopeo",
        [
            &choice,
            "inspect",
            "--config",
            "--tls-verify=false",
            reference,
        ],
    );
    serde_json::from_str(&text).unwrap()
}

/// Copies one platform's image to a folder, which checks all its digests; gives its manifest.
pub fn copy(reference: &str, architecture: &str, to: &Path) -> Value {
    let mut copy = program("skopeo");
    copy.arg(format!("--override-arch={architecture}"));
    copy.args([
        "copy",
        "--quiet",
        "--src-tls-verify=false",
        reference,
        &format!("dir:{}", to.display()),
    ]);
    run(&mut copy).succeeded();
    serde_json::from_slice(&std::fs::read(to.join("manifest.json")).unwrap()).unwrap()
}

/// The digest of what is behind a reference.
pub fn digest(reference: &str) -> String {
    let of_it = ["inspect", "--format={{.Digest}}", "--tls-verify=false"];
    output_of("skopeo", [&of_it[..], &[reference]].concat())
}
