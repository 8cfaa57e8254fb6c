//! What a run tells GitHub beside its log: outputs, summary, comment, check run.

pub mod action;
