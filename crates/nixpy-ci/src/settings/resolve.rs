//! Parses every setting, and reports every one that cannot be parsed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use nixpy_nix::{FlakeRef, Nix, System};
use nixpy_oci::blob::Compression;
use nixpy_oci::name::{Repository, Tag};
use nixpy_oci::registry::{CredentialEnvironment, Credentials, RegistryOptions, Secret};
use nixpy_pipeline::inputs::{ImageSettings, Inputs, Loader, Target};

use super::sources::{Environment, RawInputs};
use super::table::{Kind, SETTINGS};

/// A setting that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
#[error("{origin}: {problem}")]
pub struct Problem {
    origin: String,
    problem: String,
}

/// Everything a run needs.
#[derive(Debug)]
pub struct Resolved {
    /// For the pipeline.
    pub inputs: Inputs,
    /// Nix, as far as it was named.
    pub nix: Option<PathBuf>,
    /// Options for Nix.
    pub nix_options: Vec<(String, String)>,
    /// Make the machine able first.
    pub setup: bool,
    /// Only print the plan.
    pub dry_run: bool,
    /// What is told.
    pub output: Output,
}

/// What is told, and how.
#[derive(Debug)]
pub struct Output {
    /// The report on standard output.
    pub json: bool,
    /// Markdown.
    pub summary: Option<PathBuf>,
    /// How to show what goes on.
    pub progress: Progress,
}

/// How to show what goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// By what standard error is.
    Auto,
    /// Bars that move.
    Bars,
    /// Lines.
    Plain,
    /// Lines in folded groups.
    Github,
    /// Nothing.
    None,
}
