//! The image's config, with the bytes that Go makes of the image specification's
//! types: their order, without what is empty, and with `<`, `>`, `&` and two line
//! ends of Unicode's escaped in texts. Its digest is the image's ID.
//!
//! Source: <https://github.com/opencontainers/image-spec>, `specs-go/v1/config.go`,
//! and the documentation of Go's `encoding/json`.

use std::io;

use nixpy_oci::digest::Digest;
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use super::description::{ContainerConfig, Description, History};

/// nix2container makes no other images.
pub(super) const OS: &str = "linux";

#[derive(Serialize)]
struct Image<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<&'a str>,
    architecture: &'a str,
    os: &'a str,
    config: &'a ContainerConfig,
    rootfs: RootFs,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    history: Vec<&'a History>,
}

#[derive(Serialize)]
struct RootFs {
    #[serde(rename = "type")]
    kind: &'static str,
    diff_ids: Vec<Digest>,
}

pub(super) fn bytes(description: &Description) -> Vec<u8> {
    let layers = description.layers.iter();
    let image = Image {
        created: description.created.as_deref(),
        architecture: &description.arch,
        os: OS,
        config: &description.config,
        rootfs: RootFs {
            kind: "layers",
            diff_ids: layers.clone().map(|layer| layer.diff_ids).collect(),
        },
        history: layers.map(|layer| &layer.history).collect(),
    };
    let mut bytes = Vec::new();
    image
        .serialize(&mut Serializer::with_formatter(&mut bytes, AsGo))
        .expect("documents have string keys and go to memory");
    bytes
}

/// Compact, and harmless in a page.
struct AsGo;

impl Formatter for AsGo {
    fn write_string_fragment<W>(&mut self, out: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        let escaped = |c: char| matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}');
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| escaped(*c)) {
            out.write_all(&rest.as_bytes()[..at])?;
            write!(out, "\\u{:04x}", u32::from(c))?;
            rest = &rest[at + c.len_utf8()..];
        }
        out.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn config_of(json: &str) -> String {
        let description = Description::parse(json.as_bytes()).unwrap().unwrap();
        String::from_utf8(bytes(&description)).unwrap()
    }

    /// Both sides are what nix2container's own tool read and wrote.
    #[test]
    fn the_bytes_are_those_of_nix2container() {
        assert_eq!(
            config_of(include_str!("recorded/image.json")),
            include_str!("recorded/config.json")
        );
    }

    #[test]
    fn an_image_of_before_2024_has_the_history_that_was_written_then() {
        let digest = Digest::of(b"");
        let config = config_of(&format!(
            r#"{{"version":1,"image-config":{{}},"arch":"arm64","layers":[
                {{"digest":"{digest}","size":1,"diff_ids":"{digest}","mediatype":""}}]}}"#
        ));
        assert_eq!(
            config,
            format!(
                r#"{{"architecture":"arm64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["{digest}"]}},"history":[{{"created_by":"nix2container"}}]}}"#
            )
        );
    }
}
