//! Two machines that know nothing of each other publish by digest, and a third joins
//! what they have left.

use std::fs;
use std::path::Path;
use std::process::Command;

use nixpy_testkit::proxy::CountingProxy;
use serde_json::{Value, json};

use crate::world::flake::{Flake, own_system};
use crate::world::nixpy::{Workplace, binary};
use crate::world::podman::Podman;
use crate::world::program::{Ended, output_of, run};
use crate::world::registry::Registry;
use crate::world::skopeo;
use crate::world::store::Store;

const SYSTEMS: [&str; 2] = ["x86_64-linux", "aarch64-linux"];
const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];

#[test]
fn two_stores_give_the_index_of_a_single_run_bit_for_bit() {
    let (here, there) = (Workplace::new(), Workplace::new());
    let (store, registry, podman) = (Store::empty(), Registry::start(), Podman::new());
    let flake = Flake::for_systems(&SYSTEMS, "cat $archive > $out");
    let whole = format!("{}/acme/whole", registry.host());
    let parts = format!("{}/acme/parts", registry.host());
    here.run([&flake.image(), "-r", &whole, "-t", "v1"])
        .succeeded();

    let image = flake.image();
    let published = |system| {
        let settings = ["--by-digest", "--result", "result.json", "--system", system];
        [&[image.as_str(), "--repository", &parts], &settings[..]].concat()
    };
    let own = own_system();
    let foreign = SYSTEMS.into_iter().find(|system| *system != own).unwrap();
    by_digest(here.command(published(&own)));
    let mut elsewhere = store.command(binary());
    elsewhere.arg("run").args(published(foreign));
    // Two stores do not know which of these users the other builds as.
    elsewhere.args(["--nix-option", "build-users-group="]);
    there.prepare(&mut elsewhere);
    by_digest(elsewhere);
    assert!(registry.tags("acme/parts").is_empty(), "no tag of any kind");

    let proxy = CountingProxy::start(registry.address());
    let results = [here.path("result.json"), there.path("result.json")];
    let results = results
        .each_ref()
        .map(|file| through(file, &registry, &proxy));
    let mut index = Command::new(binary());
    index
        .arg("index")
        .args(results)
        .args(["-t", "v1", "--json"]);
    here.prepare(&mut index);
    let report = run(&mut index).succeeded().json();
    assert_eq!(report["platforms"].as_array().unwrap().len(), 2);
    assert!(proxy.requests().len() <= 6, "{:#?}", proxy.requests());

    assert_eq!(registry.tags("acme/parts"), ["v1"]);
    let joined = format!("docker://{parts}:v1");
    let single = skopeo::raw(&format!("docker://{whole}:v1"));
    assert_eq!(skopeo::raw(&joined), single);
    for architecture in ARCHITECTURES {
        skopeo::copy(&joined, architecture, &here.path(architecture));
        assert_eq!(
            skopeo::config(&joined, architecture)["architecture"],
            architecture
        );
        let image = podman.pull(&format!("{parts}:v1"), &format!("linux/{architecture}"));
        assert_eq!(podman.architecture(&image), architecture);
    }
}

#[test]
fn jobs_of_two_commits_are_not_joined_and_the_commits_are_named() {
    let (here, registry) = (Workplace::new(), Registry::start());
    let repository = format!("{}/acme/api", registry.host());
    let flake = Flake::small();
    let git = |arguments: &[&str]| {
        let folder = flake.folder();
        let who = ["-c", "user.name=me", "-c", "user.email=me@localhost"];
        let place = ["-C", folder.to_str().unwrap()];
        output_of("git", [&place[..], &who[..], arguments].concat())
    };
    git(&["init", "--quiet"]);
    let mut commits = Vec::new();
    for result in ["one.json", "two.json"] {
        fs::write(flake.folder().join("version"), result).unwrap();
        git(&["add", "--all"]);
        git(&["commit", "--quiet", "--message", result]);
        commits.push(git(&["rev-parse", "HEAD"]));
        let name = format!("{}#image", flake.folder().display());
        here.run([&name, "-r", &repository, "--by-digest", "--result", result])
            .succeeded();
        let written: Value = serde_json::from_slice(&fs::read(here.path(result)).unwrap()).unwrap();
        assert_eq!(written["source"]["revision"], json!(commits.last()));
    }
    let mut index = Command::new(binary());
    index.args(["index", "one.json", "two.json"]);
    here.prepare(&mut index);
    let said = run(&mut index).complains(2, &["run all jobs on one commit"]);
    assert!(commits.iter().all(|commit| said.contains(commit)), "{said}");
    assert!(registry.tags("acme/api").is_empty());
}

fn by_digest(mut command: Command) -> Ended {
    let ended = run(&mut command).succeeded();
    assert!(ended.stdout.contains("@sha256:"), "{ended}");
    ended
}

/// The same result, as if its images had been published through a proxy.
fn through(file: &Path, registry: &Registry, proxy: &CountingProxy) -> std::path::PathBuf {
    let text = fs::read_to_string(file).unwrap();
    let to = file.with_file_name("proxied.json");
    fs::write(&to, text.replace(&registry.host(), &proxy.host())).unwrap();
    to
}
