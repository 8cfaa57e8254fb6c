//! An image that lies on another (`fromImage`): what we publish against what its own
//! script writes, layer by layer and config by config.

use std::fs::File;
use std::io::Read as _;
use std::process::Stdio;

use serde_json::Value;

use crate::world::example::example;
use crate::world::flake::own_system;
use crate::world::layout::Layout;
use crate::world::nixpy::Workplace;
use crate::world::program::program;

#[test]
fn layers_and_config_are_those_that_the_script_writes() {
    for attribute in ["derived", "stream"] {
        let here = Workplace::new();
        let arguments = [
            &example().flake(attribute),
            "--system",
            &own_system(),
            "--json",
        ];
        let report = here.run(arguments).succeeded().json();
        assert_eq!(report["platforms"][0]["form"], "stream");
        let ours = Layout::at(here.path("oci-image")).json(&report["platforms"][0]["imageId"]);

        let script = example().package(&own_system(), attribute);
        let theirs = config_in(&script, &here);
        assert_eq!(ours["rootfs"], theirs["rootfs"], "{attribute}");
        assert_eq!(ours, theirs, "{attribute}");
        let env = &ours["config"]["Env"];
        assert_eq!(
            attribute == "derived",
            env[0] == "PYTHONUNBUFFERED=1" && env[3] == "TERM=dumb"
        );
    }
}

/// The config in the archive that a script writes.
fn config_in(script: &std::path::Path, here: &Workplace) -> Value {
    let path = here.path("archive");
    let written = program("sh")
        .args(["-c", "exec \"$0\"", script.to_str().unwrap()])
        .stdout(File::create(&path).unwrap())
        .stderr(Stdio::null())
        .status();
    assert!(written.unwrap().success());
    let mut archive = tar::Archive::new(File::open(&path).unwrap());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        if name.ends_with(".json") && name != "manifest.json" {
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            return serde_json::from_str(&text).unwrap();
        }
    }
    panic!("the archive has no config");
}
