//! A version for an image that is in a real registry already, and for one that is not.

use nixpy_testkit::proxy::CountingProxy;
use nixpy_testkit::registry::Method;
use serde_json::{Value, json};

use crate::world::flake::Flake;
use crate::world::nixpy::Workplace;
use crate::world::program::{Ended, output_of, run};
use crate::world::registry::Registry;
use crate::world::skopeo;

const SYSTEMS: [&str; 2] = ["x86_64-linux", "aarch64-linux"];

/// A checkout whose commits can be released.
struct Checkout {
    flake: Flake,
    here: Workplace,
}

impl Checkout {
    fn new() -> Self {
        let checkout = Self {
            flake: Flake::for_systems(&SYSTEMS, "cat $archive > $out"),
            here: Workplace::new(),
        };
        checkout.git(&["init", "--quiet"]);
        checkout
    }

    fn git(&self, arguments: &[&str]) -> String {
        let folder = self.flake.folder();
        let who = ["-c", "user.name=me", "-c", "user.email=me@localhost"];
        let place = ["-C", folder.to_str().unwrap()];
        output_of("git", [&place[..], &who[..], arguments].concat())
    }

    fn commit(&self, message: &str) -> String {
        std::fs::write(self.flake.folder().join("version"), message).unwrap();
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// From within the checkout, as a person would.
    fn nixpy(&self, arguments: &[&str]) -> Ended {
        let mut command = self.here.nixpy(arguments);
        run(command.current_dir(self.flake.folder()))
    }
}

#[test]
fn the_image_of_a_commit_is_released_by_tags_alone() {
    let (checkout, registry) = (Checkout::new(), Registry::start());
    let repository = format!("{}/acme/api", registry.host());
    let commit = checkout.commit("first");
    let tag = format!("sha-{commit}");
    checkout
        .nixpy(&["run", ".#image", "-r", &repository, "-t", &tag])
        .succeeded();
    let published = skopeo::raw(&format!("docker://{repository}:{tag}"));
    checkout.git(&["tag", "v1.2.3"]);
    // What is checked out by then is something else.
    checkout.commit("later");

    let proxy = CountingProxy::start(registry.address());
    let through = format!("{}/acme/api", proxy.host());
    let ended = checkout.nixpy(&["release", "v1.2.3", "-r", &through, "--json"]);
    let told = ended.succeeded().json();
    assert_eq!(told["commit"], json!(commit));
    assert_eq!(told["built"], json!(false));
    let requests = proxy.requests();
    let reading = [Method::GET, Method::HEAD];
    let writing = requests.iter().filter(|it| !reading.contains(&it.method));
    let writing: Vec<String> = writing
        .map(|it| format!("{} {}", it.method, it.path))
        .collect();
    let tags = ["1.2.3", "1.2", "1", "latest"];
    let path = |tag| format!("PUT /v2/acme/api/manifests/{tag}");
    assert_eq!(writing, tags.map(path));
    for tag in tags {
        let reference = format!("docker://{repository}:{tag}");
        assert_eq!(skopeo::raw(&reference), published, "{tag}");
        assert_eq!(skopeo::config(&reference, "arm64")["architecture"], "arm64");
    }
    let before = registry.files();
    let ended = checkout.nixpy(&["release", "v1.2.3", "-r", &repository]);
    let ended = ended.succeeded();
    assert!(
        ended.stdout.contains("nothing had to be changed"),
        "{ended}"
    );
    assert_eq!(registry.files(), before);
}

#[test]
fn a_commit_without_an_image_is_built_if_it_is_checked_out() {
    let (checkout, registry) = (Checkout::new(), Registry::start());
    let repository = format!("{}/acme/api", registry.host());
    let first = checkout.commit("first");
    checkout.git(&["tag", "v1.0.0rc1"]);
    let second = checkout.commit("second");

    let release = |arguments: &[&str]| {
        let all = ["release", "-r", &repository, "--flake", ".#image"];
        checkout.nixpy(&[&all[..], arguments].concat())
    };
    let ended = release(&["v1.0.0rc1"]);
    assert_eq!(ended.code, 2, "{ended}");
    let both = [&first, &second]
        .iter()
        .all(|commit| ended.stderr.contains(*commit));
    assert!(both, "{ended}");
    assert_eq!(registry.tags("acme/api"), [""; 0]);

    checkout.git(&["checkout", "--quiet", "v1.0.0rc1"]);
    let told: Value = release(&["v1.0.0rc1", "--json"]).succeeded().json();
    assert_eq!(told["built"], json!(true));
    let own = format!("sha-{first}");
    assert_eq!(registry.tags("acme/api"), ["1.0.0rc1", own.as_str()]);
    let reference = format!("docker://{repository}:1.0.0rc1");
    assert_eq!(skopeo::config(&reference, "amd64")["architecture"], "amd64");
}
