//! What is gathered from what a recorded Nix says.

use super::*;

fn derivation(name: &str, env: &[&str]) -> Derivation {
    let env = env.iter().map(|name| ((*name).to_owned(), "x".to_owned()));
    Derivation {
        path: format!("/nix/store/{:0>32}-{name}.drv", 1).parse().unwrap(),
        name: name.to_owned(),
        system: "x86_64-linux".to_owned(),
        outputs: BTreeMap::new(),
        input_drvs: Vec::new(),
        input_srcs: Vec::new(),
        env: env.collect(),
    }
}

#[test]
fn an_archive_of_an_image_is_known_by_its_name_and_environment() {
    assert!(is_image(&derivation("api.tar.gz", &["imageName"])));
    assert!(is_image(&derivation(
        "docker-image-api.tar.gz",
        &["imageName"]
    )));
    assert!(!is_image(&derivation("sources.tar.gz", &["src"])));
    assert!(!is_image(&derivation("stream-api", &["imageName"])));
}
