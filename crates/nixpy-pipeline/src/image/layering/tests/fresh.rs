//! Layers where there was no image before.

use super::super::fixture::{HERMETIC, built, closure, names, path, rebuilt};
use super::super::*;
use super::{FRESH, hermetic};

#[test]
fn a_service_has_stable_paths_below_large_ones_alone_and_its_app_on_top() {
    let (_, _, partition) = hermetic();
    assert_eq!(
        names(&partition),
        [
            vec!["glibc-2.36-9+deb12u14"],
            vec!["openssl-3.0.22-1-deb12u2"],
            vec!["sqlite-3.40.1-2+deb12u2"],
            vec!["bzip2-1.0.8-5+b1", "libffi-3.4.4-1", "xz-5.4.1-1+deb12u2"],
            vec![
                "expat-2.5.0-1+deb12u5",
                "libgcc-12.2.0-14+deb12u1",
                "zlib-1-1.2.13.dfsg-1"
            ],
            vec!["python3-3.11.2-6+deb12u9"],
            vec!["python3.11-click-8.5.1"],
            vec!["python3.11-idna-3.20"],
            vec![
                "python3.11-opentelemetry-api-1.45.2",
                "python3.11-typing-extensions-4.16.0"
            ],
            vec!["python3.11-pydantic-core-2.50.4"],
            vec!["python3.11-anyio-4.16.0"],
            vec!["python3.11-h11-0.16.0", "python3.11-uvicorn-0.54.0"],
            vec!["python3.11-starlette-1.10.0"],
            vec![
                "python3.11-annotated-types-0.8.0",
                "python3.11-pydantic-2.14.3",
                "python3.11-typing-inspection-0.4.5"
            ],
            vec![
                "python3.11-annotated-doc-0.0.7",
                "python3.11-fastapi-0.165.0"
            ],
            vec!["base-api-env", "python3.11-base-api-0.1.0"],
            vec!["base-api-0.1.0"],
        ]
    );
}

#[test]
fn changes_send_what_depends_on_them_and_little_else() {
    let (output, closure, partition) = hermetic();
    let resent = resent(&partition, &output, &closure, None).expect("all paths are known");
    let table: Vec<_> = resent
        .iter()
        .map(|resent| (&resent.change, resent.layers, resent.nar_bytes))
        .collect();
    let anyio = Change::TypicalWheel {
        name: "anyio".to_owned(),
    };
    let extensions = Change::CostliestWheel {
        name: "typing-extensions".to_owned(),
    };
    assert_eq!(
        table,
        [
            (&Change::App, 2, 20_720),
            (&anyio, 5, 3_900_272),
            (&extensions, 8, 14_655_144),
            (&Change::Python, 12, 46_704_120),
            (&Change::CLibrary, 17, 59_275_032),
        ]
    );
}

#[test]
fn a_described_image_is_told_of_in_the_same_way() {
    let (output, closure, ours) = hermetic();
    let alone: Vec<Vec<StorePath>> = closure.keys().map(|path| vec![path.clone()]).collect();
    let given = Partition::given(&alone, &output, &closure, None).expect("all paths are known");
    let told = resent(&given, &output, &closure, None).expect("all paths are known");
    assert_eq!(
        (&told[0].change, told[0].layers, told[0].nar_bytes),
        (&Change::App, 3, 20_720)
    );
    let all_in_one = [closure.keys().cloned().collect()];
    let lump = Partition::given(&all_in_one, &output, &closure, None).expect("all paths are known");
    // A layer for each path is the least there can be; a third fewer cost a hundredth more.
    let (least, most) = (given.expected_nar_bytes(), lump.expected_nar_bytes());
    let ours = ours.expected_nar_bytes();
    assert!(
        least <= ours && ours < least + least / 50 && ours < most / 30,
        "{least} {ours} {most}"
    );
}

#[test]
fn what_is_printed_names_its_sizes() {
    let (output, closure, partition) = hermetic();
    let json = serde_json::to_value(&partition).expect("a partition is JSON");
    assert_eq!(json["decided"], "fresh");
    assert_eq!(json["layers"][0]["narSize"], 4_498_944);
    let resent = resent(&partition, &output, &closure, None).expect("all paths are known");
    let json = serde_json::to_value(resent).expect("so is what is sent again");
    assert_eq!(
        json[1]["change"],
        serde_json::json!({"kind": "typicalWheel", "name": "anyio"})
    );
    assert_eq!(json[0]["narBytes"], 20_720);
}

#[test]
fn the_limit_is_kept_with_the_app_alone_on_top_for_as_long_as_there_are_two() {
    let (output, closure, _) = hermetic();
    for max_layers in [0, 1, 2, 3, 5, 200] {
        let wishes = Wishes {
            max_layers,
            ..FRESH
        };
        let partition = layers(&output, &closure, wishes).expect("all paths are known");
        assert!(partition.layers.len() <= max_layers.max(1));
        let top = partition.layers.last().expect("there is a layer");
        assert_eq!(top.paths.len() == 1, max_layers > 1);
        assert_eq!(top.paths.last(), Some(&output));
    }
    let wishes = Wishes {
        max_layers: 3,
        ..FRESH
    };
    let partition = layers(&output, &closure, wishes).expect("all paths are known");
    assert_eq!(
        names(&partition)[1],
        ["base-api-env", "python3.11-base-api-0.1.0"]
    );
}

#[test]
fn without_python_there_are_layers_too() {
    let closure = closure(&[
        ("glibc-2.40-66", 30 << 20, &[]),
        ("openssl-3.0.14", 6 << 20, &["glibc-2.40-66"]),
        ("tiny-1.0", 900, &["glibc-2.40-66"]),
        ("small-1.0", 700, &["tiny-1.0"]),
        ("server-1.0", 9 << 20, &["openssl-3.0.14", "small-1.0"]),
        ("of-another-system", 9, &[]),
    ]);
    let output = path("server-1.0");
    let partition = layers(&output, &closure, FRESH).expect("all paths are known");
    assert_eq!(
        names(&partition),
        [
            vec!["glibc-2.40-66"],
            vec!["openssl-3.0.14"],
            vec!["small-1.0", "tiny-1.0"],
            vec!["server-1.0"]
        ]
    );
    let resent = resent(&partition, &output, &closure, None).expect("all paths are known");
    let changes: Vec<_> = resent.iter().map(|resent| &resent.change).collect();
    assert_eq!(changes, [&Change::App, &Change::CLibrary]);
}

#[test]
fn wheels_that_the_lock_file_calls_young_are_not_mixed_with_old_ones() {
    let wheels = ["a-1.0", "b-1.0", "c-1.0", "d-1.0"];
    let closure = closure(&[
        ("python3-3.12.4", 60 << 20, &[]),
        (wheels[0], 150 << 10, &["python3-3.12.4"]),
        (wheels[1], 1 << 20, &["python3-3.12.4"]),
        (wheels[2], 150 << 10, &["python3-3.12.4"]),
        (wheels[3], 1 << 20, &["python3-3.12.4"]),
        ("shop-env", 9 << 10, &wheels),
    ]);
    let lock = LockFile::parse(
        "[[package]]\nname = 'a'\nsdist = { upload-time = '2025-06-01T00:00:00Z' }\n\
         [[package]]\nname = 'b'\nsdist = { upload-time = '2015-06-01T00:00:00Z' }\n\
         [[package]]\nname = 'c'\nsdist = { upload-time = '2025-05-20T00:00:00Z' }\n\
         [[package]]\nname = 'd'\nsdist = { upload-time = '2015-07-01T00:00:00Z' }\n",
    );
    let lock = lock.expect("the lock file is one");
    let wishes = Wishes {
        max_layers: 4,
        lock: Some(&lock),
        ..FRESH
    };
    let partition = layers(&path("shop-env"), &closure, wishes).expect("all paths are known");
    assert_eq!(
        names(&partition),
        [
            vec!["python3-3.12.4"],
            vec!["b-1.0", "d-1.0"],
            vec!["a-1.0", "c-1.0"],
            vec!["shop-env"]
        ]
    );
}

#[test]
fn without_a_previous_image_a_rebuild_finds_the_same_layers() {
    let (_, closure, before) = hermetic();
    let types = path("python3.11-annotated-types-0.8.0");
    let closure = rebuilt(&closure, &types, types.name(), 1);
    let now = layers(&built("base-api-0.1.0", 1), &closure, FRESH).expect("all paths are known");
    assert_eq!(names(&now), names(&before));
}

#[test]
fn a_closure_with_a_hole_is_refused() {
    let mut closure = closure(HERMETIC);
    let zlib = path("zlib-1-1.2.13.dfsg-1");
    closure.remove(&zlib);
    let error = layers(&path("base-api-0.1.0"), &closure, FRESH);
    assert_eq!(error, Err(UnknownPath(zlib)));
}
