//! examples/hermetic, fetched and built once for all tests.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;

use super::alone::{hold, kept};
use super::layout::Layout;
use super::nixpy::Workplace;
use super::program::{output_of, program, run};

/// The example, and the layout it was published to.
pub struct Example {
    folder: PathBuf,
    /// Until this process ends: another one would take it away.
    _alone: File,
    /// The report of that run.
    pub report: Value,
}

/// The example, built by the first test that asks.
pub fn example() -> &'static Example {
    static EXAMPLE: OnceLock<Example> = OnceLock::new();
    EXAMPLE.get_or_init(|| {
        // A copy: when the registries have dropped a locked version, only its lock file is renewed.
        let alone = hold("real-tier");
        let _ = std::fs::remove_dir_all(kept("real-tier"));
        let place = kept("real-tier");
        let folder = place.join("hermetic");
        let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/hermetic");
        output_of("cp", [Path::new("-r"), &original, &folder]);
        run(program("python3")
            .arg(folder.join("prefetch"))
            .arg("--renew-if-gone"))
        .succeeded();

        let mut example = Example {
            folder,
            _alone: alone,
            report: Value::Null,
        };
        let layout = example.layout_path();
        let mut build = Workplace::new().command([&example.flake("stream"), "--json", "--layout"]);
        build.arg(layout).current_dir(&place).env_remove("TMPDIR");
        example.report = run(&mut build).succeeded().json();
        example
    })
}

impl Example {
    /// The flake's reference, with an attribute.
    pub fn flake(&self, attribute: &str) -> String {
        format!("path:{}#{attribute}", self.folder.display())
    }

    /// The folder that the flake is in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The layout with the image under the tag `latest`.
    pub fn layout(&self) -> Layout {
        Layout::at(self.layout_path())
    }

    /// Where the layout is.
    pub fn layout_path(&self) -> PathBuf {
        self.folder.with_file_name("layout")
    }

    /// What the report says of a platform, such as `arm64`.
    pub fn reported(&self, architecture: &str) -> &Value {
        let platforms = self.report["platforms"].as_array().unwrap();
        platforms
            .iter()
            .find(|one| one["platform"]["architecture"] == architecture)
            .unwrap()
    }

    /// The store path of one of the flake's inner packages, built.
    pub fn built(&self, system: &str, package: &str) -> PathBuf {
        self.build(&format!("legacyPackages.{system}.{package}"))
    }

    /// The store path of one of the flake's packages, built.
    pub fn package(&self, system: &str, package: &str) -> PathBuf {
        self.build(&format!("packages.{system}.{package}"))
    }

    fn build(&self, attribute: &str) -> PathBuf {
        let name = self.flake(attribute);
        let built = output_of("nix", ["build", "--no-link", "--json", &name]);
        let built: Value = serde_json::from_str(&built).unwrap();
        PathBuf::from(built[0]["outputs"]["out"].as_str().unwrap())
    }
}
