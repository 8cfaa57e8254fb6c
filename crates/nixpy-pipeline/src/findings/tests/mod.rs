//! Logs of real programs, as Nix tells them, and a project on the disk.

mod hostile;
mod logs;
mod places;

use std::fs;
use std::path::Path;

use nixpy_nix::log::LogParser;
use nixpy_nix::{FlakeRef, StorePath};
use serde_json::json;
use tempfile::TempDir;

use super::{Collector, Finding, Project};
use crate::build::BuildFailure;
use crate::event::Event;

pub(super) const APP: &str = "/nix/store/18xqrvsx1s4sb0wibkn4wq04sggwxha2-python3.11-app-1.0.drv";

/// A checkout with these files, and the flake in one of its folders.
pub(super) struct Checkout {
    dir: TempDir,
}

impl Checkout {
    pub(super) fn with(files: &[(&str, &str)]) -> Self {
        let checkout = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(checkout.dir.path().join(".git")).unwrap();
        for (name, text) in files {
            let file = checkout.dir.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        checkout
    }

    /// The files that the recorded logs name.
    pub(super) fn recorded() -> Self {
        Self::with(&[
            ("flake.nix", "{ }"),
            ("app/__init__.py", ""),
            ("app/sums.py", "import os\n"),
            ("app/syntax.py", "def f(:\n"),
            ("tests/test_gone.py", "import nothing_like_this\n"),
            (
                "tests/test_sums.py",
                "\n\ndef test_add():\n\n\ndef test_twice(n):\n\nclass TestAll:\n    def test_broken(self):\n\ndef test_bad(bad):\n",
            ),
        ])
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn project(&self, flake: &str) -> Project {
        let flake = FlakeRef::parse(flake, self.dir.path()).unwrap();
        Project::of(&flake).unwrap()
    }
}

/// What Nix writes while a derivation prints this.
pub(super) fn printed(collector: &Collector, derivation: &str, log: &[u8]) {
    let id = derivation.bytes().map(u64::from).sum::<u64>();
    let mut lines = vec![json!({
        "action": "start", "id": id, "level": 3, "type": 105, "fields": [derivation, "", 1, 1],
        "text": "building",
    })];
    for line in log.split(|byte| *byte == b'\n') {
        let text = String::from_utf8_lossy(line);
        lines.push(json!({ "action": "result", "id": id, "type": 101, "fields": [text] }));
    }
    lines.push(json!({ "action": "stop", "id": id }));
    for line in lines {
        nix_says(collector, &line);
    }
}

pub(super) fn nix_says(collector: &Collector, message: &serde_json::Value) {
    let text = format!("@nix {message}\n");
    LogParser::default().feed(text.as_bytes(), &mut |event| {
        collector.hear(&Event::Nix(&event));
    });
}

pub(super) fn failed(collector: &Collector, derivation: &str) {
    let failure = BuildFailure {
        derivation: derivation.parse::<StorePath>().unwrap(),
        systems: vec!["x86_64-linux".parse().unwrap()],
        reason: "the builder ended with exit code 1".to_owned(),
        cure: None,
        machine_cannot: false,
        log_tail: vec!["the last line".to_owned()],
        seconds: Some(1.0),
        log_command: None,
    };
    collector.hear(&Event::BuildFailed(&failure));
}

/// Of the app's build, which has printed this and failed.
pub(super) fn findings_of(checkout: &Checkout, log: &[u8]) -> Vec<Finding> {
    let collector = Collector::default();
    printed(&collector, APP, log);
    failed(&collector, APP);
    collector.findings(Some(&checkout.project(".")))
}

/// `app/x.py:3: title`, or only the title.
pub(super) fn told(findings: &[Finding]) -> Vec<String> {
    let one = |finding: &Finding| match &finding.place {
        Some(place) => format!("{}:{}: {}", place.file, place.line, finding.title),
        None => finding.title.clone(),
    };
    findings.iter().map(one).collect()
}
