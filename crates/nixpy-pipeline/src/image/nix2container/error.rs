//! What can be wrong with a description.

use std::io;
use std::path::PathBuf;

use nixpy_oci::tarball::mapped::InvalidPattern;

/// A description that no image can be made from.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DescriptionError {
    #[error("its description cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("it is not what nix2container writes: {0}")]
    Json(#[from] serde_json::Error),
    #[error(
        "it is written in version {0} of nix2container's descriptions, and only version 1 \
         is known here: look for a newer nixpy-ci, or build with an older nix2container"
    )]
    Version(u64),
    #[error(
        "it names no architecture, as images of `pullImage` do not: \
         offer one of `buildImage` that has it as `fromImage`"
    )]
    NoArchitecture,
    #[error("it has more than {1} {0}: that is no image")]
    Limit(&'static str, u64),
    #[error("{what} {text:?} is no time as nix2container writes it")]
    Time { what: &'static str, text: String },
    #[error("layer {number} of its description: {kind}")]
    Layer { number: usize, kind: LayerFault },
}

/// What can be wrong with one layer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LayerFault {
    #[error("it is not compressed, so its digest and its diff ID should be the same")]
    Digests,
    #[error("its media type {0:?} is not that of a layer")]
    MediaType(String),
    #[error("it has neither paths that a tar is made from nor a file")]
    Empty,
    #[error("its file {0:?} is not in a store")]
    NotInStore(String),
    #[error("its file {path} cannot be used: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("its file {path} has {found} bytes, but {stated} were stated")]
    Size {
        path: PathBuf,
        stated: u64,
        found: u64,
    },
    #[error("the mode {0:?} is not one of up to seven octal digits")]
    Mode(String),
    #[error("the owner's name {0:?} cannot be written into a tar")]
    Owner(String),
    #[error("{error}: {cause}", error = .0, cause = cause(.0))]
    Pattern(InvalidPattern),
}

/// In one line: the parser points at the place in several.
fn cause(error: &InvalidPattern) -> String {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    let lines = cause.unwrap_or_default();
    let last = lines.lines().next_back().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

impl DescriptionError {
    /// Whether it contradicts itself or its files, rather than asks for what cannot be done.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Unreadable(_) | Self::Json(_) | Self::Time { .. } => true,
            Self::Version(_) | Self::NoArchitecture | Self::Limit(..) => false,
            Self::Layer { kind, .. } => !matches!(
                kind,
                LayerFault::Pattern(_) | LayerFault::Mode(_) | LayerFault::Owner(_)
            ),
        }
    }
}
