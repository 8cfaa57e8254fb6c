//! Caches that are read: what Nix is told of them, what is said of one that is not read, keys
//! to sign with, and the server for this machine's own Nix.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nixpy_testkit::ports::free_address;
use nixpy_testkit::registry::Registry;

use crate::scenario::nix::{Version, machine_with, store};
use crate::scenario::{Ended, Scenario};

const KEY: &str = "acme-1:KC7u7/re6tZ6HQ6Qm7EEpfzs5ulkUws5k4XCsgAST24=";

/// The value of an option in the call of Nix that builds.
fn told(ended: &Ended, name: &str) -> Option<String> {
    let calls = ended.nix_calls();
    let call = calls
        .iter()
        .find(|call| call.iter().any(|it| it == "build"));
    let call = call.unwrap_or_else(|| panic!("nothing was built\n{ended}"));
    let place = call.iter().position(|word| word == name)?;
    assert_eq!(call[place - 1], "--option");
    Some(call[place + 1].clone())
}

/// A service on the loopback: JSON by path, and the requests that came.
pub struct Service {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Service {
    pub fn start(answers: &[(&str, String)]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answers: BTreeMap<String, String> = answers
            .iter()
            .map(|(path, answer)| ((*path).to_owned(), answer.clone()))
            .collect();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                    head.push(byte[0]);
                }
                let head = String::from_utf8(head).unwrap();
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                let (status, body) = match answers.get(&path) {
                    Some(answer) => ("200 OK", answer.as_str()),
                    None => ("404 Not Found", ""),
                };
                seen.lock().unwrap().push(head);
                let length = body.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
            }
        });
        Self { address, requests }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

#[test]
fn caches_that_nix_reads_itself_are_told_to_every_call_with_their_keys() {
    let scenario = Scenario::app();
    let cache = format!("file:///srv/cache read key={KEY}");
    let ended = scenario
        .run(["--cache", &cache, "--cache", "s3://acme?region=eu"])
        .ended()
        .succeeded();
    assert_eq!(
        told(&ended, "extra-substituters").unwrap(),
        "file:///srv/cache?priority=10 s3://acme?region=eu&priority=11"
    );
    assert_eq!(told(&ended, "extra-trusted-public-keys").unwrap(), KEY);
    assert_eq!(told(&ended, "fallback").unwrap(), "true");
    let calls = ended.nix_calls();
    let asking = calls
        .iter()
        .filter(|call| call.iter().any(|it| it == "eval"));
    for call in asking {
        assert!(call.iter().any(|it| it == "extra-substituters"), "{call:?}");
    }
}

#[test]
fn a_cache_that_is_only_written_is_not_told_and_without_one_nothing_is() {
    let scenario = Scenario::app();
    for arguments in [vec![], vec!["--cache", "file:///srv/cache write"]] {
        let ended = scenario.run(arguments).ended().succeeded();
        for call in ended.nix_calls() {
            assert!(
                !call.iter().any(|it| it == "extra-substituters"),
                "{call:?}"
            );
        }
    }
}

#[test]
fn an_option_that_the_user_gives_is_his() {
    let scenario = Scenario::app();
    let arguments = [
        "--cache",
        "file:///srv/cache",
        "--nix-option=fallback=false",
        "--nix-option=substituters=https://mine.example",
    ];
    let ended = scenario.run(arguments).ended().succeeded();
    assert_eq!(told(&ended, "fallback").unwrap(), "false");
    assert_eq!(
        told(&ended, "substituters").unwrap(),
        "https://mine.example"
    );
    let calls = ended.nix_calls();
    let last = calls.last().unwrap();
    let all: Vec<_> = last.iter().filter(|word| *word == "fallback").collect();
    assert_eq!(all.len(), 1, "{last:?}");
}

#[test]
fn a_registrys_cache_is_served_on_the_loopback() {
    let (scenario, registry) = (Scenario::app(), Registry::start());
    let repository = format!("{}/acme/api", registry.host());
    let cache = format!("registry read key={KEY}");
    let ended = scenario
        .run(["-r", &repository, "--cache", &cache])
        .ended()
        .succeeded()
        .never_says("is not read");
    let url = told(&ended, "extra-substituters").unwrap();
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    assert_eq!(told(&ended, "extra-trusted-public-keys").unwrap(), KEY);
}

#[test]
fn a_registrys_cache_without_a_key_or_a_registry_is_not_read_and_the_cure_is_told() {
    let scenario = Scenario::app();
    let ended = scenario.run(["--cache", "oci://127.0.0.1:9/acme/cache"]);
    let ended = ended.ended().succeeded().says("nixpy-ci cache key");
    assert_eq!(told(&ended, "extra-substituters"), None);
    let beside = format!("registry key={KEY}");
    scenario
        .run(["--cache", &beside])
        .ended()
        .succeeded()
        .says("name a --repository");
}

#[test]
fn a_registry_that_is_down_does_not_fail_a_run_nor_hold_it_up() {
    let scenario = Scenario::app();
    let cache = format!("oci://127.0.0.1:9/acme/cache key={KEY}");
    let ended = scenario.run(["--cache", &cache]).ended().succeeded();
    assert!(ended.took < Duration::from_secs(50), "{:?}", ended.took);
}

#[test]
fn services_are_asked_where_their_caches_are_and_what_opens_them_is_hidden() {
    let attic =
        format!(r#"{{"substituter_endpoint": "https://a.example/acme", "public_key": "{KEY}"}}"#);
    let cachix = format!(
        r#"{{"name": "acme", "uri": "https://c.example", "isPublic": false, "publicSigningKeys": ["{}"]}}"#,
        KEY.replace("acme-1", "cachix-1")
    );
    let service = Service::start(&[
        ("/api/v1/cache/acme", cachix),
        ("/_api/v1/cache-config/acme", attic),
    ]);
    let scenario = Scenario::app();
    let (cachix, attic) = (
        format!("cachix:{}:acme", service.url()),
        format!("attic:{}:acme", service.url()),
    );
    let missing = format!("cachix:{}:nobody", service.url());
    let tokens = [&cachix, &attic, &missing].map(|cache| format!("{cache} hunter2"));
    let ended = scenario
        .run(["--cache", &cachix, "--cache", &attic, "--cache", &missing])
        .env("NIXPY_CACHE_TOKEN", tokens.join("\n"))
        .ended()
        .succeeded()
        .says("nobody is not read")
        .says(&format!("to pin them, add key={KEY} to it"))
        .never_says("hunter2");
    assert_eq!(
        told(&ended, "extra-substituters").unwrap(),
        "https://c.example?priority=10 https://a.example/acme?priority=11"
    );
    let keys = told(&ended, "extra-trusted-public-keys").unwrap();
    assert!(
        keys.contains("acme-1:") && keys.contains("cachix-1:"),
        "{keys}"
    );
    let netrc = told(&ended, "netrc-file").unwrap();
    assert!(netrc.starts_with(scenario.temporary().to_str().unwrap()));
    let left: Vec<_> = fs::read_dir(scenario.temporary()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    for call in ended.nix_calls() {
        assert!(
            !call.iter().any(|word| word.contains("hunter2")),
            "{call:?}"
        );
    }
    let requests = service.requests.lock().unwrap();
    assert_eq!(requests.len(), 3);
    let bearer = |head: &String| {
        head.to_lowercase()
            .contains("authorization: bearer hunter2")
    };
    assert!(requests.iter().all(bearer), "{requests:?}");
}

#[test]
fn a_key_that_is_given_wins_over_what_a_service_says() {
    let other = KEY.replace("acme-1", "evil-1");
    let cachix = format!(r#"{{"uri": "https://c.example", "publicSigningKeys": ["{other}"]}}"#);
    let service = Service::start(&[("/api/v1/cache/acme", cachix)]);
    let scenario = Scenario::app();
    let cache = format!("cachix:{}:acme key={KEY}", service.url());
    let ended = scenario.run(["--cache", &cache]).ended().succeeded();
    assert_eq!(told(&ended, "extra-trusted-public-keys").unwrap(), KEY);
}

#[test]
fn what_a_service_says_does_not_turn_nixs_check_off_nor_name_keys_beside_those_given() {
    let evil = KEY.replace("acme-1", "evil-1");
    let cachix = |uri: &str| format!(r#"{{"uri": "{uri}", "publicSigningKeys": ["{evil}"]}}"#);
    let service = Service::start(&[
        (
            "/api/v1/cache/acme",
            cachix("https://c.example?trusted=true"),
        ),
        ("/api/v1/cache/other", cachix("https://c.example")),
    ]);
    let scenario = Scenario::app();
    let cache = format!("cachix:{}:acme", service.url());
    let ended = scenario.run(["--cache", &cache]).ended().succeeded();
    let ended = ended.says("acme is not read");
    assert_eq!(told(&ended, "extra-substituters"), None);

    let cache = format!("cachix:{}:other", service.url());
    let arguments = ["--cache", &cache, "--cache-public-key", KEY];
    let ended = scenario.run(arguments).ended().succeeded();
    let ended = ended.never_says("to pin them");
    assert_eq!(told(&ended, "extra-trusted-public-keys").unwrap(), KEY);
}

#[test]
fn a_service_that_sends_elsewhere_is_not_followed() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let other = Service::start(&[("/", String::new())]);
    let elsewhere = other.url();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = write!(
                stream,
                "HTTP/1.1 307 Elsewhere\r\nlocation: {elsewhere}/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            );
        }
    });
    let scenario = Scenario::app();
    let cache = format!("cachix:http://{address}:acme");
    let ended = scenario.run(["--cache", &cache]).ended().succeeded();
    ended.says("it answers 307").says("is not read");
    assert!(other.requests.lock().unwrap().is_empty());
}

#[test]
fn what_opens_one_is_not_sent_to_another_and_stands_in_no_address() {
    let scenario = Scenario::app();
    let caches = ["--cache", "cachix:acme", "--cache", "https://a.example"];
    let run = scenario.run(caches).env("NIXPY_CACHE_TOKEN", "hunter2");
    let ended = run.ended().with_code(2).never_says("hunter2");
    ended.with_the_error(&[
        "NIXPY_CACHE_TOKEN",
        "a line CACHE TOKEN for each",
        "cachix:acme",
    ]);

    let caches = [
        "--cache",
        "oci://a.example/x",
        "--cache",
        "oci://b.example/x",
    ];
    let run = scenario.run(caches);
    let run = run.envs([("NIXPY_USERNAME", "me"), ("NIXPY_PASSWORD", "hunter2")]);
    let ended = run.ended().with_code(2).never_says("hunter2");
    ended.with_the_error(&["one password cannot be for several registries"]);
}

#[test]
fn a_secret_key_in_the_place_of_a_public_one_is_not_shown() {
    let scenario = Scenario::app();
    let made = scenario.nixpy(["cache", "key", "acme-1"]).ended();
    let secret = made.stdout.trim().to_owned();
    let hidden = secret.split_once(':').unwrap().1;
    let cache = format!("registry key={secret}");
    for arguments in [["--cache-public-key", &secret], ["--cache", &cache]] {
        let ended = scenario.run(arguments).ended().with_code(2);
        ended
            .never_says(&hidden[..20])
            .with_the_error(&["secret half", "acme-1"]);
    }
}

#[test]
fn a_bucket_is_served_where_something_opens_it_and_is_nixs_own_where_nothing_does() {
    let scenario = Scenario::app();
    let bucket = "s3://acme?region=eu&endpoint=http://127.0.0.1:9";
    let cache = format!("{bucket} read key={KEY}");
    let arguments = ["--cache", cache.as_str()];
    let opened = scenario
        .run(arguments)
        .envs([
            ("AWS_ACCESS_KEY_ID", "me"),
            ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ])
        .ended()
        .succeeded()
        .never_says("hunter2");
    let url = told(&opened, "extra-substituters").unwrap();
    assert!(
        url.starts_with("http://127.0.0.1:") && !url.contains("acme"),
        "{url}"
    );
    assert_eq!(told(&opened, "extra-trusted-public-keys").unwrap(), KEY);
    let unopened = scenario.run(arguments).ended().succeeded();
    assert_eq!(
        told(&unopened, "extra-substituters").unwrap(),
        format!("{bucket}&priority=10")
    );
}

#[test]
fn a_daemon_that_does_not_trust_this_user_is_told_with_the_lines_for_its_nix_conf() {
    let mut scenario = Scenario::app();
    for rule in machine_with(Version::Nix2_26, |_| {}) {
        scenario = scenario.on(rule);
    }
    let scenario = scenario.asked_first(store("daemon", Some(false)));
    let cache = format!("file:///srv/cache key={KEY}");
    let ended = scenario.run(["--cache", &cache]).ended().succeeded();
    let ended = ended
        .says("extra-trusted-substituters = file:///srv/cache")
        .says(&format!("extra-trusted-public-keys = {KEY}"))
        .says("restart the daemon");
    assert_eq!(told(&ended, "extra-substituters"), None);
}

#[test]
fn a_key_goes_to_standard_output_or_to_a_file_for_this_user_alone() {
    let scenario = Scenario::app();
    let made = scenario.nixpy(["cache", "key", "acme-1"]).ended();
    let made = made
        .succeeded()
        .says("public key: acme-1:")
        .says("NIXPY_CACHE_KEY");
    let secret = made.stdout.trim();
    assert!(secret.starts_with("acme-1:") && secret.len() > 90, "{made}");
    assert!(!made.stderr.contains(secret), "{made}");

    let named = scenario.nixpy(["cache", "key", "-o", "key"]).ended();
    let named = named
        .succeeded()
        .prints_nothing()
        .says("public key: checkout-");
    let another = scenario.nixpy(["cache", "key"]).ended().succeeded();
    let name = |key: &str| key.split(':').next().unwrap().to_owned();
    let file = scenario.checkout().join("key");
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let secret = fs::read_to_string(&file).unwrap();
    assert!(!named.stderr.contains(secret.trim()));
    assert_ne!(name(&another.stdout), name(&secret));

    let again = scenario.nixpy(["cache", "key", "-o", "key"]).ended();
    again
        .with_code(2)
        .with_the_error(&["key", "name another file"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), secret);
    let wrong = scenario.nixpy(["cache", "key", "a b"]).ended();
    wrong.with_code(2).with_the_error(&["\"a b\""]);
}

fn info_at(port: &str) -> Option<String> {
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).ok()?;
    let request = "GET /nix-cache-info HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn a_folder_is_served_until_it_is_interrupted() {
    let (scenario, port) = (Scenario::app(), free_address().port().to_string());
    let cache = format!("file:///srv/cache key={KEY}");
    let arguments = ["cache", "serve", "--cache", &cache, "--cache-port", &port];
    let told = OnceCell::new();
    let serving = scenario
        .nixpy(arguments)
        .started()
        .until(|_| info_at(&port).is_some_and(|info| told.set(info).is_ok()));
    let info = told.get().unwrap();
    assert!(info.contains("StoreDir: /nix/store"), "{info}");
    serving.terminate();
    let ended = serving.ended().succeeded();
    ended
        .prints(&format!("extra-substituters = http://127.0.0.1:{port}"))
        .prints(&format!("extra-trusted-public-keys = {KEY}"));
}

#[test]
fn what_cannot_be_served_is_told_with_the_cure() {
    let scenario = Scenario::app();
    let serve = |arguments: &[&str]| {
        let all = ["cache", "serve"].iter().chain(arguments).copied();
        scenario.nixpy(all.collect::<Vec<_>>()).ended()
    };
    let nothing = serve(&[]).with_code(2);
    nothing.with_the_error(&["name a cache"]);
    let by_nix = serve(&["--cache", "https://cache.example.org"]).with_code(2);
    by_nix.with_the_error(&["Nix reads https://cache.example.org itself"]);
    let unsigned = serve(&["--cache", "oci://127.0.0.1:9/a/b"]).with_code(2);
    unsigned.with_the_error(&["nixpy-ci cache key"]);
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let cache = format!("file:///srv/cache key={KEY}");
    let busy = serve(&["--cache", &cache, "--cache-port", &port]).with_code(3);
    busy.with_the_error(&[&port, "another port"]);
}

#[test]
fn a_doctor_looks_at_the_caches_of_the_settings_and_calls_them_by_their_names() {
    let mut scenario = Scenario::app();
    let url = "file:///nowhere/cache?priority=10";
    for rule in machine_with(Version::Nix2_26, |settings| {
        settings["substituters"]["value"] = serde_json::json!([url]);
    }) {
        scenario = scenario.on(rule);
    }
    let cache = format!("file:///nowhere/cache key={KEY}");
    let ended = scenario
        .nixpy(["doctor", "--cache", &cache, "--cache", "registry"])
        .ended();
    ended
        .prints("cache file:///nowhere/cache ")
        .prints("take file:///nowhere/cache out of --cache")
        .prints("the cache registry is not read");
}
