//! Files of a layout directory that are no files: what a build has made may lead anywhere.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::layout::{Files, Image, blob};
use crate::place::{Place, promptly, told};

/// Replaces a file of the layout, and tells what becomes of that.
fn with_file(replace: impl FnOnce(&Path) + Send + 'static) -> String {
    let (error, published) = promptly(move || async move {
        let place = Place::layout();
        let image = Image::small();
        let layout = Files::of(&image).directory(&place.dir.path().join("store/image"));
        let layer = layout.join(blob(image.layer_digests()[0]));
        fs::rename(&layer, place.dir.path().join("outside")).unwrap();
        replace(&layer);
        (place.take(&layout).await.unwrap_err(), place.published())
    });
    assert_eq!(published, 0);
    told(&error)
}

#[test]
fn a_link_that_leads_out_of_the_store_is_not_followed() {
    // To the very bytes: it is the place that is wrong.
    let told = with_file(|layer| symlink("../../../../outside", layer).unwrap());
    assert!(told.contains("neither in it nor in the store"), "{told}");
    let told = with_file(|layer| symlink("/dev/zero", layer).unwrap());
    assert!(told.contains("/dev/zero"), "{told}");
}

#[test]
fn a_link_in_a_circle_is_refused() {
    let told = with_file(|layer| symlink(layer.file_name().unwrap(), layer).unwrap());
    assert!(told.contains("cannot be read"), "{told}");
}

#[test]
fn a_pipe_is_not_waited_for() {
    let told = with_file(|layer| {
        let made = std::process::Command::new("mkfifo").arg(layer).status();
        assert!(made.unwrap().success());
    });
    assert!(told.contains("not a regular file"), "{told}");
}
