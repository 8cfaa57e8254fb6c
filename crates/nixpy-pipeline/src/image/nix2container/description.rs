//! The JSON, as it is written. Unknown fields are refused: one of them may change the
//! image.

use std::collections::BTreeMap;

use jiff::Timestamp;
use nixpy_nix::StorePath;
use nixpy_oci::digest::Digest;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::DescriptionError;

/// More cannot be started anyway, by any client.
const MAX_LAYERS: usize = 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Description {
    #[serde(rename = "version")]
    _version: u64,
    #[serde(rename = "image-config")]
    pub(super) config: ContainerConfig,
    /// `null` if there is none.
    #[serde(deserialize_with = "or_none")]
    pub(super) layers: Vec<Layer>,
    pub(super) arch: String,
    /// Since 2024.
    #[serde(default)]
    pub(super) created: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Layer {
    /// Of the blob, compressed or not.
    pub(super) digest: Digest,
    /// Of the blob; 0 if it comes from another image.
    #[serde(default)]
    pub(super) size: u64,
    /// Of the tar: there is only one.
    pub(super) diff_ids: Digest,
    #[serde(default)]
    pub(super) paths: Vec<Path>,
    pub(super) mediatype: String,
    /// Where the blob is, unless it is made from the paths.
    #[serde(default, rename = "layer-path")]
    pub(super) layer_path: Option<String>,
    /// Since 2024.
    #[serde(default = "History::before_2024", rename = "History")]
    pub(super) history: History,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Path {
    pub(super) path: StorePath,
    #[serde(default)]
    pub(super) options: Options,
}

#[derive(Deserialize, Serialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Options {
    #[serde(default)]
    pub(super) rewrite: Rewrite,
    #[serde(default)]
    pub(super) perms: Vec<Perm>,
}

/// None if the pattern is empty.
#[derive(Deserialize, Serialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Rewrite {
    pub(super) regex: String,
    pub(super) repl: String,
}

/// An empty text changes nothing.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Perm {
    pub(super) regex: String,
    #[serde(default)]
    pub(super) mode: String,
    #[serde(default)]
    pub(super) uid: u32,
    #[serde(default)]
    pub(super) gid: u32,
    #[serde(default)]
    pub(super) uname: String,
    #[serde(default)]
    pub(super) gname: String,
}

/// In the order of the image specification's Go types, in which it is published; what
/// is empty is left out there.
#[derive(Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
pub(super) struct History {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) created: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    created_by: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    author: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    comment: String,
    #[serde(skip_serializing_if = "is_false")]
    empty_layer: bool,
}

/// As [`History`].
#[derive(Deserialize, Serialize, Default)]
#[serde(default, rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ContainerConfig {
    #[serde(skip_serializing_if = "String::is_empty")]
    user: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    exposed_ports: BTreeMap<String, Empty>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    env: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    entrypoint: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cmd: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    volumes: BTreeMap<String, Empty>,
    #[serde(skip_serializing_if = "String::is_empty")]
    working_dir: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    stop_signal: String,
    #[serde(skip_serializing_if = "is_false")]
    args_escaped: bool,
}

/// `{}`
#[derive(Deserialize, Serialize)]
struct Empty {}

impl Description {
    /// Reads a description; `None` if the JSON is about something else.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Self>, DescriptionError> {
        let keys: BTreeMap<String, IgnoredAny> = serde_json::from_slice(bytes)?;
        let known = ["version", "image-config", "layers"];
        if !known.iter().all(|key| keys.contains_key(*key)) {
            return Ok(None);
        }
        #[derive(Deserialize)]
        struct Versioned {
            version: u64,
        }
        // The rest may have another form in another version.
        let Versioned { version } = serde_json::from_slice(bytes)?;
        if version != 1 {
            return Err(DescriptionError::Version(version));
        }
        let description: Self = serde_json::from_slice(bytes)?;
        description.check()?;
        Ok(Some(description))
    }

    fn check(&self) -> Result<(), DescriptionError> {
        if self.arch.is_empty() {
            return Err(DescriptionError::NoArchitecture);
        }
        if self.layers.len() > MAX_LAYERS {
            return Err(DescriptionError::Limit("layers", MAX_LAYERS as u64));
        }
        let of_layers = self.layers.iter();
        let times =
            of_layers.filter_map(|layer| Some(("the history's", layer.history.created.as_ref()?)));
        for (what, text) in times.chain(self.created.iter().map(|text| ("the image's", text))) {
            // Go writes them back as it has read them.
            if text.parse::<Timestamp>().is_err() {
                let text = text.clone();
                return Err(DescriptionError::Time { what, text });
            }
        }
        Ok(())
    }
}

impl History {
    /// What nix2container's own tool said of every layer.
    fn before_2024() -> Self {
        Self {
            created_by: "nix2container".to_owned(),
            ..Self::default()
        }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

fn or_none<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
