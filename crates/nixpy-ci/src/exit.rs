//! What went wrong, as the shell sees it.

use nixpy_nix::{NixError, NixErrorKind};
use nixpy_oci::archive::ArchiveError;
use nixpy_oci::destination::DestinationError;
use nixpy_oci::layer::LayerError;
use nixpy_oci::publish::PublishError;
use nixpy_oci::stored::StoredError;
use nixpy_pipeline::plan::PlanError;
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
    /// A program of an image that is tried out cannot be started: nobody else sees it.
    NotStarted = 127,
    /// Cancelled.
    Cancelled = 130,
}

impl From<&RunError> for Code {
    fn from(error: &RunError) -> Self {
        match error {
            RunError::Nix(error) => error.into(),
            RunError::Builders(_) => Self::Machine,
            RunError::Image(error) if error.is_damage() => Self::Failed,
            RunError::Plan(problems) if problems.iter().all(PlanError::is_of_the_machine) => {
                Self::Machine
            }
            RunError::Plan(_) | RunError::Image(_) | RunError::Unidentified(_) => Self::Inputs,
            RunError::NotThere(_) | RunError::Caches(_) => Self::Remote,
            RunError::Destination(error) => error.into(),
            RunError::Publish(error) => error.into(),
        }
    }
}

impl From<&PublishError> for Code {
    fn from(error: &PublishError) -> Self {
        match error {
            PublishError::Destination(error) => error.into(),
            PublishError::Platform { .. } => Self::Inputs,
            PublishError::Layer(error) => error.into(),
            PublishError::Archive {
                source: ArchiveError::Layer(error),
                ..
            } => error.into(),
            PublishError::Stored { source, .. } => match source.as_ref() {
                StoredError::NoPlatform { .. } => Self::Inputs,
                StoredError::Spool(error) => error.into(),
                _ => Self::Failed,
            },
            _ => Self::Failed,
        }
    }
}

impl From<&LayerError> for Code {
    fn from(error: &LayerError) -> Self {
        match error {
            LayerError::DiskFull { .. } => Self::Machine,
            _ => Self::Failed,
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
            // Without a failed build it was a smoke test that kept the tags where they were.
            Outcome::Failure if report.failures.is_empty() => Self::Failed,
            Outcome::Failure if report.failures.iter().all(|f| f.machine_cannot) => Self::Machine,
            Outcome::Failure => Self::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_the_machines_whatever_was_read_meanwhile() {
        let full = || LayerError::DiskFull { dir: "/tmp".into() };
        let path = || "/nix/store/image".into();
        for error in [
            PublishError::Layer(full()),
            PublishError::Archive {
                path: path(),
                source: ArchiveError::Layer(full()),
            },
            PublishError::Stored {
                path: path(),
                source: Box::new(StoredError::Spool(full())),
            },
        ] {
            assert_eq!(Code::from(&error), Code::Machine, "{error}");
        }
        let damaged = PublishError::Archive {
            path: path(),
            source: ArchiveError::Images(2),
        };
        assert_eq!(Code::from(&damaged), Code::Failed);
    }
}
