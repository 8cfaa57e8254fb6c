//! Evaluations that fail, at their lines of the flake.

use nixpy_nix::error::EvaluationFailure;
use nixpy_nix::{NixError, NixErrorKind};

use super::project::Project;
use super::{Finding, Level, Place};

/// What an error of Nix says of the flake's own code; nothing if it is about something else.
pub fn of_error(error: &NixError, project: Option<&Project>) -> Option<Finding> {
    match &*error.kind {
        NixErrorKind::Evaluation(failure) => Some(of_evaluation(failure, project)),
        NixErrorKind::Untracked(file) => Some(Finding {
            level: Level::Error,
            title: format!("git does not track {}", file.display()),
            message: error.kind.to_string(),
            place: None,
            derivation: None,
        }),
        _ => None,
    }
}

fn of_evaluation(failure: &EvaluationFailure, project: Option<&Project>) -> Finding {
    let position = failure.position.as_ref();
    let place = position.filter(|position| position.in_flake);
    let place = place.and_then(|position| {
        Some(Place {
            file: project?.in_source(&position.file)?,
            line: position.line.max(1),
            column: Some(position.column).filter(|column| *column > 0),
            end_line: None,
        })
    });
    let mut lines = vec![failure.message.clone()];
    // What is no place in the project is said in words.
    if place.is_none() {
        lines.extend(position.map(|position| format!("at {position}")));
    }
    lines.extend(failure.trace.iter().cloned());
    Finding {
        level: Level::Error,
        title: "the flake does not evaluate".to_owned(),
        message: lines.join("\n"),
        place,
        derivation: None,
    }
}
