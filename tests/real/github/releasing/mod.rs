//! `nixpy-ci release`: GitHub's side, beside a registry on the loopback.

mod again;
mod made;
mod refused;

use nixpy_testkit::github::{Github, TOKEN};
use nixpy_testkit::registry::{Method, Recorded, Registry};
use serde_json::{Value, json};

use crate::world::nixpy::Workplace;
use crate::world::program::{Ended, run};

const FIRST: &str = "1111111111111111111111111111111111111111";
const SECOND: &str = "2222222222222222222222222222222222222222";
const THIRD: &str = "3333333333333333333333333333333333333333";

/// A repository on GitHub, with three commits that were pushed.
struct World {
    github: Github,
    registry: Registry,
    place: Workplace,
}

impl World {
    fn new() -> Self {
        let world = Self {
            github: Github::start(),
            registry: Registry::start(),
            place: Workplace::new(),
        };
        let commits = [
            (FIRST, None, "First", "1.0"),
            (SECOND, Some(FIRST), "Second, thanks to @acme", "2.0"),
            (THIRD, Some(SECOND), "Third", "3.0"),
        ];
        for (sha, parent, message, version) in commits {
            world.github.add_commit(sha, parent, message);
            world.push(sha, version);
        }
        world.registry.reset_counts();
        world
    }

    /// An image of a commit, with this version of a package in it.
    fn push(&self, sha: &str, version: &str) {
        let put = |bytes: &str| {
            let digest = self.registry.put_blob("acme/api", bytes.to_owned());
            json!({ "digest": digest, "size": bytes.len() })
        };
        let mut manifests = Vec::new();
        for architecture in ["amd64", "arm64"] {
            let mut config =
                put(&json!({ "architecture": architecture, "os": "linux" }).to_string());
            config["mediaType"] = json!("application/vnd.oci.image.config.v1+json");
            let mut layer = put(&format!("a layer of {version}"));
            layer["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar+gzip");
            let hash = "a".repeat(32);
            layer["annotations"] = json!({
                "dev.nixpy-ci.contents": format!("{hash}-python3.11-fastapi-{version}=100"),
            });
            let manifest = json!({
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": config,
                "layers": [layer],
            });
            let digest = self.registry.put_manifest(
                "acme/api",
                &format!("{architecture}-{version}"),
                &manifest,
            );
            manifests.push(json!({
                "mediaType": manifest["mediaType"],
                "digest": digest,
                "size": manifest.to_string().len(),
                "platform": { "architecture": architecture, "os": "linux" },
            }));
        }
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": manifests,
        });
        self.registry
            .put_manifest("acme/api", &format!("sha-{sha}"), &index);
    }

    /// A job that runs because this tag was pushed to a commit.
    fn release(&self, tag: &str, sha: &str, arguments: &[&str]) -> Ended {
        let repository = format!("{}/acme/api", self.registry.host());
        let mut command = self.place.nixpy(["release", "-r", &repository]);
        command
            .args(arguments)
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_REPOSITORY", "acme/api")
            .env("GITHUB_API_URL", self.github.api_url())
            .env("GITHUB_REF", format!("refs/tags/{tag}"))
            .env("GITHUB_SHA", sha)
            .env("GITHUB_TOKEN", TOKEN);
        let ended = run(&mut command);
        // The runner is told of it, so that it hides it.
        let mut said = ended.stdout.lines().chain(ended.stderr.lines());
        assert!(!said.any(|line| line.contains(TOKEN) && !line.starts_with("::add-mask::")));
        ended
    }

    /// The same where the tag is there, as it is after a push.
    fn released(&self, tag: &str, sha: &str, arguments: &[&str]) -> Ended {
        self.github.set_ref(&format!("tags/{tag}"), sha);
        self.release(tag, sha, arguments).succeeded()
    }

    /// What a release's text and fields are.
    fn told(&self, tag: &str) -> Value {
        let releases = self.github.releases().into_iter();
        let mut found = releases.filter(|release| release.body["tag_name"] == tag);
        let release = found.next().unwrap();
        assert!(found.next().is_none(), "two releases {tag}");
        release.body
    }

    fn body(&self, tag: &str) -> String {
        self.told(tag)["body"].as_str().unwrap().to_owned()
    }

    /// A file of a release.
    fn file(&self, tag: &str, name: &str) -> String {
        let releases = self.github.releases();
        let mut releases = releases.iter();
        let release = releases.find(|release| release.body["tag_name"] == tag);
        let mut files = release.unwrap().assets.iter();
        let file = files.find(|file| file.1 == name).unwrap();
        String::from_utf8(file.2.clone()).unwrap()
    }

    /// Everything that was asked of either but to be read, by method and the end of the path.
    fn written(&self) -> Vec<String> {
        let requests = [self.github.requests(), self.registry.requests()].concat();
        let is_writing = |it: &&Recorded| ![Method::GET, Method::HEAD].contains(&it.method);
        let writing = requests.iter().filter(is_writing);
        writing
            .map(|it| {
                let path = it.path.trim_start_matches("/repos/acme/api/");
                format!("{} {}", it.method, path.trim_start_matches("/v2/acme/api/"))
            })
            .collect()
    }

    fn reset(&self) {
        self.github.reset_counts();
        self.registry.reset_counts();
    }
}
