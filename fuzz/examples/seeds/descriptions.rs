//! CONF of `streamLayeredImage` through the years, and nix2container's JSON. The paths
//! are those of the store that the targets lay out.

use serde_json::{Value, json};

use crate::Seeds;

const PYTHON: &str = "/nix/store/00000000000000000000000000000000-python3-3.11.2";
const APP: &str = "/nix/store/11111111111111111111111111111111-base-api";
const TOP: &str = "/nix/store/22222222222222222222222222222222-customisation";
const BASE: &str = "/nix/store/33333333333333333333333333333333-base.tar";
const TAR: &str = "application/vnd.oci.image.layer.v1.tar";

fn changed(whole: &Value, changes: &Value) -> Vec<u8> {
    let mut changed = whole.as_object().unwrap().clone();
    for (key, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => _ = changed.remove(key),
            value => _ = changed.insert(key.clone(), value.clone()),
        }
    }
    Value::Object(changed).to_string().into_bytes()
}

pub fn conf() -> Seeds {
    let whole = json!({
        "architecture": "amd64", "os": "linux",
        "config": { "Cmd": ["/bin/base-api"], "Env": ["A=1", "PATH=/bin"] },
        "created": "1970-01-01T00:00:01+00:00", "mtime": "1970-01-01T00:00:01Z",
        "repo_tag": "base-api:1", "uid": 0, "gid": 0, "uname": "root", "gname": "root",
        "store_dir": "/nix/store", "from_image": null,
        "store_layers": [[PYTHON], [APP]], "customisation_layer": TOP,
    });
    let with = |changes: Value| changed(&whole, &changes);
    vec![
        ("whole", with(json!({}))),
        (
            "older",
            with(
                json!({ "uid": "1000", "gid": "100", "os": null, "uname": null, "gname": null, "mtime": null }),
            ),
        ),
        ("now", with(json!({ "created": "now", "mtime": "now" }))),
        ("base-image", with(json!({ "from_image": BASE }))),
        (
            "local-time",
            with(json!({ "created": "2026-11-22T10:00:00", "mtime": "2026-11-22" })),
        ),
        (
            "fraction",
            with(
                json!({ "created": "2026-11-22T10:00:00.5-03:00", "mtime": "1969-12-31T23:59:59.9Z" }),
            ),
        ),
        (
            "long-name",
            with(json!({ "uname": "ü".repeat(20), "uid": 1_u64 << 40 })),
        ),
        (
            "twice",
            with(json!({ "store_layers": [[PYTHON, APP], [], [APP]] })),
        ),
        (
            "unknown-path",
            with(json!({ "store_layers": [[format!("{APP}-else")]] })),
        ),
        ("unknown-field", with(json!({ "zstd": true }))),
        (
            "many-layers",
            with(json!({ "store_layers": vec![[0_u8; 0]; 1500] })),
        ),
        ("other", b"[1]".to_vec()),
        ("deep", "[".repeat(500).into_bytes()),
    ]
}

pub fn nix2container() -> Seeds {
    let digest = |n: u8| format!("sha256:{}", format!("{n:02x}").repeat(32));
    let layer = |rest: Value| {
        let layer = json!({ "digest": digest(1), "size": 1024, "diff_ids": digest(1), "mediatype": TAR, "History": { "created_by": "nix2container" } });
        let changed = changed(&layer, &rest);
        serde_json::from_slice::<Value>(&changed).unwrap()
    };
    let image = |layers: Value| {
        json!({
            "version": 1, "arch": "amd64", "created": "0001-01-01T00:00:00Z", "layers": layers,
            "image-config": { "Entrypoint": ["/bin/x"], "Env": ["A=<b>"], "Labels": { "a": "b" }, "ExposedPorts": { "80/tcp": {} } },
        })
    };
    let plain = json!([layer(
        json!({ "paths": [{ "path": PYTHON }, { "path": APP }] })
    )]);
    let options = json!({
        "rewrite": { "regex": "^/nix/store/([0-9]{32})-(?P<name>.*)", "repl": "/opt/${name}/$1" },
        "perms": [{ "regex": ".*/bin", "mode": "0700", "uid": 1000, "gid": 0, "uname": "x", "gname": "" }],
    });
    let moved = json!([layer(
        json!({ "paths": [{ "path": APP, "options": options }, { "path": PYTHON }] })
    )]);
    let ready = json!([
        layer(json!({ "layer-path": format!("{TOP}/layer.tar") })),
        layer(
            json!({ "layer-path": format!("{TOP}/layer.tar"), "size": 0, "mediatype": format!("{TAR}+gzip"), "digest": digest(2) })
        ),
    ]);
    let with = |layers: &Value, changes: Value| changed(&image(layers.clone()), &changes);
    vec![
        ("plain", with(&plain, json!({}))),
        ("moved", with(&moved, json!({}))),
        ("ready", with(&ready, json!({}))),
        ("no-layers", with(&Value::Null, json!({ "created": null }))),
        ("pulled", with(&plain, json!({ "arch": "" }))),
        ("newer", with(&plain, json!({ "version": 2 }))),
        (
            "outside",
            with(
                &json!([layer(json!({ "layer-path": format!("{TOP}/../x") }))]),
                json!({}),
            ),
        ),
        ("other", b"{\"name\":\"x\"}".to_vec()),
        (
            "null-layers",
            String::from_utf8(with(&plain, json!({ "layers": 7 })))
                .unwrap()
                .replace("\"layers\":7", "\"layers\":null")
                .into_bytes(),
        ),
    ]
}
