//! What Nix says: the answer to an evaluation, facts about paths, logs and errors,
//! in the form of each version.

use std::path::{Path, PathBuf};

use nixpy_testkit::fake_nix::Replay;
use nixpy_testkit::store::{FakePath, PathInfoShape};
use serde_json::{Map, Value, json};

/// A version of Nix whose output was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Nix2_8,
    Nix2_26,
    Nix2_34,
}

impl Version {
    pub const ALL: [Self; 3] = [Self::Nix2_8, Self::Nix2_26, Self::Nix2_34];

    /// As `builtins.nixVersion` has it.
    pub fn number(self) -> &'static str {
        match self {
            Self::Nix2_8 => "2.8.0",
            Self::Nix2_26 => "2.26.3",
            Self::Nix2_34 => "2.34.8",
        }
    }

    /// A log that it has written.
    pub fn log(self, name: &str) -> PathBuf {
        let number = self.number();
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!(
            "../nixpy-nix/tests/fixtures/{number}/{name}.internal-json.log"
        ))
    }

    /// How it describes paths.
    pub fn shape(self) -> PathInfoShape {
        match self {
            Self::Nix2_8 => PathInfoShape::Nix2_8,
            Self::Nix2_26 => PathInfoShape::Nix2_26,
            Self::Nix2_34 => PathInfoShape::Nix2_34,
        }
    }

    /// How it answers a question about paths of which some are not there: each
    /// with its references, or `None`.
    pub fn paths(self, paths: &[(&str, Option<&[&str]>)]) -> String {
        let described = |references: &[&str]| {
            json!({
                "narHash": "sha256-rxBLLFaiIPnII4ziRPnqmRZqoNrP+3Ew0WyUjvjI1lw=",
                "narSize": 1024,
                "references": references,
            })
        };
        let listed = paths.iter().map(|(path, info)| {
            let mut entry = info.map_or_else(|| json!({ "valid": false }), described);
            entry["path"] = json!(path);
            entry
        });
        let keyed = || {
            paths
                .iter()
                .map(|(path, info)| ((*path).to_owned(), info.map_or(Value::Null, described)))
        };
        match self {
            Self::Nix2_8 => listed.collect::<Value>().to_string(),
            _ => Value::Object(keyed().collect::<Map<_, _>>()).to_string(),
        }
    }
}

/// A derivation that the flake offers.
#[derive(Clone, Debug)]
pub struct Offer {
    pub system: &'static str,
    pub derivation: String,
    pub output: String,
    attribute: &'static str,
    path: Option<FakePath>,
    image_name: Option<&'static str>,
    main_program: Option<&'static str>,
    there: bool,
}

impl Offer {
    /// One that builds this.
    pub fn of(system: &'static str, attribute: &'static str, output: &FakePath) -> Self {
        let derivation = format!("{output}.drv");
        Self {
            path: Some(output.clone()),
            ..Self::elsewhere(system, attribute, &derivation, output.text())
        }
    }

    /// One whose paths are not in the store of the scenario, but in a log.
    pub fn elsewhere(
        system: &'static str,
        attribute: &'static str,
        derivation: &str,
        output: &str,
    ) -> Self {
        Self {
            system,
            derivation: derivation.to_owned(),
            output: output.to_owned(),
            attribute,
            path: None,
            image_name: None,
            main_program: None,
            there: true,
        }
    }

    /// With `imageName`, as dockerTools sets it.
    pub fn image_name(mut self, name: &'static str) -> Self {
        self.image_name = Some(name);
        self
    }

    /// With `meta.mainProgram`.
    pub fn main_program(mut self, name: &'static str) -> Self {
        self.main_program = Some(name);
        self
    }

    /// It is offered, and not what was asked for.
    pub fn is_not_there(&mut self) {
        self.there = false;
    }

    /// What it builds, where the store has it.
    pub fn path(&self) -> Option<&FakePath> {
        self.path.as_ref()
    }

    fn chosen(&self) -> Value {
        let (_, name) = self.output.rsplit_once('/').unwrap();
        json!({
            "path": [self.attribute],
            "name": &name[33..],
            "pname": "base-api",
            "version": "0.1.0",
            "drvPath": self.derivation,
            "output": "out",
            "outputs": ["out"],
            "place": self.output,
            "imageName": self.image_name,
            "imageTag": null,
            "mainProgram": self.main_program,
            "architecture": null,
        })
    }
}

/// The answer to the one evaluation.
pub fn answer(version: Version, store_dir: &Path, offers: &[Offer]) -> Value {
    let systems = offers.iter().map(|offer| {
        let chosen = offer.there.then(|| offer.chosen());
        let attributes = json!([offer.attribute, "devTools"]);
        (
            offer.system.to_owned(),
            json!({ "attributes": attributes, "chosen": chosen }),
        )
    });
    let offered: Vec<&str> = offers.iter().map(|offer| offer.system).collect();
    json!({
        "nixVersion": version.number(),
        "storeDir": store_dir,
        "offered": offered,
        "systems": systems.collect::<Map<_, _>>(),
    })
}

/// What a flake is locked to, as far as it is asked for.
pub fn metadata(tree: &str) -> Value {
    json!({ "locked": { "type": "git", "narHash": tree }, "locks": { "nodes": {} } })
}

/// What the derivations consist of, as `nix derivation show` says it.
pub fn derivations(offers: &[Offer]) -> Value {
    let shown = offers.iter().map(|offer| {
        let derivation = json!({
            "outputs": { "out": { "path": offer.output } },
            "inputSrcs": [],
            "inputDrvs": {},
            "system": offer.system,
            "builder": "/bin/sh",
            "args": [],
            "env": {},
        });
        (offer.derivation.clone(), derivation)
    });
    Value::Object(shown.collect())
}

/// An error as Nix logs it.
pub fn error(text: &str) -> String {
    let message = json!({
        "action": "msg",
        "level": 0,
        "msg": format!("\u{1b}[31;1merror:\u{1b}[0m {text}"),
        "raw_msg": text,
        "line": null,
        "column": null,
        "file": null,
    });
    format!("@nix {message}\n")
}

/// The log of a build that writes these lines, begun and ended.
pub fn built(derivation: &str, lines: &[&str]) -> String {
    let id = derivation.bytes().map(u64::from).sum::<u64>();
    let mut events = vec![json!({
        "action": "start", "id": id, "level": 3, "parent": 0, "type": 105,
        "text": format!("building '{derivation}'"), "fields": [derivation, "", 1, 1],
    })];
    let line = |text: &&str| json!({ "action": "result", "id": id, "type": 101, "fields": [text] });
    events.extend(lines.iter().map(line));
    events.push(json!({ "action": "stop", "id": id }));
    events
        .iter()
        .map(|event| format!("@nix {event}\n"))
        .collect()
}

/// What every version says when a build has failed, before that build ends.
pub fn one_has_failed() -> String {
    let progress = json!({ "action": "result", "id": 1, "type": 105, "fields": [0, 1, 0, 1] });
    format!("@nix {progress}\n")
}

/// A call of `nix build` that fails with this on standard error.
pub fn failing_build(log: impl AsRef<[u8]>) -> Replay {
    Replay::of(["build"]).stderr(log).exit(1)
}

/// This machine's system.
pub fn own_system() -> String {
    format!("{}-linux", std::env::consts::ARCH)
}

/// What a doctor asks of a machine: the version, the settings, the store and these caches,
/// which answer and hold nothing.
pub fn machine(version: Version, caches: &[&str]) -> Vec<Replay> {
    let mut rules = machine_with(version, |settings| {
        settings["substituters"]["value"] = json!(caches);
    });
    let unknown = error("path '/nix/store/00000000000000000000000000000000-x' is not valid");
    rules.extend(caches.iter().flat_map(|cache| {
        let holds_nothing = Replay::of(["path-info", "--json", cache]).stdout("{}");
        [
            holds_nothing,
            Replay::of(["path-info", cache]).stderr(&unknown).exit(1),
        ]
    }));
    rules
}

/// The same, after a change of the recorded settings.
pub fn machine_with(version: Version, change: impl Fn(&mut Value)) -> Vec<Replay> {
    let number = version.number();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../nixpy-nix/tests/fixtures");
    let recorded = std::fs::read(folder.join(number).join("config.json")).unwrap();
    let mut settings: Value = serde_json::from_slice(&recorded).unwrap();
    settings["system"]["value"] = json!(own_system());
    change(&mut settings);
    let shown = settings.to_string();
    vec![
        Replay::of(["--version"]).stdout(format!("nix (Nix) {number}\n")),
        Replay::of(["show-config"]).stdout(&shown),
        Replay::of(["config", "show"]).stdout(&shown),
        store("local", None),
    ]
}

/// What the store says of itself.
pub fn store(url: &str, trusts_us: Option<bool>) -> Replay {
    let trusted = trusts_us.map(|trusts_us| format!("Trusted: {}", u8::from(trusts_us)));
    let lines = [format!("Store URL: {url}"), "Version: 2.26.3".to_owned()];
    let said: String = lines
        .into_iter()
        .chain(trusted)
        .map(|text| {
            format!(
                "@nix {}\n",
                json!({ "action": "msg", "level": 2, "msg": text })
            )
        })
        .collect();
    Replay::of(["store", "ping"]).stderr(said)
}
