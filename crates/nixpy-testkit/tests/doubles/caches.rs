//! The doubles of caches, held against what their services refuse.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use nixpy_testkit::caches::{AtticServer, CachixServer, HttpCache};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::client::{Answer, ask_at};

fn address(url: &str) -> SocketAddr {
    url.strip_prefix("http://").unwrap().parse().unwrap()
}

#[test]
fn files_are_put_asked_for_and_read_in_parts() {
    let server = HttpCache::with_room_for(10);
    let ask = |line: &str| ask_at(address(&server.url()), line);
    assert_eq!(ask("HEAD /nar/a").send().status, 404);
    assert_eq!(ask("PUT /nar/a").body("0123456789").send().status, 201);
    assert_eq!(ask("PUT /nar/b").body("0").send().status, 507);
    let part = ask("GET /nar/a").header("Range", "bytes=2-4").send();
    assert_eq!((part.status, part.body.as_slice()), (206, &b"234"[..]));
    assert_eq!(part.header("Content-Range"), "bytes 2-4/10");
    let none = ask("GET /nar/a").header("Range", "bytes=10-").send();
    assert_eq!(none.status, 416);
}

#[test]
fn attic_takes_only_archives_that_are_what_is_said_of_them() {
    let server = AtticServer::start("acme", "abc");
    let hash = "0c1rh5b9ky9wwkqh1csqjnwsqhdsm9zz";
    let put = |nar: &str, change: &dyn Fn(&mut Value)| -> Answer {
        let mut info = json!({
            "cache": "acme",
            "store_path_hash": hash,
            "store_path": format!("/nix/store/{hash}-a"),
            "references": [], "sigs": [], "system": null, "deriver": null, "ca": null,
            "nar_hash": format!("sha256:{}", hex::encode(Sha256::digest("nar"))),
            "nar_size": 3,
        });
        change(&mut info);
        ask_at(address(&server.url()), "PUT /_api/v1/upload-path")
            .header("Authorization", "bearer abc")
            .header("X-Attic-Nar-Info", &info.to_string())
            .body(nar)
            .send()
    };
    assert_eq!(put("another", &|_| {}).status, 400);
    assert_eq!(put("nar", &|info| info["nar_size"] = json!(4)).status, 400);
    assert_eq!(
        put("nar", &|info| info["cache"] = json!("other")).status,
        404
    );
    assert!(server.stored().is_empty());
    assert_eq!(put("nar", &|_| {}).status, 200);
    assert_eq!(server.stored().len(), 1);
}

#[test]
fn cachix_takes_only_parts_that_are_what_was_signed() {
    let server = CachixServer::start(
        "acme",
        "abc",
        "acme-1:KC7u7/re6tZ6HQ6Qm7EEpfzs5ulkUws5k4XCsgAST24=",
    );
    let api = |what: &str, body: Value| -> Answer {
        let line = format!("POST /api/v1/cache/acme/{what}");
        ask_at(address(&server.url()), &line)
            .header("Authorization", "Bearer abc")
            .header("Content-Type", "application/json")
            .body(body.to_string())
            .send()
    };
    let begun = api("multipart-nar?compression=zst", json!(null)).json();
    let nar = begun["narId"].as_str().unwrap();
    let id = begun["uploadId"].as_str().unwrap().replace('+', "%2B");
    let upload = |act: &str| format!("multipart-nar/{nar}{act}?uploadId={id}");
    let md5 = STANDARD.encode(Md5::digest("part"));
    let signed = api(
        &format!("{}&partNumber=1", upload("")),
        json!({ "contentMD5": md5 }),
    );
    let url = signed.json()["uploadUrl"].as_str().unwrap().to_owned();
    let put = |md5: &str, body: &str| {
        let ask = ask_at(address(&server.url()), &format!("PUT {url}"));
        ask.header("Content-MD5", md5).body(body).send()
    };
    assert_eq!(put(&md5, "another").status, 400);
    assert_eq!(put("another", "part").status, 403);
    let sent = put(&md5, "part");
    assert_eq!(sent.status, 200);
    let with = |hash: &str| {
        json!({
            "parts": [{ "partNumber": 1, "eTag": sent.header("ETag") }],
            "narInfoCreate": {
                "cStoreHash": "0c1rh5b9ky9wwkqh1csqjnwsqhdsm9zz", "cStoreSuffix": "a",
                "cNarHash": format!("sha256:{}", "0".repeat(52)), "cNarSize": 9,
                "cFileHash": hash, "cFileSize": 4, "cReferences": [],
                "cDeriver": "unknown-deriver", "cSig": null,
            },
        })
    };
    assert_eq!(api(&upload("/complete"), with("another")).status, 400);
    assert_eq!(server.open_uploads(), 1);
    let hash = hex::encode(Sha256::digest("part"));
    assert_eq!(api(&upload("/complete"), with(&hash)).status, 200);
    assert_eq!(server.open_uploads(), 0);
}
