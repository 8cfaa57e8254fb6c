//! What has to be known of a configuration, who ever has written it: the facts that
//! publishing needs, and what becomes of the image when it is started.
//!
//! Its bytes are published as they are, because the image's ID is their digest.
//! Format: <https://github.com/opencontainers/image-spec/blob/main/config.md>.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Deserializer};

use crate::digest::Digest;
use crate::image::{self, Body, Image, Pushed};
use crate::layout::Layout;
use crate::platform::Platform;

/// The facts of a configuration; everything else in it concerns those who run the image.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Config {
    /// What the image runs on.
    #[serde(flatten)]
    pub platform: Platform,
    /// Its file system.
    pub rootfs: RootFs,
}

/// The layers of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RootFs {
    /// Of the uncompressed tars, from the bottom up.
    pub diff_ids: Vec<Digest>,
}

/// How an image is started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Runtime {
    /// The program and its first arguments.
    #[serde(deserialize_with = "or_null")]
    pub entrypoint: Vec<String>,
    /// What follows them; the program itself where there is no entrypoint.
    #[serde(deserialize_with = "or_null")]
    pub cmd: Vec<String>,
    /// `NAME=VALUE`.
    #[serde(deserialize_with = "or_null")]
    pub env: Vec<String>,
    /// An absolute path; the root if it is empty.
    #[serde(deserialize_with = "or_null")]
    pub working_dir: String,
    /// `user`, `user:group`, by name or by number; root if it is empty.
    #[serde(deserialize_with = "or_null")]
    pub user: String,
    /// `8000/tcp`.
    #[serde(deserialize_with = "or_null")]
    exposed_ports: BTreeMap<String, serde_json::Value>,
}

impl Runtime {
    /// What the configuration of an image in a layout says.
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub fn of(layout: &Layout, image: &Pushed) -> io::Result<Self> {
        #[derive(Deserialize)]
        struct Document {
            #[serde(default, deserialize_with = "or_null")]
            config: Runtime,
        }
        let bytes = std::fs::read(layout.blob_path(image.image_id))?;
        let document: Document = serde_json::from_slice(&bytes)?;
        Ok(document.config)
    }

    /// What the configuration of an image that is described says; nothing of one that has
    /// to be read first.
    pub fn described(image: &Image) -> Option<Self> {
        let Body::Layers { config, .. } = &image.body else {
            return None;
        };
        let config = match config {
            image::Config::Template(template) => template.config.clone(),
            image::Config::Whole { bytes, .. } => {
                let mut document: serde_json::Value = serde_json::from_slice(bytes).ok()?;
                document.get_mut("config")?.take()
            }
        };
        serde_json::from_value(config).ok()
    }

    /// The TCP ports it says it listens on.
    pub fn tcp_ports(&self) -> Vec<u16> {
        let ports = self.exposed_ports.keys();
        ports
            .filter_map(|port| match port.split_once('/') {
                Some((number, "tcp")) => number.parse().ok(),
                Some(_) => None,
                None => port.parse().ok(),
            })
            .collect()
    }
}

/// Go writes what is empty as `null`.
fn or_null<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn platform_and_diff_ids_are_found_among_everything_else() {
        let layer = Digest::of(b"layer");
        let text = format!(
            r#"{{"architecture":"arm64","os":"linux","variant":"v8","os.version":"1",
                "config":{{"Cmd":["x"]}},"rootfs":{{"type":"layers","diff_ids":["{layer}"]}}}}"#
        );
        let config: Config = serde_json::from_str(&text).unwrap();
        assert_eq!(config.platform, Platform::linux("arm64"));
        assert_eq!(config.rootfs.diff_ids, [layer]);
    }

    #[test]
    fn of_the_ports_those_of_tcp_count_and_null_is_nothing() {
        let text = r#"{"Entrypoint":null,"Cmd":["serve"],"User":null,
            "ExposedPorts":{"53/udp":{},"8000/tcp":{},"9000":{}},"Labels":{"a":"b"}}"#;
        let runtime: Runtime = serde_json::from_str(text).unwrap();
        assert_eq!(runtime.tcp_ports(), [8000, 9000]);
        assert_eq!((runtime.entrypoint.len(), runtime.cmd.len()), (0, 1));
    }

    #[test]
    fn a_diff_id_that_is_none_is_named() {
        let text = r#"{"architecture":"arm64","os":"linux","rootfs":{"diff_ids":["sha1:00"]}}"#;
        let error = serde_json::from_str::<Config>(text).unwrap_err();
        assert!(
            error.to_string().contains("\"sha1:00\" is not a digest"),
            "{error}"
        );
    }

    #[test]
    fn what_a_described_image_exposes_is_known_before_it_is_made() {
        let exposing = serde_json::json!({ "ExposedPorts": { "8000/tcp": {}, "53/udp": {} } });
        let whole = serde_json::json!({ "config": exposing });
        let platform = Platform::linux("amd64");
        let of = |config| {
            let image = Image {
                platform: platform.clone(),
                body: Body::Layers {
                    base: None,
                    layers: Vec::new(),
                    config,
                },
                annotations: BTreeMap::default(),
            };
            Runtime::described(&image).map(|runtime| runtime.tcp_ports())
        };
        let template = image::Config::Template(image::ConfigTemplate {
            created: "1970-01-01T00:00:01Z".to_owned(),
            platform: platform.clone(),
            config: exposing,
        });
        let written = |bytes: &str| image::Config::Whole {
            platform: platform.clone(),
            bytes: bytes.as_bytes().to_vec(),
        };
        assert_eq!(of(template), Some(vec![8000]));
        assert_eq!(of(written(&whole.to_string())), Some(vec![8000]));
        for none in ["[]", "{}", "x", r#"{"config":7}"#] {
            assert_eq!(of(written(none)), None, "{none}");
        }
    }
}
