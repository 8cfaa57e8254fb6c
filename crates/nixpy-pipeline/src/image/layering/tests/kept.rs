//! Layers where there was an image before.

use super::super::fixture::{self, built, closure, names, path, paths, rebuilt};
use super::super::*;
use super::{FRESH, hermetic};

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
