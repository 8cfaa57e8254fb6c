use super::fixture::{HERMETIC, built, closure, names, path, paths, rebuilt};
use super::*;

const FRESH: Wishes<'static> = Wishes {
    max_layers: 99,
    previous: None,
    lock: None,
};

fn hermetic() -> (StorePath, Closure, Partition) {
    let closure = closure(HERMETIC);
    let output = path("base-api-0.1.0");
    let partition = layers(&output, &closure, FRESH).expect("all paths are known");
    (output, closure, partition)
}

/// What the next run makes of it, and the names in its layers that are not kept.
fn after(output: &str, closure: &Closure, before: &Partition) -> (Decided, Vec<Vec<String>>) {
    let output = built(output, 1);
    let previous = paths(before);
    let wishes = Wishes {
        previous: Some(&previous),
        ..FRESH
    };
    let now = layers(&output, closure, wishes).expect("all paths are known");
    let sent = now.layers.iter().filter(|layer| !layer.kept);
    let names = sent.map(|layer| {
        let names = layer.paths.iter().map(|path| path.name().to_owned());
        names.collect()
    });
    (now.decided, names.collect())
}

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
fn a_changed_app_sends_its_two_layers() {
    let (_, closure, before) = hermetic();
    let own = path("python3.11-base-api-0.1.0");
    let closure = rebuilt(&closure, &own, "python3.11-base-api-0.2.0", 1);
    let (decided, sent) = after("base-api-0.1.0", &closure, &before);
    assert_eq!(decided, Decided::Kept);
    assert_eq!(
        sent,
        [
            vec!["base-api-env", "python3.11-base-api-0.2.0"],
            vec!["base-api-0.1.0"]
        ]
    );
}

#[test]
fn a_newer_wheel_takes_the_place_of_the_older_one() {
    let (_, closure, before) = hermetic();
    let h11 = path("python3.11-h11-0.16.0");
    let closure = rebuilt(&closure, &h11, "python3.11-h11-1.0.0", 1);
    let (decided, sent) = after("base-api-0.1.0", &closure, &before);
    assert_eq!(decided, Decided::Kept);
    assert_eq!(
        sent,
        [
            vec!["python3.11-h11-1.0.0", "python3.11-uvicorn-0.54.0"],
            vec!["base-api-env", "python3.11-base-api-0.1.0"],
            vec!["base-api-0.1.0"]
        ]
    );
}

#[test]
fn a_newer_python_keeps_every_path_in_its_place() {
    let (_, closure, before) = hermetic();
    let python = path("python3-3.11.2-6+deb12u9");
    let closure = rebuilt(&closure, &python, "python3-3.11.3-1", 1);
    let (decided, sent) = after("base-api-0.1.0", &closure, &before);
    assert_eq!(decided, Decided::Kept);
    assert_eq!(sent.len(), 12);
    assert_eq!(sent[0], ["python3-3.11.3-1"]);
    let before = names(&before);
    let were = before[6..].iter().map(|layer| layer.join(" "));
    assert!(were.eq(sent[1..].iter().map(|layer| layer.join(" "))));
}

#[test]
fn a_wheel_that_is_new_gets_a_layer_and_moves_nothing_however_small_it_is() {
    let (_, closure, before) = hermetic();
    let env = path("base-api-env");
    let numpy = path("python3.11-numpy-1.26.4");
    let python = path("python3-3.11.2-6+deb12u9");
    for size in [4 << 10, 90 << 20] {
        let mut closure = closure.clone();
        let numpy_info = fixture::info(numpy.clone(), size, vec![python.clone()]);
        closure.insert(numpy.clone(), numpy_info);
        if let Some(env) = closure.get_mut(&env) {
            env.references.push(numpy.clone());
        }
        let closure = rebuilt(&closure, &env, "base-api-env", 1);
        let (decided, sent) = after("base-api-0.1.0", &closure, &before);
        assert_eq!(decided, Decided::Kept);
        assert_eq!(
            sent,
            [
                vec!["python3.11-numpy-1.26.4"],
                vec!["base-api-env", "python3.11-base-api-0.1.0"],
                vec!["base-api-0.1.0"]
            ]
        );
    }
}

#[test]
fn small_wheels_that_are_new_share_a_layer() {
    let (_, mut closure, before) = hermetic();
    let env = path("base-api-env");
    for name in ["python3.11-a-1.0", "python3.11-b-1.0"] {
        let python = path("python3-3.11.2-6+deb12u9");
        closure.insert(path(name), fixture::info(path(name), 9000, vec![python]));
        if let Some(env) = closure.get_mut(&env) {
            env.references.push(path(name));
        }
    }
    let closure = rebuilt(&closure, &env, "base-api-env", 1);
    let (_, sent) = after("base-api-0.1.0", &closure, &before);
    assert_eq!(sent.len(), 3);
    assert_eq!(sent[0], ["python3.11-a-1.0", "python3.11-b-1.0"]);
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
fn what_would_not_pay_for_being_sent_is_not_renewed() {
    let closure = closure(&[
        ("glibc-2.40-66", 30 << 20, &[]),
        ("openssl-3.0.14", 10 << 20, &["glibc-2.40-66"]),
        ("server-1.0", 20, &["openssl-3.0.14"]),
    ]);
    let output = path("server-1.0");
    let libraries = ["glibc-2.40-66", "openssl-3.0.14"].map(path);
    // Nearly twice as dear as one by one; but 60 KiB a push do not pay for 40 MiB.
    let together = [libraries.to_vec(), vec![output.clone()]];
    let wishes = Wishes {
        previous: Some(&together),
        ..FRESH
    };
    let partition = layers(&output, &closure, wishes).expect("all paths are known");
    assert_eq!(paths(&partition), together);
}

#[test]
fn what_is_hardly_better_is_not_renewed() {
    let wheels = ["python3.12-a-1.0", "python3.12-b-1.0", "python3.12-c-1.0"];
    let [python, shop] = ["python3-3.12.4", "python3.12-shop-1.0"];
    let closure = closure(&[
        (python, 9 << 20, &[]),
        (wheels[0], 5 << 20, &[python]),
        (wheels[1], 5 << 20, &[python]),
        (wheels[2], 5 << 20, &[python]),
        (shop, 100 << 20, &wheels),
        ("shop-1.0", 20, &[shop]),
    ]);
    let output = path("shop-1.0");
    // Apart they would pay in fifty pushes, in which the app sends thousands of MiB.
    let together = [
        vec![path(python)],
        wheels.map(path).to_vec(),
        vec![path(shop)],
        vec![output.clone()],
    ];
    let wishes = Wishes {
        previous: Some(&together),
        ..FRESH
    };
    let partition = layers(&output, &closure, wishes).expect("all paths are known");
    assert_eq!(paths(&partition), together);
}

#[test]
fn what_is_new_does_not_join_what_is_in_the_registry() {
    let [a, b] = ["python3.12-a-1.0", "python3.12-b-1.0"];
    let closure = closure(&[
        ("python3-3.12.4", 60 << 20, &[]),
        (a, 5000, &["python3-3.12.4"]),
        (b, 5000, &["python3-3.12.4"]),
        ("shop-1.0", 20, &[a, b]),
    ]);
    let output = path("shop-1.0");
    let fresh = layers(&output, &closure, FRESH).expect("all paths are known");
    assert_eq!(names(&fresh)[1], [a, b]);
    let previous = [vec![path("python3-3.12.4")], vec![path(a)]];
    let wishes = Wishes {
        previous: Some(&previous),
        ..FRESH
    };
    let partition = layers(&output, &closure, wishes).expect("all paths are known");
    assert_eq!(
        names(&partition),
        [["python3-3.12.4"], [a], [b], ["shop-1.0"]]
    );
}

#[test]
fn a_layer_for_each_path_is_good_enough_to_be_kept() {
    let (output, closure, _) = hermetic();
    let alone: Vec<Vec<StorePath>> = closure.keys().map(|path| vec![path.clone()]).collect();
    let wishes = Wishes {
        previous: Some(&alone),
        ..FRESH
    };
    let partition = layers(&output, &closure, wishes).expect("all paths are known");
    assert_eq!(partition.decided, Decided::Kept);
    assert!(partition.layers.iter().all(|layer| layer.kept));
}

#[test]
fn all_in_one_layer_is_given_up_for_a_fresh_partition() {
    let (output, closure, fresh) = hermetic();
    let lump = [closure.keys().cloned().collect()];
    let wishes = Wishes {
        previous: Some(&lump),
        ..FRESH
    };
    let partition = layers(&output, &closure, wishes).expect("all paths are known");
    assert_eq!(partition.decided, Decided::Renewed);
    assert_eq!(names(&partition), names(&fresh));
}

#[test]
fn a_closure_with_a_hole_is_refused() {
    let mut closure = closure(HERMETIC);
    let zlib = path("zlib-1-1.2.13.dfsg-1");
    closure.remove(&zlib);
    let error = layers(&path("base-api-0.1.0"), &closure, FRESH);
    assert_eq!(error, Err(UnknownPath(zlib)));
}
