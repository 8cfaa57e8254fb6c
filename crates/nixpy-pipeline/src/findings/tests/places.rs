//! Which file of the project a path means.

use super::*;

#[test]
fn a_path_of_a_builder_is_a_file_of_the_project() {
    let checkout = Checkout::with(&[("flake.nix", "{ }"), ("app/x.py", ""), ("setup.py", "")]);
    let project = checkout.project(".");
    let in_store = "/nix/store/18xqrvsx1s4sb0wibkn4wq04sggwxha2-source/app/x.py";
    let here = checkout.path().join("app/x.py");
    for path in [
        "app/x.py",
        "./app/x.py",
        "/build/source/app/x.py",
        "/build/app-1.0/app/x.py",
        "/build/app/x.py",
        "/tmp/nix-build-app-1.0.drv-0/source/app/x.py",
        "/private/tmp/nix-build-app.drv-12/app/x.py",
        "/nix/var/nix/builds/nix-4521-123/build/source/app/x.py",
        "/nix/var/nix/builds/nix-build-app.drv-0/source/app/x.py",
        in_store,
        here.to_str().unwrap(),
    ] {
        assert_eq!(
            project.file(path, "app").as_deref(),
            Some("app/x.py"),
            "{path}"
        );
    }
    assert_eq!(
        project.file("/build/setup.py", "app").as_deref(),
        Some("setup.py")
    );
}

#[test]
fn a_path_of_somebody_else_is_none() {
    let checkout = Checkout::with(&[("flake.nix", "{ }"), ("app/main.py", ""), ("main.py", "")]);
    let project = checkout.project(".");
    for path in [
        "/nix/store/7hnr99nxrd2aw6lghybqdmkckq60j6l9-python3-3.11.7/lib/python3.11/unittest/main.py",
        "/nix/store/7hnr99nxrd2aw6lghybqdmkckq60j6l9-x/lib/python3.11/site-packages/app/main.py",
        "/nix/store/7hnr99nxrd2aw6lghybqdmkckq60j6l9-pytest/app/main.py",
        "/build/source/vendor/lib/main.py",
        "/usr/lib/main.py",
        "/build/source/../main.py",
        "../main.py",
        "/etc/passwd",
        "<string>",
        "",
        "/",
        "/build/",
    ] {
        assert_eq!(project.file(path, "app"), None, "{path}");
    }
}

#[test]
fn a_flake_in_a_folder_comes_before_the_others_and_so_does_the_packages_own() {
    let checkout = Checkout::with(&[
        ("services/api/flake.nix", "{ }"),
        ("services/api/src/api/main.py", ""),
        ("services/worker/main.py", ""),
        ("services/other/main.py", ""),
        ("services/api/tests/test_x.py", ""),
        ("tests/test_x.py", ""),
    ]);
    let project = checkout.project("services/api");
    let file = |path: &str, package: &str| project.file(path, package);
    let some = |path: &str| Some(path.to_owned());
    assert_eq!(
        file("tests/test_x.py", ""),
        some("services/api/tests/test_x.py")
    );
    assert_eq!(
        file("/build/source/main.py", "worker"),
        some("services/worker/main.py")
    );
    assert_eq!(file("/build/source/main.py", "x"), None, "it could be any");
    assert_eq!(
        file("/build/source/services/other/main.py", "x"),
        some("services/other/main.py")
    );
    assert_eq!(
        project.in_source("services/api/flake.nix"),
        some("services/api/flake.nix")
    );
    let alone = checkout.project("path:./services/api");
    assert_eq!(alone.in_source("flake.nix"), some("services/api/flake.nix"));
}

#[test]
fn links_are_not_followed() {
    let checkout = Checkout::with(&[("flake.nix", "{ }"), ("app/x.py", "")]);
    std::os::unix::fs::symlink("/etc", checkout.path().join("etc")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", checkout.path().join("passwd.py")).unwrap();
    let project = checkout.project(".");
    assert_eq!(project.file("etc/passwd", ""), None);
    assert_eq!(project.file("passwd.py", ""), None);
}

#[test]
fn an_evaluation_that_fails_is_at_its_line_of_the_repository() {
    use nixpy_nix::error::{EvaluationFailure, Position};
    use nixpy_nix::{NixError, NixErrorKind};
    let checkout = Checkout::with(&[("services/api/flake.nix", "{ }")]);
    let failure = |file: &str, in_flake: bool| NixError {
        act: "evaluate",
        subject: ".".to_owned(),
        kind: Box::new(NixErrorKind::Evaluation(EvaluationFailure {
            message: "attribute 'x' missing".to_owned(),
            position: Some(Position {
                file: file.to_owned(),
                line: 12,
                column: 7,
                in_flake,
            }),
            trace: vec!["… while evaluating the attribute 'y'".to_owned()],
        })),
        cause: None,
    };
    let project = checkout.project("services/api");
    let of =
        |error: &NixError| crate::findings::evaluation::of_error(error, Some(&project)).unwrap();
    let own = of(&failure("services/api/flake.nix", true));
    let place = own.place.unwrap();
    assert_eq!(
        (place.file.as_str(), place.line),
        ("services/api/flake.nix", 12)
    );
    assert_eq!(place.column, Some(7));
    assert!(own.message.starts_with("attribute 'x' missing\n… while"));
    let other = of(&failure(
        "/nix/store/18xqrvsx1s4sb0wibkn4wq04sggwxha2-source/lib.nix",
        false,
    ));
    assert_eq!(other.place, None);
    assert!(other.message.contains("source/lib.nix:12:7"));
}
