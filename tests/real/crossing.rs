//! What this machine's compilers make for another processor needs neither an emulator
//! nor a builder.

use serde_json::Value;

use crate::world::flake::Flake;
use crate::world::layout::Layout;
use crate::world::nixpy::{Workplace, binary};
use crate::world::program::run;

/// A configuration by which this machine does not emulate.
const NO_EMULATION: &str = "--nix-option=extra-platforms=";

#[test]
fn an_attribute_for_another_system_is_built_here_and_published_as_its_platform() {
    let (here, flake) = (Workplace::new(), Flake::with_cross());
    let arguments = [&flake.image(), "--layout", "out", "--json", NO_EMULATION];
    let mut command = std::process::Command::new(binary());
    here.prepare(command.arg("plan").args(arguments));
    let plan = run(&mut command).succeeded().json();
    let arm = &plan["jobs"][0];
    assert_eq!(arm["strategy"], "cross", "{plan:#}");
    assert_eq!(arm["attribute"], "image-aarch64");

    let report = here.run(arguments).succeeded().json();
    let platforms = report["platforms"].as_array().unwrap();
    let strategies: Vec<&Value> = platforms.iter().map(|one| &one["strategy"]).collect();
    assert_eq!(strategies, ["cross", "native"]);
    for architecture in ["arm64", "amd64"] {
        let place = here.path(architecture);
        std::fs::create_dir(&place).unwrap();
        Layout::at(here.path("out")).unpack("latest", architecture, &place);
        let stamp = std::fs::read_to_string(place.join("etc/stamp")).unwrap();
        assert_eq!(stamp, flake.stamp());
    }
}

#[test]
fn without_any_way_the_run_ends_before_anything_is_built_and_says_how_to_open_one() {
    let systems = ["x86_64-linux", "aarch64-linux"];
    let flake = Flake::for_systems(&systems, "echo building $stamp; cat $archive > $out");
    let here = Workplace::new();
    let ended = here.run([
        &flake.image(),
        "--layout",
        "out",
        NO_EMULATION,
        "--nix-option=builders=",
    ]);
    let ended = ended.ended_with(3);
    for cure in ["--builders", "--cross", "--matrix"] {
        assert!(ended.stderr.contains(cure), "{ended}");
    }
    assert!(!ended.stderr.contains("building"), "{ended}");
    here.has_only(&[]);
}

#[test]
fn an_attribute_that_nobody_has_named_stops_nothing_by_being_broken() {
    for broken in [
        "image-aarch64 = throw \"not for this one\"",
        "image-arm64-next = {}.nothing",
        "image-arm64 = derivation { name = \"tool\"; system = \"x86_64-linux\"; builder = \"/x\"; } \
         // { stdenv.hostPlatform.system = \"x86_64-linux\"; }",
    ] {
        let (here, flake) = (Workplace::new(), Flake::small());
        let file = flake.folder().join("flake.nix");
        let text = std::fs::read_to_string(&file).unwrap();
        let system = crate::world::flake::own_system();
        let with = format!("{{ self }}: {{ packages.{system}.{broken};");
        std::fs::write(&file, text.replacen("{ self }: {", &with, 1)).unwrap();
        let ended = here.run([&flake.image(), "--layout", "out", "--json"]);
        let report = ended.succeeded().json();
        assert_eq!(report["platforms"].as_array().unwrap().len(), 1, "{broken}");
    }
}
