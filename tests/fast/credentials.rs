//! Who pushes: what `docker login` left, what was set, and that none of it is
//! ever shown.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nixpy_testkit::registry::{Auth, Bearer, Fault, Registry};
use serde_json::{Value, json};

use crate::scenario::{Ended, Run, Scenario};

const USER: &str = "ci-bot";
const PASSWORD: &str = "correct-horse-battery";

#[test]
fn what_docker_login_left_is_taken() {
    for auth in [
        Auth::basic(USER, PASSWORD),
        Bearer::new(USER, PASSWORD).into(),
    ] {
        let registry = Registry::builder().auth(auth).start();
        let scenario = Scenario::app().home_file(".docker/config.json", &login(&registry));
        push(&scenario, &registry).ended().succeeded();
        assert!(registry.tag("base-api", "latest").is_some());
    }
}

#[test]
fn what_podman_login_left_is_taken() {
    let registry = Registry::builder()
        .auth(Auth::basic(USER, PASSWORD))
        .start();
    let scenario = Scenario::app().home_file(".config/containers/auth.json", &login(&registry));
    push(&scenario, &registry).ended().succeeded();
}

#[test]
fn a_name_and_a_password_that_were_set_are_taken_before_any_file() {
    for auth in [
        Auth::basic(USER, PASSWORD),
        Bearer::new(USER, PASSWORD).into(),
    ] {
        let registry = Registry::builder().auth(auth).start();
        let other = login(&registry).replace(&encoded(PASSWORD), &encoded("another"));
        let scenario = Scenario::app().home_file(".docker/config.json", &other);
        let run = push(&scenario, &registry)
            .envs([("NIXPY_USERNAME", USER), ("NIXPY_PASSWORD", PASSWORD)]);
        run.ended().succeeded();
    }
}

#[test]
fn inputs_of_the_action_log_in_as_well() {
    let registry = Registry::builder()
        .auth(Bearer::new(USER, PASSWORD))
        .start();
    let scenario = Scenario::app();
    let run =
        push(&scenario, &registry).envs([("INPUT_USERNAME", USER), ("INPUT_PASSWORD", PASSWORD)]);
    run.ended().succeeded();
}

#[test]
fn a_token_that_runs_out_is_renewed_and_the_push_goes_on() {
    let registry = Registry::builder()
        .auth(Bearer::new(USER, PASSWORD).token_uses(20))
        .start();
    let scenario = Scenario::app().home_file(".docker/config.json", &login(&registry));
    push(&scenario, &registry).ended().succeeded();
    assert!(registry.tag("base-api", "latest").is_some());
}

#[test]
fn refused_credentials_end_with_the_command_that_cures_it() {
    for auth in [
        Auth::basic(USER, PASSWORD),
        Bearer::new(USER, PASSWORD).into(),
    ] {
        let registry = Registry::builder().auth(auth).start();
        let scenario = Scenario::app();
        let run = push(&scenario, &registry)
            .envs([("NIXPY_USERNAME", USER), ("NIXPY_PASSWORD", "wrong")]);
        let ended = run.ended().with_code(4).prints_nothing();
        ended.with_the_error(&[
            "refused the credentials",
            &format!("docker login {}", registry.host()),
        ]);
        assert!(registry.tags("base-api").is_empty());
    }
}

#[test]
fn a_registry_that_wants_credentials_gets_them_named() {
    let registry = Registry::builder()
        .auth(Auth::basic(USER, PASSWORD))
        .start();
    let scenario = Scenario::app();
    let ended = push(&scenario, &registry).ended().with_code(4);
    ended.with_the_error(&["wants credentials", "none were found", "docker login"]);
}

#[test]
fn a_user_who_may_only_pull_is_told_which_right_is_missing() {
    let registry = Registry::builder()
        .auth(Bearer::new(USER, PASSWORD).pull_only())
        .start();
    let scenario = Scenario::app().home_file(".docker/config.json", &login(&registry));
    let ended = push(&scenario, &registry).ended().with_code(4);
    ended.with_the_error(&["403", "right to push", "base-api"]);
}

#[test]
fn a_name_without_a_password_says_which_variable_to_set() {
    let registry = Registry::start();
    let scenario = Scenario::app();
    let ended = push(&scenario, &registry)
        .env("NIXPY_USERNAME", USER)
        .ended();
    ended
        .with_code(2)
        .with_the_error(&["NIXPY_USERNAME", "NIXPY_PASSWORD"]);
    let ended = push(&scenario, &registry)
        .env("NIXPY_PASSWORD", PASSWORD)
        .ended();
    ended
        .with_code(2)
        .never_says(PASSWORD)
        .with_the_error(&["NIXPY_PASSWORD", "--username"]);
    assert!(registry.requests().is_empty());
}

#[test]
fn a_login_file_that_is_broken_is_named_and_never_quoted() {
    let registry = Registry::start();
    let broken = format!("{{ \"auths\": {PASSWORD} }}");
    let scenario = Scenario::app().home_file(".docker/config.json", &broken);
    let ended = push(&scenario, &registry)
        .ended()
        .with_code(2)
        .never_says(PASSWORD);
    ended.with_the_error(&[".docker/config.json", "line 1"]);
}

#[test]
fn no_secret_is_ever_told_however_much_is_told() {
    let auths = || {
        [
            Auth::basic(USER, PASSWORD),
            Bearer::new(USER, PASSWORD).into(),
        ]
    };
    for auth in auths() {
        let registry = Registry::builder().auth(auth).start();
        let scenario = Scenario::app();
        let run = push(&scenario, &registry)
            .env("NIXPY_LOG", "trace")
            .envs([("NIXPY_USERNAME", USER), ("NIXPY_PASSWORD", PASSWORD)]);
        let ended = run.ended().succeeded().says("calling nix");
        tells_nothing(ended, &registry);
    }
    for auth in auths() {
        let registry = Registry::builder().auth(auth).start();
        registry.fail(Fault::status(403).on_path("/manifests/").always());
        let scenario = Scenario::app().home_file(".docker/config.json", &login(&registry));
        let ended = push(&scenario, &registry)
            .env("NIXPY_LOG", "trace")
            .ended()
            .with_code(4);
        tells_nothing(ended, &registry);
    }
}

#[test]
fn a_password_is_no_flag_and_no_key() {
    let scenario = Scenario::app();
    let ended = scenario
        .run([&*format!("--password={PASSWORD}")])
        .ended()
        .with_code(2);
    ended.never_says(PASSWORD);
    let scenario = scenario.file("nixpy-ci.yaml", &format!("password: {PASSWORD}\n"));
    let ended = scenario.run([]).ended().with_code(2).never_says(PASSWORD);
    ended.with_the_error(&["nixpy-ci.yaml", "`password`", "variable"]);
}

/// Neither the password nor anything that was made of it and sent.
fn tells_nothing(ended: Ended, registry: &Registry) {
    let requests = registry.requests();
    let headers = requests
        .iter()
        .filter_map(|request| request.headers.get("authorization"));
    let sent = headers.filter_map(|value| value.to_str().ok()?.split_once(' '));
    let mut secrets: Vec<&str> = sent.map(|(_, secret)| secret).collect();
    assert!(!secrets.is_empty());
    secrets.push(PASSWORD);
    secrets.into_iter().fold(ended, Ended::never_says);
}

fn push<'a>(scenario: &'a Scenario, registry: &Registry) -> Run<'a> {
    let target = format!("{}/base-api", registry.host());
    scenario.run([]).env("NIXPY_REPOSITORY", target)
}

fn encoded(password: &str) -> String {
    STANDARD.encode(format!("{USER}:{password}"))
}

fn login(registry: &Registry) -> String {
    json!({ "auths": { registry.host(): { "auth": encoded(PASSWORD) } } }).to_string()
}

/// How often a name and a password were shown.
fn logins(registry: &Registry) -> usize {
    let requests = registry.requests().into_iter();
    let shown = requests.filter_map(|request| request.headers.get("authorization").cloned());
    shown
        .filter(|shown| shown.as_bytes().starts_with(b"Basic"))
        .count()
}

/// Nothing but a fork, in a job that has a password.
fn for_a_fork<'a>(scenario: &'a Scenario, words: &[&'a str]) -> Run<'a> {
    let repo = |name: &str| json!({ "repo": { "full_name": name } });
    let sides = json!({ "number": 7, "head": repo("mallory/api"), "base": repo("acme/api") });
    let payload: Value = json!({ "number": 7, "pull_request": sides });
    let run = scenario.run(words.iter().copied());
    let on = ("pull_request_target", "refs/heads/main");
    crate::naming::job(scenario, run, on, payload)
        .envs([("NIXPY_USERNAME", USER), ("NIXPY_PASSWORD", PASSWORD)])
}

#[test]
fn a_host_that_only_a_forks_file_names_is_shown_no_password() {
    let theirs = Registry::builder()
        .auth(Bearer::new(USER, PASSWORD))
        .start();
    let repository = format!("{}/base-api", theirs.host());
    let file = format!("repository: {repository}\npush: always\n");
    let scenario = Scenario::app().file("nixpy-ci.yaml", &file);
    let ended = for_a_fork(&scenario, &["--json"]).ended().succeeded();
    assert!(
        ended.report().rehearsed,
        "what it says of `push` counts for nothing"
    );
    let ended = ended.says("nixpy-ci.yaml: push was not heard");
    ended.says("was shown no password");
    assert_eq!(logins(&theirs), 0);
    // Named by the workflow, it is.
    let ended = for_a_fork(&scenario, &["--json", "-r", &repository]).ended();
    ended.succeeded().never_says("was shown no password");
    assert!(logins(&theirs) > 0);
    // A pull request of the repository itself has its own file.
    let run = scenario.run(["--json"]);
    let run = run.envs([("NIXPY_USERNAME", USER), ("NIXPY_PASSWORD", PASSWORD)]);
    assert!(!run.ended().succeeded().report().rehearsed);
}

#[test]
fn a_cache_that_only_a_forks_file_names_is_shown_no_password_either() {
    let theirs = Registry::builder()
        .auth(Bearer::new(USER, PASSWORD))
        .start();
    let key = "theirs-1:0000000000000000000000000000000000000000000=";
    let file = format!("cache: oci://{}/cache key={key}\n", theirs.host());
    let scenario = Scenario::app().file("nixpy-ci.yaml", &file);
    for_a_fork(&scenario, &[]).ended();
    assert!(!theirs.requests().is_empty());
    assert_eq!(logins(&theirs), 0);
}

#[test]
fn a_forks_file_chooses_no_program_and_no_file_to_write() {
    let file = "nix: ./theirs\nsummary: .bashrc\nnix-options: { sandbox: false }\n";
    let scenario = Scenario::app()
        .file("nixpy-ci.yaml", file)
        .file("theirs", "#!/bin/sh\nexit 1\n");
    let ended = for_a_fork(&scenario, &[]).ended().succeeded();
    assert!(!scenario.has(".bashrc"));
    let said = ended.nix_calls().concat();
    assert!(!said.iter().any(|word| word == "sandbox"), "{said:?}");
}

#[test]
fn programs_are_given_no_token_of_the_job() {
    let tell = "#!/bin/sh\nexport -p > \"$HOME/seen\"\nexit 1\n";
    let scenario = Scenario::app().program("nix", tell);
    let tokens = [
        ("GITHUB_TOKEN", PASSWORD),
        ("ACTIONS_RUNTIME_TOKEN", PASSWORD),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", PASSWORD),
        ("ACTIONS_ID_TOKEN_REQUEST_URL", PASSWORD),
        ("ACTIONS_RESULTS_URL", PASSWORD),
        ("NIXPY_PASSWORD", PASSWORD),
        ("NIXPY_USERNAME", USER),
    ];
    scenario.run([]).envs(tokens).ended();
    let seen = std::fs::read_to_string(scenario.home().join("seen")).unwrap();
    assert!(seen.contains("HOME=") && !seen.contains(PASSWORD), "{seen}");
}

#[test]
fn what_a_build_says_of_a_secret_is_in_no_report() {
    let lines = [
        "the password is correct-horse-battery",
        "from https://me:pass@git.example/x",
    ];
    let scenario = crate::telling::failing_with(&lines);
    let files = ["--report=r.json", "--summary=s.md", "--html=p.html"];
    let run = scenario
        .run(files)
        .envs([("NIXPY_USERNAME", USER), ("NIXPY_PASSWORD", PASSWORD)]);
    run.ended().with_code(1);
    for file in ["r.json", "s.md", "p.html"] {
        let told = scenario.read(file);
        assert!(told.contains("the password is ***"), "{file}: {told}");
        assert!(told.contains("https://***@git.example"), "{file}: {told}");
        assert!(
            !told.contains(PASSWORD) && !told.contains("me:pass"),
            "{file}"
        );
    }
}
