//! What has to be known of a configuration that somebody else has written.
//!
//! Its bytes are published as they are, because the image's ID is their digest.
//! Format: <https://github.com/opencontainers/image-spec/blob/main/config.md>.

use serde::Deserialize;

use crate::digest::Digest;
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
    fn a_diff_id_that_is_none_is_named() {
        let text = r#"{"architecture":"arm64","os":"linux","rootfs":{"diff_ids":["sha1:00"]}}"#;
        let error = serde_json::from_str::<Config>(text).unwrap_err();
        assert!(
            error.to_string().contains("\"sha1:00\" is not a digest"),
            "{error}"
        );
    }
}
