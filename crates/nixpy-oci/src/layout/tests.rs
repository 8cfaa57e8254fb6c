//! Several runs, other tools and power cuts in one layout.
#![allow(clippy::unwrap_used)]
use super::*;
use crate::manifest::{Annotations, Index, Manifest};

fn layout() -> (tempfile::TempDir, Layout) {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::open(&dir.path().join("image")).unwrap();
    (dir, layout)
}

#[test]
fn a_tag_is_moved_and_others_stay() {
    let (_dir, layout) = layout();
    let index = |n: &str| {
        let note = Annotations::from([("n".to_owned(), n.to_owned())]);
        to_bytes(&Index::new(Vec::new(), note))
    };
    let (v1, v2): (Tag, Tag) = ("v1".parse().unwrap(), "v2".parse().unwrap());
    layout.tag(&v1, media_type::INDEX, &index("one")).unwrap();
    layout.tag(&v2, media_type::INDEX, &index("two")).unwrap();
    layout.tag(&v1, media_type::INDEX, &index("three")).unwrap();
    assert_eq!(layout.resolve(&v1).unwrap().unwrap().bytes, index("three"));
    assert_eq!(layout.resolve(&v2).unwrap().unwrap().bytes, index("two"));
}

#[test]
fn a_manifest_whose_blobs_are_missing_is_refused() {
    let (_dir, layout) = layout();
    let config = Descriptor::of(media_type::CONFIG, b"{}");
    let bytes = to_bytes(&Manifest::new(
        config.clone(),
        Vec::new(),
        Annotations::new(),
    ));
    let error = layout
        .put_manifest(media_type::MANIFEST, &bytes)
        .unwrap_err();
    assert!(error.is_missing_blob());
    let content = Content::Memory(b"{}".to_vec().into());
    layout.put_blob(&config, &content).unwrap();
    layout.put_manifest(media_type::MANIFEST, &bytes).unwrap();
}

#[test]
fn bytes_that_do_not_match_their_digest_are_not_kept() {
    let (_dir, layout) = layout();
    let descriptor = Descriptor::of(media_type::CONFIG, b"one");
    let content = Content::Memory(b"two".to_vec().into());
    assert!(layout.put_blob(&descriptor, &content).is_err());
    assert!(!layout.has_blob(descriptor.digest));
    let left = fs::read_dir(layout.path.join("blobs/sha256"))
        .unwrap()
        .count();
    assert_eq!(left, 0, "no temporary file is left");
}

#[test]
fn what_was_added_for_no_tag_is_taken_back() {
    let (dir, layout) = layout();
    let path = dir.path().join("image");
    let content = Content::Memory(b"{}".to_vec().into());
    let config = Descriptor::of(media_type::CONFIG, b"{}");
    layout.put_blob(&config, &content).unwrap();
    drop(layout);
    assert!(!path.exists(), "the directory was made for nothing");

    let layout = Layout::open(&path).unwrap();
    let empty = to_bytes(&Index::new(Vec::new(), Annotations::new()));
    let tag = "v1".parse().unwrap();
    layout.tag(&tag, media_type::INDEX, &empty).unwrap();
    layout.put_blob(&config, &content).unwrap();
    drop(layout);
    let layout = Layout::open(&path).unwrap();
    assert!(!layout.has_blob(config.digest));
    assert!(
        layout.resolve(&tag).unwrap().is_some(),
        "what has a tag stays"
    );
}

#[test]
fn a_directory_with_other_things_in_it_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    let error = Layout::open(dir.path()).unwrap_err();
    assert!(error.to_string().contains("--layout"), "{error}");
}

/// A config of these bytes, put, and the manifest over it.
fn image(layout: &Layout, config: &str) -> (Descriptor, Vec<u8>) {
    let descriptor = put(layout, config);
    let manifest = Manifest::new(descriptor.clone(), Vec::new(), Annotations::new());
    (descriptor, to_bytes(&manifest))
}

fn put(layout: &Layout, blob: &str) -> Descriptor {
    let descriptor = Descriptor::of(media_type::CONFIG, blob.as_bytes());
    let content = Content::Memory(blob.as_bytes().to_vec().into());
    layout.put_blob(&descriptor, &content).unwrap();
    descriptor
}

fn tag(name: &str) -> Tag {
    name.parse().unwrap()
}

fn publish(layout: &Layout, name: &str, config: &str) -> Descriptor {
    let (descriptor, manifest) = image(layout, config);
    let index = vec![Descriptor::of(media_type::MANIFEST, &manifest)];
    layout
        .put_manifest(media_type::MANIFEST, &manifest)
        .unwrap();
    let index = to_bytes(&Index::new(index, Annotations::new()));
    layout.tag(&tag(name), media_type::INDEX, &index).unwrap();
    descriptor
}

#[test]
fn a_run_that_fails_leaves_the_image_of_another() {
    let (dir, failing) = layout();
    let path = dir.path().join("image");
    put(&failing, "shared");
    let rubbish = put(&failing, "rubbish");
    let other = Layout::open(&path).unwrap();
    let config = publish(&other, "v1", "shared");
    drop(other);
    drop(failing);
    let layout = Layout::open(&path).unwrap();
    assert!(layout.resolve(&tag("v1")).unwrap().is_some());
    assert!(layout.has_blob(config.digest));
    assert!(!layout.has_blob(rubbish.digest));
}

#[test]
fn a_run_that_fails_takes_nothing_from_one_that_goes_on() {
    let (dir, failing) = layout();
    let shared = put(&failing, "shared");
    let other = Layout::open(&dir.path().join("image")).unwrap();
    assert!(other.has_blob(shared.digest));
    drop(failing);
    let manifest = Manifest::new(shared, Vec::new(), Annotations::new());
    other
        .tag(&tag("v1"), media_type::MANIFEST, &to_bytes(&manifest))
        .unwrap();
    drop(other);
    let layout = Layout::open(&dir.path().join("image")).unwrap();
    assert!(layout.resolve(&tag("v1")).unwrap().is_some());
}

#[test]
fn a_tag_is_not_set_over_a_blob_that_was_lost_meanwhile() {
    let (_dir, layout) = layout();
    let (config, manifest) = image(&layout, "config");
    layout
        .put_manifest(media_type::MANIFEST, &manifest)
        .unwrap();
    fs::remove_file(layout.blob_path(config.digest)).unwrap();
    let entry = vec![Descriptor::of(media_type::MANIFEST, &manifest)];
    let index = to_bytes(&Index::new(entry, Annotations::new()));
    let error = layout
        .tag(&tag("v1"), media_type::INDEX, &index)
        .unwrap_err();
    assert!(error.is_missing_blob(), "{error}");
    assert!(layout.resolve(&tag("v1")).unwrap().is_none());
}

#[test]
fn runs_at_the_same_time_lose_no_tag_and_leave_no_broken_layout() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/image");
    std::thread::scope(|scope| {
        for n in 0..8 {
            let path = &path;
            scope.spawn(move || {
                for turn in 0..8 {
                    // One that fails.
                    put(&Layout::open(path).unwrap(), "rubbish");
                    let layout = Layout::open(path).unwrap();
                    publish(&layout, &format!("v{n}-{turn}"), &format!("{n}"));
                }
            });
        }
    });
    let layout = Layout::open(&path).unwrap();
    for (n, turn) in (0..8).flat_map(|n| (0..8).map(move |turn| (n, turn))) {
        let found = layout.resolve(&tag(&format!("v{n}-{turn}"))).unwrap();
        layout
            .check_all(media_type::INDEX, &found.unwrap().bytes)
            .unwrap();
    }
}

#[test]
fn runs_that_all_fail_at_once_hinder_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/er/image");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..50).for_each(|_| drop(Layout::open(&path).unwrap())));
        }
    });
    drop(Layout::open(&path).unwrap());
    let left = Layout::open(&path).unwrap();
    assert!(left.index().unwrap().is_empty());
}

#[test]
fn directories_that_were_made_for_nothing_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("there")).unwrap();
    let layout = Layout::open(&dir.path().join("there/deep/er/image")).unwrap();
    drop(layout);
    let left = fs::read_dir(dir.path().join("there")).unwrap().count();
    assert_eq!(left, 0);
    drop(Layout::open(&dir.path().join("there")).unwrap());
    assert!(dir.path().join("there").exists(), "it was there before");
}

#[test]
fn a_blob_of_another_length_is_missing_and_can_be_made_again() {
    for damaged in ["", "con", "config and more"] {
        let (_dir, layout) = layout();
        let (config, manifest) = image(&layout, "config");
        fs::write(layout.blob_path(config.digest), damaged).unwrap();
        let put = || layout.put_manifest(media_type::MANIFEST, &manifest);
        assert!(put().unwrap_err().is_missing_blob(), "{damaged:?}");
        assert!(!layout.has_blob(config.digest), "{damaged:?}");
        image(&layout, "config");
        put().unwrap();
    }
    let (_dir, layout) = layout();
    let config = put(&layout, "config");
    fs::write(layout.blob_path(config.digest), "").unwrap();
    assert!(!layout.has_blob(config.digest));
}

#[test]
fn a_whole_blob_stays_whatever_size_a_manifest_states() {
    let (_dir, layout) = layout();
    let whole = put(&layout, "config");
    let stated = Descriptor {
        size: 3,
        ..whole.clone()
    };
    let manifest = Manifest::new(stated, Vec::new(), Annotations::new());
    let put = layout.put_manifest(media_type::MANIFEST, &to_bytes(&manifest));
    let error = put.unwrap_err();
    assert!(!error.is_missing_blob(), "{error}");
    for text in [
        &*whole.digest.to_string(),
        "6 bytes",
        "states 3",
        "--remake",
    ] {
        assert!(error.to_string().contains(text), "{error}");
    }
    assert!(layout.has_blob(whole.digest));
}

#[test]
fn to_look_leaves_no_trace_and_sees_what_is_there() {
    let (dir, layout) = layout();
    let path = dir.path().join("image");
    let config = publish(&layout, "v1", "config");
    drop(layout);
    fs::write(path.join("oci-layout"), "").unwrap();
    let before = names(&path);
    let seen = Layout::look(&path).unwrap();
    assert!(seen.resolve(&tag("v1")).unwrap().is_some());
    assert!(seen.has_blob(config.digest));
    drop(seen);
    assert_eq!(names(&path), before);

    fs::remove_dir_all(path.join("blobs")).unwrap();
    let seen = Layout::look(&path).unwrap();
    assert!(seen.resolve(&tag("v1")).unwrap().is_none());
    assert!(!path.join("blobs").exists());
    assert_eq!(fs::read(path.join("oci-layout")).unwrap(), b"");

    let nothing = dir.path().join("nothing");
    let error = Layout::look(&nothing).unwrap_err().to_string();
    assert!(error.starts_with("cannot read"), "{error}");
    assert!(!nothing.exists());
}

/// Of the files in a directory, and when it was changed.
fn names(directory: &Path) -> (Vec<PathBuf>, std::time::SystemTime) {
    let files = fs::read_dir(directory).unwrap();
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    (files, fs::metadata(directory).unwrap().modified().unwrap())
}

#[test]
fn a_manifest_that_is_damaged_is_as_if_it_were_not_there() {
    let (_dir, layout) = layout();
    let (_, manifest) = image(&layout, "config");
    let set = || layout.tag(&tag("v1"), media_type::MANIFEST, &manifest);
    set().unwrap();
    let digest = Digest::of(&manifest);
    fs::write(layout.blob_path(digest), "").unwrap();
    assert!(layout.resolve(&tag("v1")).unwrap().is_none());
    set().unwrap();
    assert_eq!(layout.manifest(digest).unwrap().unwrap().bytes, manifest);
}

/// A layout that another tool has written.
fn foreign(entries: &Value) -> (tempfile::TempDir, Layout) {
    let (dir, layout) = layout();
    publish(&layout, "theirs", "config");
    let index = json!({ "schemaVersion": 2, "manifests": entries, "x-tool": { "a": 1 } });
    fs::write(layout.path.join("index.json"), index.to_string()).unwrap();
    (dir, layout)
}

fn index_of(layout: &Layout) -> Value {
    serde_json::from_slice(&fs::read(layout.path.join("index.json")).unwrap()).unwrap()
}

#[test]
fn a_manifest_without_its_media_type_has_that_of_its_entry() {
    let (_dir, layout) = layout();
    let bytes = br#"{"schemaVersion":2,"manifests":[]}"#;
    let index = Descriptor::of("application/x-theirs", bytes);
    let content = Content::Memory(bytes.to_vec().into());
    layout.put_blob(&index, &content).unwrap();
    let mut entry = serde_json::to_value(&index).unwrap();
    entry["annotations"] = json!({ "org.opencontainers.image.ref.name": "latest" });
    let written = json!({ "schemaVersion": 2, "manifests": [entry] });
    fs::write(layout.path.join("index.json"), written.to_string()).unwrap();

    let found = layout.resolve(&tag("latest")).unwrap().unwrap();
    assert_eq!(found.descriptor.media_type, "application/x-theirs");
    let found = layout.manifest(index.digest).unwrap().unwrap();
    assert_eq!(found.descriptor.media_type, media_type::INDEX);

    let text = put(&layout, "no manifest at all");
    assert!(layout.manifest(text.digest).unwrap().is_none());
}

#[test]
fn entries_of_other_tools_stay_as_they_are_and_where_they_are() {
    let sha512 = format!("sha512:{}", "a".repeat(128));
    let entries = json!([
        { "mediaType": "application/x", "digest": sha512, "size": 1, "urls": ["https://x"],
          "annotations": { "org.opencontainers.image.ref.name": "z" } },
        { "mediaType": "application/x", "digest": "blake3:00", "size": 2, "data": "e30=",
          "artifactType": "application/y", "unknown": [1, null],
          "platform": { "os": "linux", "architecture": "amd64", "os.version": "1" } },
        "nonsense",
        { "mediaType": "application/x", "digest": sha512, "size": 1,
          "annotations": { "org.opencontainers.image.ref.name": "a" } },
    ]);
    let (_dir, layout) = foreign(&entries);
    assert!(layout.resolve(&tag("z")).unwrap().is_none());
    publish(&layout, "v1", "config");
    publish(&layout, "v1", "other");
    let mut index = index_of(&layout);
    assert_eq!(index["x-tool"], json!({ "a": 1 }));
    let list = index["manifests"].as_array_mut().unwrap();
    let own = |entry: &Value| {
        entry.pointer("/annotations/org.opencontainers.image.ref.name") == Some(&"v1".into())
    };
    assert_eq!(list.iter().filter(|entry| own(entry)).count(), 1);
    list.retain(|entry| !own(entry));
    assert_eq!(index["manifests"], entries);
}

#[test]
fn an_index_without_images_as_go_writes_it_is_one() {
    let (_dir, layout) = foreign(&Value::Null);
    publish(&layout, "v1", "config");
    assert!(layout.resolve(&tag("v1")).unwrap().is_some());
}

#[test]
fn what_other_tools_entries_stand_for_is_never_taken_back() {
    let (dir, failing) = layout();
    let path = dir.path().join("image");
    let blob = put(&failing, "theirs");
    let signature = json!({ "schemaVersion": 2, "layers": [], "config": blob }).to_string();
    let hex = "b".repeat(128);
    fs::create_dir(path.join("blobs/sha512")).unwrap();
    fs::write(path.join("blobs/sha512").join(&hex), &signature).unwrap();
    let entry = json!({ "mediaType": media_type::MANIFEST, "digest": format!("sha512:{hex}"),
                        "size": signature.len() });
    let index = json!({ "schemaVersion": 2, "manifests": [entry] });
    fs::write(path.join("index.json"), index.to_string()).unwrap();
    drop(failing);
    assert!(Layout::open(&path).unwrap().has_blob(blob.digest));
}

#[test]
fn a_layout_that_was_killed_while_it_was_made_is_one() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("oci-layout"), "").unwrap();
    let layout = Layout::open(dir.path()).unwrap();
    publish(&layout, "v1", "config");
    let marker = fs::read_to_string(dir.path().join("oci-layout")).unwrap();
    assert!(marker.contains("1.0.0"), "{marker}");
    fs::write(dir.path().join("index.json"), "").unwrap();
    publish(&layout, "v1", "config");
    assert!(layout.resolve(&tag("v1")).unwrap().is_some());
}

#[test]
fn a_place_that_cannot_be_used_is_told_with_its_cause_and_then_a_cure() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "mine").unwrap();
    let broken = dir.path().join("broken");
    publish(&Layout::open(&broken).unwrap(), "v1", "config");
    fs::write(broken.join("index.json"), "[").unwrap();
    let cases = [
        (Layout::open(&file).unwrap_err(), "it is a file"),
        (
            Layout::open(&file.join("image")).unwrap_err(),
            "a part of that path is a file",
        ),
        (
            Layout::open(Path::new("/proc/nixpy/image")).unwrap_err(),
            "",
        ),
        (
            Layout::open(&broken)
                .unwrap()
                .resolve(&tag("v1"))
                .unwrap_err(),
            "its index.json is not what the specification says",
        ),
    ];
    assert!(cases[0].0.is_foreign());
    for (error, cause) in cases {
        let text = error.to_string();
        let cure = text.find("; name another place with --layout").unwrap();
        assert!(text[..cure].contains(cause), "{text}");
        assert!(!text.contains('\n') && !text.contains("remove"), "{text}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
}
