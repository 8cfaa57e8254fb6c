use super::*;

fn fixture(version: &str) -> Derivation {
    let path = format!(
        "{}/tests/fixtures/{version}/derivation-show.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let mut all = read(&std::fs::read_to_string(path).unwrap(), "/nix/store").unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

#[test]
fn every_version_describes_the_same_derivation() {
    let first = fixture("2.8.0");
    assert_eq!(first.system, "x86_64-linux");
    assert_eq!(first.name, "base-api-conf.json");
    assert_eq!(
        first.outputs["out"].as_ref().unwrap().name(),
        "base-api-conf.json"
    );
    assert_eq!(first.env["repoTag"], "base_api:amd64");
    let inputs: Vec<&str> = first
        .input_drvs
        .iter()
        .map(|(path, _)| path.name())
        .collect();
    assert!(
        inputs.contains(&"base-api-customisation-layer.drv"),
        "{inputs:?}"
    );
    assert!(
        first
            .input_drvs
            .iter()
            .all(|(_, outputs)| outputs == &["out"])
    );
    for version in ["2.26.3", "2.34.8"] {
        let other = fixture(version);
        assert_eq!(other, first, "{version}");
    }
}

#[test]
fn the_system_stands_behind_three_lists_whatever_is_in_them() {
    let written = |sources: &str| {
        format!(
            r#"Derive([("out","/nix/store/x","","")],[("/nix/store/y.drv",["out"])],[{sources}],"aarch64-linux","/bin/sh",[],[])"#
        )
    };
    for sources in ["", r#""/nix/store/a]]]b""#, r#""a\"],[\"","b""#] {
        assert_eq!(system_in(&written(sources)), Some("aarch64-linux"));
    }
    for broken in ["", "Derive(", "]]]", "Derive([],[],[]", "Derive([],[],[],7"] {
        assert_eq!(system_in(broken), None, "{broken}");
    }
}
