//! `nix path-info --json`, in the shapes that its versions print.

use serde_json::{Value, json};

use super::{FakePath, FakeStore, hash_of};

/// The shapes of `nix path-info --json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathInfoShape {
    /// Up to 2.18: a list.
    Nix2_8,
    /// From 2.19: an object keyed by path.
    Nix2_26,
    /// Keyed by path, each with `storeDir` and `version: 1`.
    Nix2_34,
    /// `--json-format 2`: `{"info": {…}}`, keyed by base name.
    JsonFormat2,
}

impl FakeStore {
    /// What `nix path-info --json` prints of these paths; with a closure, what it
    /// prints with `--recursive`.
    pub fn path_info_json(&self, shape: PathInfoShape, paths: &[FakePath]) -> Value {
        let base = |text: &str| text.rsplit('/').next().unwrap_or_default().to_owned();
        let mut list = Vec::new();
        let mut keyed = serde_json::Map::new();
        for path in paths {
            let name = base(&path.text);
            let mut info = json!({
                "deriver": format!("{}/{}-{}.drv", self.store_dir, hash_of(&format!("{name}.drv")), &name[33..]),
                "narHash": path.nar_hash(),
                "narSize": path.nar_size(),
                "references": path.references,
                "registrationTime": 1_700_000_000,
                "ultimate": true,
            });
            if shape != PathInfoShape::Nix2_8 {
                info["ca"] = Value::Null;
                info["signatures"] = json!([]);
            }
            match shape {
                PathInfoShape::Nix2_8 => {
                    info["path"] = json!(path.text);
                    list.push(info);
                    continue;
                }
                PathInfoShape::Nix2_26 => {}
                PathInfoShape::Nix2_34 => {
                    info["storeDir"] = json!(self.store_dir);
                    info["version"] = json!(1);
                }
                PathInfoShape::JsonFormat2 => {
                    info["storeDir"] = json!(self.store_dir);
                    info["version"] = json!(2);
                    info["references"] = path.references.iter().map(|text| base(text)).collect();
                    info["deriver"] = json!(base(info["deriver"].as_str().unwrap()));
                    keyed.insert(name, info);
                    continue;
                }
            }
            keyed.insert(path.text.clone(), info);
        }
        match shape {
            PathInfoShape::Nix2_8 => Value::Array(list),
            PathInfoShape::Nix2_26 | PathInfoShape::Nix2_34 => Value::Object(keyed),
            PathInfoShape::JsonFormat2 => {
                json!({ "info": keyed, "storeDir": self.store_dir, "version": 2 })
            }
        }
    }
}
