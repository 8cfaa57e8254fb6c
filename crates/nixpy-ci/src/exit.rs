//! What went wrong, as the shell sees it.

use nixpy_nix::{NixError, NixErrorKind};
use nixpy_oci::destination::DestinationError;
use nixpy_oci::layer::LayerError;
use nixpy_oci::publish::PublishError;
use nixpy_oci::stored::StoredError;
use nixpy_pipeline::report::{Outcome, Report};
use nixpy_pipeline::run::RunError;

/// Exit codes; a part of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// Fine.
    Success = 0,
    /// A build or a gate failed.
    Failed = 1,
    /// Wrong inputs.
    Inputs = 2,
    /// This machine cannot.
    Machine = 3,
    /// A remote refused or could not be reached.
    Remote = 4,
    /// Cancelled.
    Cancelled = 130,
}

impl From<&RunError> for Code {
    fn from(error: &RunError) -> Self {
        match error {
            RunError::Nix(error) => error.into(),
            RunError::Image(error) if error.is_damage() => Self::Failed,
            RunError::Plan(_) | RunError::Image(_) => Self::Inputs,
            RunError::Destination(error) => error.into(),
            RunError::Publish(error) => match error {
                PublishError::Destination(error) => error.into(),
                PublishError::Platform { .. } => Self::Inputs,
                PublishError::Layer(LayerError::DiskFull { .. }) => Self::Machine,
                PublishError::Stored { source, .. } => match source.as_ref() {
                    StoredError::NoPlatform { .. } => Self::Inputs,
                    StoredError::Spool(LayerError::DiskFull { .. }) => Self::Machine,
                    _ => Self::Failed,
                },
                _ => Self::Failed,
            },
        }
    }
}

impl From<&NixError> for Code {
    fn from(error: &NixError) -> Self {
        match *error.kind {
            NixErrorKind::Missing | NixErrorKind::Spawn | NixErrorKind::Store(_) => Self::Machine,
            NixErrorKind::BadReference(_)
            | NixErrorKind::NotAFlake(_)
            | NixErrorKind::NoPackages
            | NixErrorKind::Untracked(_)
            | NixErrorKind::NotADerivation { .. }
            | NixErrorKind::Unsupported(_) => Self::Inputs,
            NixErrorKind::Fetch { .. } => Self::Remote,
            _ => Self::Failed,
        }
    }
}

impl From<&DestinationError> for Code {
    fn from(error: &DestinationError) -> Self {
        match error {
            DestinationError::Layout(error) if error.is_foreign() => Self::Inputs,
            DestinationError::Layout(_) => Self::Machine,
            DestinationError::Remote(_) => Self::Remote,
        }
    }
}

impl From<&Report> for Code {
    fn from(report: &Report) -> Self {
        match report.outcome {
            Outcome::Success => Self::Success,
            Outcome::Failure if report.failures.iter().all(|f| f.machine_cannot) => Self::Machine,
            Outcome::Failure => Self::Failed,
        }
    }
}
