//! Descriptions of nix2container: from the JSON to a published image, and what is
//! wrong with them.

use nixpy_oci::image::How;
use nixpy_pipeline::plan::Form;
use nixpy_testkit::digest;
use serde_json::{Value, json};

use crate::scenario::Scenario;

fn layers(description: &mut Value) -> &mut Vec<Value> {
    description["layers"].as_array_mut().unwrap()
}

/// The number of the first layer that is made from store paths.
const MADE: usize = 2;

#[test]
fn an_image_is_published_as_it_is_described() {
    let scenario = Scenario::nix2container(|_| {});
    let report = scenario.run(["--json"]).ended().succeeded().report();
    assert!(
        report
            .platforms
            .iter()
            .all(|image| image.form == Form::Nix2container)
    );
    for architecture in ["amd64", "arm64"] {
        let image = scenario.layout().image(architecture);
        // That the config has the diff IDs that were stated is in `Config::Whole`; that
        // the layers have them is checked where the image is read.
        assert_eq!(image.layer_digests().len(), 5);
        for file in [
            "etc/base-image",
            "etc/ready",
            "lib/libc.so.6",
            "fastapi/__init__.py",
        ] {
            assert!(image.has(file), "{file} is not in {:?}", image.files());
        }
        assert!(image.files().contains(&"/bin/base-api".to_owned()));
    }
}

/// What docker calls the image's ID, and `skopeo copy nix:…` has published.
#[test]
fn the_config_has_the_bytes_that_nix2container_writes() {
    let scenario = Scenario::nix2container(|_| {});
    let report = scenario.run(["--json"]).ended().succeeded().report();
    let image = scenario.layout().image("amd64");
    let diff_ids = &image.config["rootfs"]["diff_ids"];
    let history = [r#"{"created_by":"nix2container"}"#; 5].join(",");
    let config = format!(
        r#"{{"created":"0001-01-01T00:00:00Z","architecture":"amd64","os":"linux","config":{{"Env":["GREETING=\u003chello\u003e"],"Entrypoint":["/bin/base-api"]}},"rootfs":{{"type":"layers","diff_ids":{diff_ids}}},"history":[{history}]}}"#
    );
    let published = report.platforms.iter();
    let ids: Vec<String> = published.map(|image| image.image_id.to_string()).collect();
    assert!(ids.contains(&digest(config.as_bytes())), "{config}");
}

#[test]
fn a_finished_blob_keeps_its_compression_and_all_others_get_that_of_the_run() {
    let scenario = Scenario::nix2container(|_| {});
    scenario.run(["--compression=zstd"]).ended().succeeded();
    let image = scenario.layout().image("amd64");
    let types = image.manifest["layers"].as_array().unwrap().iter();
    let endings: Vec<&str> = types
        .map(|layer| {
            layer["mediaType"]
                .as_str()
                .unwrap()
                .rsplit('.')
                .next()
                .unwrap()
        })
        .collect();
    assert_eq!(
        endings,
        ["tar+gzip", "tar+zstd", "tar+zstd", "tar+zstd", "tar+zstd"]
    );

    let report = scenario
        .run(["--compression=gzip", "--json"])
        .ended()
        .succeeded()
        .report();
    for image in report.platforms {
        let how: Vec<How> = image.layers.iter().map(|layer| layer.how).collect();
        assert_eq!(how[0], How::Described, "it is what it was");
        assert!(!how[1..].contains(&How::Described), "{how:?}");
    }
}

#[test]
fn layers_that_were_published_before_are_known_without_being_read() {
    let mut scenario = Scenario::nix2container(|_| {});
    scenario.run([]).ended().succeeded();
    // Another image of the same layers, but for one.
    scenario.describe("next", |description| {
        description["image-config"]["Cmd"] = json!(["--reload"]);
        layers(description).remove(1);
    });
    let report = scenario.run(["--json"]).ended().succeeded().report();
    for image in report.platforms {
        assert!(image.layers.iter().all(|layer| layer.how == How::Described));
        assert_eq!(image.layers.len(), 4);
    }
    assert_eq!(
        scenario.layout().image("arm64").configured("Cmd"),
        "--reload"
    );
}

#[test]
fn a_layer_of_other_permissions_is_another_layer() {
    let mut scenario = Scenario::nix2container(|_| {});
    scenario.run([]).ended().succeeded();
    scenario.describe("next", |description| {
        layers(description)[4]["paths"][0]["options"]["perms"][0]["mode"] = json!("0755");
    });
    // It is made again, and so it is seen that the digest is that of another tar.
    let ended = scenario.run([]).ended().with_code(1);
    ended.with_the_error(&["damaged or was changed"]);
}

#[test]
fn two_runs_give_the_same_bytes() {
    let scenario = Scenario::nix2container(|_| {});
    scenario.run(["--layout=one"]).ended().succeeded();
    scenario
        .run(["--layout=two", "--uploads=1"])
        .ended()
        .succeeded();
    let [one, two] = ["one", "two"].map(|name| scenario.layout_at(name).blobs());
    assert_eq!(one, two);
}

/// One line, and nothing of a layout.
#[track_caller]
fn refused(code: i32, texts: &[&str], change: impl Fn(&mut Value)) {
    let scenario = Scenario::nix2container(change);
    let ended = scenario.run([]).ended().with_code(code).prints_nothing();
    ended.with_the_error(texts);
    assert!(!scenario.has("oci-image"), "half a layout is left");
}

#[test]
fn a_layer_that_is_not_what_is_stated_is_refused() {
    let other = || json!(digest(b"something else"));
    for number in 1..5 {
        refused(1, &["diff ID", "damaged or was changed"], |description| {
            let layer = &mut layers(description)[number];
            layer["digest"] = other();
            layer["diff_ids"] = other();
        });
    }
    refused(
        1,
        &["has the digest", "damaged or was changed"],
        |description| {
            layers(description)[0]["digest"] = other();
        },
    );
    refused(1, &["diff ID", "damaged or was changed"], |description| {
        layers(description)[0]["diff_ids"] = other();
    });
    refused(
        1,
        &["layer 2", "digest and its diff ID should be the same"],
        |description| {
            layers(description)[1]["digest"] = other();
        },
    );
    refused(
        1,
        &["layer 2", "has 2048 bytes, but 7 were stated"],
        |description| {
            layers(description)[1]["size"] = json!(7);
        },
    );
}

#[test]
fn a_description_of_another_version_is_not_guessed_at() {
    refused(2, &["version 2", "newer nixpy-ci"], |description| {
        description["version"] = json!(2);
        description["layers"] = json!({ "in": "another form" });
    });
    refused(
        1,
        &["not what nix2container writes", "annotations"],
        |description| {
            description["annotations"] = json!({});
        },
    );
    refused(
        1,
        &["not what nix2container writes", "EOF"],
        |description| {
            let mut text = description.to_string();
            text.truncate(text.len() / 2);
            *description = json!(text);
        },
    );
    refused(
        2,
        &["neither an image archive", "nix2container"],
        |description| {
            *description = json!({ "version": 1, "layers": [] });
        },
    );
}

#[test]
fn an_image_for_another_machine_is_refused() {
    refused(
        2,
        &["for linux/riscv64", "architecture of its system"],
        |description| {
            description["arch"] = json!("riscv64");
        },
    );
    refused(
        2,
        &["no architecture", "pullImage", "fromImage"],
        |description| {
            description["arch"] = json!("");
        },
    );
}

#[test]
fn nothing_is_read_that_the_image_does_not_refer_to() {
    let absent = "/nix/store/w2qimm4z19p47n21khqccpg90ra91spf-absent";
    refused(1, &["did not tell about", absent], |description| {
        layers(description)[MADE]["paths"][0]["path"] = json!(absent);
    });
    refused(1, &["did not tell about", absent], |description| {
        layers(description)[0]["layer-path"] = json!(format!("{absent}/layer.tar"));
    });
    refused(1, &["not a store path"], |description| {
        layers(description)[MADE]["paths"][0]["path"] = json!("/etc");
    });
    refused(
        1,
        &["layer 1", "\"/etc/passwd\" is not in a store"],
        |description| {
            layers(description)[0]["layer-path"] = json!("/etc/passwd");
        },
    );
    refused(1, &["layer 1", "is not in a store"], |description| {
        let inside = layers(description)[0]["layer-path"].as_str().unwrap();
        layers(description)[0]["layer-path"] = json!(format!("{inside}/../../../etc/passwd"));
    });
}

#[test]
fn a_file_of_a_layer_that_is_not_there_is_named() {
    refused(
        1,
        &["layer 2", "cannot be used", "No such file"],
        |description| {
            let file = layers(description)[1]["layer-path"].as_str().unwrap();
            layers(description)[1]["layer-path"] = json!(file.replace(".tar", ".gone"));
        },
    );
    refused(1, &["layer 3", "neither paths"], |description| {
        layers(description)[MADE]["paths"] = json!([]);
    });
    refused(1, &["layer 1", "image/png"], |description| {
        layers(description)[0]["mediatype"] = json!("image/png");
    });
}

#[test]
fn what_is_hostile_ends_at_a_limit() {
    for regex in ["(x{1000}){1000}", "((((("] {
        refused(
            2,
            &["layer 3", "regular expression", regex],
            |description| {
                layers(description)[MADE]["paths"][0]["options"]["rewrite"]["regex"] = json!(regex);
            },
        );
    }
    refused(
        1,
        &["name of more than 4096 bytes", "rewrite"],
        |description| {
            let options = &mut layers(description)[MADE]["paths"][0]["options"];
            options["rewrite"] = json!({ "regex": ".", "repl": "$0".repeat(9000) });
        },
    );
    refused(2, &["more than 1024 layers"], |description| {
        let layer = layers(description)[1].clone();
        description["layers"] = json!(vec![layer; 1025]);
    });
    refused(2, &["more than 500 regular expressions"], |description| {
        let perms: Vec<Value> = (0..501)
            .map(|n| json!({ "regex": format!("{n}") }))
            .collect();
        layers(description)[MADE]["paths"][0]["options"]["perms"] = json!(perms);
    });
    refused(2, &["mode \"u+x\"", "octal"], |description| {
        layers(description)[4]["paths"][0]["options"]["perms"][0]["mode"] = json!("u+x");
    });
}
