//! The store: true hashes, and the shapes of `nix path-info`.

use std::fs;

use nixpy_testkit::store::{FakeStore, Item, PathInfoShape};
use serde_json::json;

fn python() -> Item {
    Item::named("python3-3.12.4")
        .executable("bin/python3", "#!/bin/sh\necho hello\n")
        .file("lib/module.py", "x = 1\n")
        .directory("lib/empty")
        .symlink("bin/python", "python3")
}

#[test]
fn the_hash_is_the_one_that_nix_computes() {
    let mut store = FakeStore::new();
    let path = store.add(python());
    assert_eq!(
        path.nar_hash(),
        "sha256-Up/c8XwcLsAnPhlu6hTZDjXbBaFS5wqMhMHQ/dTcnu0="
    );
    let script = store.add(Item::named("stream-image").executable("", "#!/bin/sh\n"));
    assert_eq!(
        script.nar_hash(),
        "sha256-YoPBZoJg+QPRqJXAzWuCL6S2h2K7CxfO3vLTnZfiZVQ="
    );
    assert!(script.on_disk().is_file());
}

#[test]
fn paths_are_the_same_in_every_run_and_look_like_store_paths() {
    let path = FakeStore::new().add(python());
    assert_eq!(path.text(), FakeStore::new().add(python()).text());
    let base = path.text().strip_prefix("/nix/store/").unwrap();
    let (hash, name) = base.split_at(33);
    assert!(
        hash[..32]
            .chars()
            .all(|c| "0123456789abcdfghijklmnpqrsvwxyz".contains(c))
    );
    assert_eq!(name, "python3-3.12.4");
}

#[test]
fn a_store_in_place_can_be_read_where_it_says() {
    let mut store = FakeStore::in_place();
    let path = store.add(python());
    assert_eq!(
        fs::read_to_string(format!("{path}/lib/module.py")).unwrap(),
        "x = 1\n"
    );
    assert!(path.text().contains("/nix/store/"));
}

#[test]
fn the_closure_follows_references() {
    let mut store = FakeStore::new();
    let libc = store.add(
        Item::named("glibc-2.40")
            .file("lib/libc.so.6", "c")
            .refers_to_itself(),
    );
    let python = store.add(python().references([&libc]));
    store.add(Item::named("unrelated"));
    let api = store.add(Item::named("api").references([&python]));
    let mut names: Vec<String> = store
        .closure(&[&api])
        .iter()
        .map(|path| path.text()[44..].to_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["api", "glibc-2.40", "python3-3.12.4"]);
    assert_eq!(libc.references(), [libc.text()]);
}

#[test]
fn path_info_has_the_shape_of_each_version() {
    let mut store = FakeStore::new();
    let libc = store.add(Item::named("glibc-2.40").file("lib/libc.so.6", "c"));
    let python = store.add(python().references([&libc]));
    let print = |shape| store.path_info_json(shape, std::slice::from_ref(&python));
    let base = python.text().rsplit('/').next().unwrap();

    let list = print(PathInfoShape::Nix2_8);
    assert_eq!(
        (&list[0]["path"], list[0].get("ca")),
        (&json!(python.text()), None)
    );
    let keyed = print(PathInfoShape::Nix2_26);
    assert_eq!(keyed[python.text()]["narHash"], python.nar_hash());
    assert_eq!(keyed[python.text()]["references"], json!([libc.text()]));
    assert_eq!(print(PathInfoShape::Nix2_34)[python.text()]["version"], 1);
    let second = print(PathInfoShape::JsonFormat2);
    assert_eq!(second["info"][base]["narSize"], python.nar_size());
    assert!(
        !second["info"][base]["references"][0]
            .as_str()
            .unwrap()
            .contains('/')
    );
    assert!(
        second["info"][base]["deriver"]
            .as_str()
            .unwrap()
            .ends_with("-python3-3.12.4.drv")
    );
}
