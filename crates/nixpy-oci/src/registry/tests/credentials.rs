use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use tempfile::TempDir;

use super::Secret;
use crate::registry::{CredentialEnvironment, Credentials, CredentialsError};

/// A home directory, with what the environment says about it.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(self, file: &str, text: &str) -> Self {
        let path = self.0.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    /// A helper that runs this script.
    fn helper(self, name: &str, script: &str) -> Self {
        let file = format!("bin/docker-credential-{name}");
        let home = self.with(&file, &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(home.0.path().join(file), fs::Permissions::from_mode(0o755)).unwrap();
        home
    }

    fn environment(&self) -> CredentialEnvironment {
        let below = |path: &str| Some(self.0.path().join(path));
        let mut path = self.0.path().join("bin").into_os_string();
        path.push(":/usr/bin:/bin");
        CredentialEnvironment {
            home: below(""),
            xdg_runtime_dir: below("run"),
            docker_config: None,
            registry_auth_file: below("named.json"),
            helper_path: Some(path),
        }
    }

    async fn find(&self, repository: &str) -> Result<Credentials, CredentialsError> {
        Credentials::discover(&repository.parse().unwrap(), &self.environment()).await
    }
}

fn entry(key: &str, user: &str) -> String {
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("{user}:pass:word"));
    format!("{key:?}: {{\"auth\": {auth:?}}}")
}

fn auths(entries: &[String]) -> String {
    format!("{{\"auths\": {{{}}}}}", entries.join(","))
}

fn user(name: &str) -> Credentials {
    Credentials::Basic {
        user: name.to_owned(),
        password: Secret::new("pass:word"),
    }
}

#[tokio::test]
async fn files_are_asked_in_their_documented_order() {
    let files = [
        "named.json",
        "run/containers/auth.json",
        ".config/containers/auth.json",
        ".docker/config.json",
    ];
    let mut home = Home::new();
    assert_eq!(
        home.find("ghcr.io/acme/api").await.unwrap(),
        Credentials::Anonymous
    );
    for file in files.into_iter().rev() {
        home = home.with(file, &auths(&[entry("ghcr.io", file)]));
        assert_eq!(home.find("ghcr.io/acme/api").await.unwrap(), user(file));
    }
    assert_eq!(
        home.find("quay.io/acme/api").await.unwrap(),
        Credentials::Anonymous
    );
}

#[tokio::test]
async fn docker_config_takes_the_place_of_the_home_directory() {
    let home = Home::new()
        .with(".docker/config.json", &auths(&[entry("ghcr.io", "home")]))
        .with(
            "elsewhere/config.json",
            &auths(&[entry("ghcr.io", "elsewhere")]),
        );
    let docker_config = Some(home.0.path().join("elsewhere"));
    let environment = CredentialEnvironment {
        docker_config,
        ..home.environment()
    };
    let found = Credentials::discover(&"ghcr.io/a/b".parse().unwrap(), &environment)
        .await
        .unwrap();
    assert_eq!(found, user("elsewhere"));
}

#[tokio::test]
async fn the_longest_key_that_fits_is_taken() {
    let home = Home::new().with(
        "named.json",
        &auths(&[
            entry("ghcr.io", "host"),
            entry("ghcr.io/acme", "owner"),
            entry("ghcr.io/acme/api", "image"),
            entry("https://index.docker.io/v1/", "hub"),
            entry("http://127.0.0.1:5000/v2/", "local"),
        ]),
    );
    for (repository, expected) in [
        ("ghcr.io/acme/api", "image"),
        ("ghcr.io/acme/apis", "owner"),
        ("ghcr.io/acmes/api", "host"),
        ("docker.io/acme/api", "hub"),
        ("127.0.0.1:5000/api", "local"),
    ] {
        assert_eq!(
            home.find(repository).await.unwrap(),
            user(expected),
            "{repository}"
        );
    }
    assert_eq!(
        home.find("ghcr.io.example.org/a").await.unwrap(),
        Credentials::Anonymous
    );
}

#[tokio::test]
async fn tokens_of_both_kinds_are_understood() {
    let home = Home::new().with(
        "named.json",
        r#"{"auths": {"a.io": {"registrytoken": "T"}, "b.io": {"identitytoken": "R", "auth": "eDo="}}}"#,
    );
    assert_eq!(
        home.find("a.io/x").await.unwrap(),
        Credentials::Bearer(Secret::new("T"))
    );
    let refresh = Credentials::Basic {
        user: "00000000-0000-0000-0000-000000000000".to_owned(),
        password: Secret::new("R"),
    };
    assert_eq!(home.find("b.io/x").await.unwrap(), refresh);
}

#[tokio::test]
async fn helpers_are_asked_with_the_server_on_their_input() {
    let answer = r#"test "$1" = get || exit 1; read -r server
        printf '{"ServerURL": "%s", "Username": "for %s", "Secret": "pass:word"}' "$server" "$server""#;
    let home = Home::new()
        .helper("special", answer)
        .helper("store", answer)
        .with(
            "named.json",
            r#"{"credHelpers": {"ghcr.io": "special"}, "credsStore": "store"}"#,
        );
    assert_eq!(home.find("ghcr.io/a/b").await.unwrap(), user("for ghcr.io"));
    assert_eq!(
        home.find("docker.io/a/b").await.unwrap(),
        user("for https://index.docker.io/v1/")
    );
}

#[tokio::test]
async fn a_helper_that_has_nothing_leaves_it_to_the_next() {
    let home = Home::new()
        .helper(
            "empty",
            "echo credentials not found in native keychain; exit 1",
        )
        .with("named.json", r#"{"credsStore": "empty"}"#)
        .with(".docker/config.json", &auths(&[entry("ghcr.io", "docker")]));
    assert_eq!(home.find("ghcr.io/a/b").await.unwrap(), user("docker"));
}

#[tokio::test]
async fn a_store_that_is_gone_matters_only_to_those_who_logged_in_through_it() {
    let home = Home::new().with(
        "named.json",
        r#"{"auths": {"ghcr.io": {}}, "credsStore": "desktop"}"#,
    );
    assert_eq!(
        home.find("quay.io/a/b").await.unwrap(),
        Credentials::Anonymous
    );
    let error = home.find("ghcr.io/a/b").await.unwrap_err().to_string();
    assert!(
        error.contains("docker-credential-desktop cannot be run; install it"),
        "{error}"
    );
}

#[tokio::test]
async fn a_broken_file_is_named_and_not_quoted() {
    for (text, place) in [
        ("{\n\"auths\": {\"ghcr.io\": \"c2VjcmV0\"}}", "line 2"),
        (
            "{\"auths\": {\"ghcr.io\": {\"auth\": \"c2VjcmV0\"}}}",
            "the entry \"ghcr.io\"",
        ),
    ] {
        let home = Home::new().with(".docker/config.json", text);
        let error = home.find("ghcr.io/a/b").await.unwrap_err();
        let printed = format!("{error} {error:?}");
        assert!(
            printed.contains(".docker/config.json") && printed.contains(place),
            "{printed}"
        );
        assert!(
            !printed.contains("c2VjcmV0") && !printed.contains("secret"),
            "{printed}"
        );
    }
}

#[tokio::test]
async fn a_helper_that_answers_badly_does_not_have_its_answer_printed() {
    let home = Home::new()
        .helper("odd", "echo hunter2")
        .helper("sad", "echo 'the keyring is locked'; exit 1")
        .with(
            "named.json",
            r#"{"credHelpers": {"a.io": "odd", "b.io": "sad", "c.io": "../x"}}"#,
        );
    let odd = home.find("a.io/x").await.unwrap_err();
    assert!(!format!("{odd} {odd:?}").contains("hunter2"));
    let sad = home.find("b.io/x").await.unwrap_err().to_string();
    assert!(
        sad.contains("docker-credential-sad failed: the keyring is locked"),
        "{sad}"
    );
    assert!(home.find("c.io/x").await.is_err());
    assert!(Path::new(&odd.file).ends_with("named.json"));
}
