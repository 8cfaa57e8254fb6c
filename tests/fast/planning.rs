//! `nixpy-ci plan`: what would be done, and how the layers would be cut.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nixpy_pipeline::image::layering::Change;
use nixpy_pipeline::preview::Preview;
use nixpy_testkit::registry::Registry;

use crate::scenario::{Ended, Scenario};

#[test]
fn the_layers_of_a_package_are_shown_with_what_a_change_sends_again() {
    let ended = Scenario::app().built().nixpy(["plan"]).ended().succeeded();
    ended
        .prints("linux/amd64: ")
        .prints("python3-3.12.4-x86_64")
        .prints("the app (1 layer)");
}

#[test]
fn for_a_program_all_of_it_is_json() {
    let scenario = Scenario::app().built();
    let preview = preview(&scenario.nixpy(["plan", "--json"]).ended().succeeded());
    assert_eq!(preview.images.len(), 2);
    for image in &preview.images {
        let top = image.layers.last().expect("there are layers");
        assert!(top.paths[0].contains("-base-api-0.1.0-"), "{top:?}");
        assert!(image.layers.iter().all(|layer| !layer.published));
        let app = &image.resent[0];
        assert_eq!((&app.change, app.layers), (&Change::App, 1));
        assert_eq!(app.nar_bytes, top.nar_size);
    }
}

#[test]
fn of_a_described_image_its_own_layers_are_shown() {
    let scenario = Scenario::stream().built();
    let preview = preview(&scenario.nixpy(["plan", "--json"]).ended().succeeded());
    let layers = &preview.images[0].layers;
    assert_eq!(layers.len(), 4);
    assert_eq!(layers[2].paths.len(), 2, "as its description has it");
}

#[test]
fn what_is_published_is_known_and_nothing_is_written() {
    let (registry, scenario) = (Registry::start(), Scenario::app().built());
    let target = format!("{}/api", registry.host());
    scenario.run(["-r", &target]).ended().succeeded();
    registry.reset_counts();
    let ended = scenario.nixpy(["plan", "-r", &target, "--json"]).ended();
    let preview = preview(&ended.succeeded());
    let layers = preview.images.iter().flat_map(|image| &image.layers);
    assert!(layers.clone().count() > 0 && layers.clone().all(|layer| layer.published));
    let written = registry.requests();
    assert!(
        written.iter().all(|request| request.method == "GET"),
        "{written:#?}"
    );

    let layout = Scenario::app().built();
    layout.nixpy(["plan"]).ended().succeeded();
    assert!(!layout.has("oci-image"));
}

#[test]
fn a_layout_that_is_looked_at_stays_as_it_is() {
    let scenario = Scenario::app().built();
    scenario.run([]).ended().succeeded();
    let layout = scenario.checkout().join("oci-image");
    let plan = || {
        let ended = scenario.nixpy(["plan", "--json"]).ended().succeeded();
        preview(&ended)
    };

    // As another tool may have it: nothing of it is ours to put right.
    fs::write(layout.join("oci-layout"), "").unwrap();
    for directory in ["blobs/sha256", "blobs", ""] {
        allow(&layout.join(directory), 0o555);
    }
    let before = listing(&layout);
    let planned = plan();
    assert_eq!(listing(&layout), before);
    let mut layers = planned.images.iter().flat_map(|image| &image.layers);
    assert!(layers.all(|layer| layer.published));

    for directory in ["", "blobs", "blobs/sha256"] {
        allow(&layout.join(directory), 0o755);
    }
    fs::remove_dir_all(layout.join("blobs")).unwrap();
    let before = listing(&layout);
    plan();
    assert_eq!(listing(&layout), before);
}

#[test]
fn a_registry_that_does_not_answer_costs_a_note() {
    let scenario = Scenario::app().built();
    let ended = scenario.nixpy(["plan", "-r", "127.0.0.1:1/api"]).ended();
    ended
        .succeeded()
        .prints("note: what is published is not known")
        .prints("the app (1 layer)");
}

#[test]
fn of_what_is_not_built_and_in_no_cache_only_the_plan_is_told() {
    let ended = Scenario::app().nixpy(["plan"]).ended().succeeded();
    ended.prints("note: the layers are known when the outputs are built");
}

#[test]
fn a_lock_file_that_is_broken_costs_a_note() {
    let scenario = Scenario::app().built().file("uv.lock", "[[package]\n");
    let ended = scenario.nixpy(["plan"]).ended().succeeded();
    ended.prints("note: uv.lock says nothing about layers");
}

fn preview(ended: &Ended) -> Preview {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|e| panic!("no plan: {e}\n{ended}"))
}

/// Everything in a directory and itself, with its size and when it was changed.
fn listing(directory: &Path) -> Vec<(PathBuf, u64, (i64, i64))> {
    let found = fs::metadata(directory).unwrap();
    let changed = (found.ctime(), found.ctime_nsec());
    let mut all = vec![(directory.to_owned(), found.size(), changed)];
    if found.is_dir() {
        let entries = fs::read_dir(directory).unwrap();
        let mut entries: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        all.extend(entries.iter().flat_map(|entry| listing(entry)));
    }
    all
}

fn allow(directory: &Path, mode: u32) {
    fs::set_permissions(directory, fs::Permissions::from_mode(mode)).unwrap();
}
