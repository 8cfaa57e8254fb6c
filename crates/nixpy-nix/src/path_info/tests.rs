use super::*;

const ENV: &str = "/nix/store/w2qimm4z19p47n21khqccpg90ra91spf-base-api-env";

fn fixture(name: &str) -> String {
    std::fs::read_to_string(format!(
        "{}/tests/fixtures/{name}",
        env!("CARGO_MANIFEST_DIR")
    ))
    .unwrap()
}

fn one(json: &str) -> Option<PathInfo> {
    read(json, "/nix/store")
        .unwrap()
        .into_values()
        .next()
        .unwrap()
}

#[test]
fn every_shape_tells_the_same() {
    let first = one(&fixture("2.8.0/path-info.json")).unwrap();
    assert_eq!(first.path.as_str(), ENV);
    assert_eq!(
        first.nar_hash.to_string(),
        "sha256-rxBLLFaiIPnII4ziRPnqmRZqoNrP+3Ew0WyUjvjI1lw="
    );
    assert_eq!((first.nar_size, first.references.len()), (13504, 17));
    assert_eq!(first.deriver.as_ref().unwrap().name(), "base-api-env.drv");
    assert!(first.signatures.is_empty() && first.ca.is_none());
    for name in [
        "2.26.3/path-info.json",
        "2.34.8/path-info.json",
        "2.34.8/path-info-json-format-2.json",
    ] {
        assert_eq!(one(&fixture(name)).unwrap(), first, "{name}");
    }
}

#[test]
fn a_path_that_is_not_there_is_told_apart_in_both_ways() {
    assert_eq!(one(&format!(r#"[{{"path":"{ENV}","valid":false}}]"#)), None);
    assert_eq!(one(&format!(r#"{{"{ENV}":null}}"#)), None);
}

#[test]
fn an_answer_of_another_shape_is_not_guessed_at() {
    for json in [
        "",
        "null",
        "7",
        "[7]",
        r#"{"info":7}"#,
        r#"{"x":{}}"#,
        r#"[{"path":"/nix/store/a"}]"#,
    ] {
        assert!(read(json, "/nix/store").is_none(), "{json}");
    }
}
