//! What runs have left behind, of ours and of others; and lock files.

use serde_json::{Value, json};

use crate::Seeds;

fn digest(n: u8) -> String {
    format!("sha256:{}", format!("{n:02x}").repeat(32))
}

fn layer(n: u8) -> Value {
    json!({
        "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest(n), "size": 7,
        "annotations": {
            "dev.nixpy-ci.identity": digest(n + 100), "dev.nixpy-ci.diff-id": digest(n + 50),
            "dev.nixpy-ci.contents": "0-a=1 0-b=2",
        },
    })
}

pub fn records() -> Seeds {
    let config = json!({ "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(9), "size": 2 });
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config, "layers": [layer(1), layer(2), layer(1)],
        "annotations": { "dev.nixpy-ci.identity": digest(3) },
    });
    let entry = |architecture: &str, n: u8| {
        json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(n), "size": 5,
            "platform": { "architecture": architecture, "os": "linux", "variant": "v8" },
        })
    };
    let index = json!({ "schemaVersion": 2, "manifests": [entry("arm64", 1), entry("amd64", 2)] });
    let ledger = json!({ "version": 1, "repositories": {
        "ghcr.io/acme/api": { "at": 1_700_000_000, "layers": [layer(1), layer(2)] },
        "registry.example/fuzz/noted": { "at": 7, "layers": [layer(3)] },
    } });
    let docker = json!({ "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "config": config, "layers": [] });
    vec![
        ("manifest", manifest.to_string().into()),
        ("index", index.to_string().into()),
        ("ledger", ledger.to_string().into()),
        ("docker", docker.to_string().into()),
        (
            "contents",
            b"abc-python3-3.11=5 d=e=18446744073709551615".to_vec(),
        ),
        ("empty", Vec::new()),
    ]
}

pub fn lock_files() -> Seeds {
    let uv = r#"version = 1
[[package]]
name = "base-api"
version = "0.1.0"
source = { editable = "." }
[[package]]
name = "numpy"
version = "1.26.4"
sdist = { url = "x", upload-time = "2024-02-05T23:00:00.5Z" }
wheels = [{ url = "y", upload-time = "2024-04-01T00:00:00Z" }]
"#;
    let poetry = r#"[[package]]
name = "ours"
version = "1.0"
[package.source]
type = "directory"
url = "../ours"
[metadata]
lock-version = "2.0"
"#;
    let pdm = "[[package]]\nname = \"a\"\nversion = \"1\"\neditable = true\npath = \"./a\"\n";
    let pylock = "lock-version = '1.0'\n[[packages]]\nname = 'A._b'\nversion = '1'\nwheels = [{ upload-time = 2025-01-01T00:00:00Z }]\n[[packages]]\nname = 'c'\ndirectory = { path = '.' }\n";
    vec![
        ("uv", uv.into()),
        ("poetry", poetry.into()),
        ("pdm", pdm.into()),
        ("pylock", pylock.into()),
        ("other", b"[project]\nname = 'a'\n".to_vec()),
    ]
}

/// What runs by digest leave: sound, of a later version, and with one platform twice.
pub fn results() -> Seeds {
    let sound = include_str!("../../../tests/fast/fixtures/result-v1.json");
    let mut doubled: Value = serde_json::from_str(sound).unwrap();
    let mut again = doubled["platforms"][0].clone();
    again["digest"] = digest(1).into();
    again["manifest"]["digest"] = digest(1).into();
    doubled["platforms"][1] = again;
    vec![
        ("two-platforms", sound.into()),
        ("doubled", doubled.to_string().into()),
        (
            "later",
            sound.replacen("\"version\": 1", "\"version\": 2", 1).into(),
        ),
    ]
}
