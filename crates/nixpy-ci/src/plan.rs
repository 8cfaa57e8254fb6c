//! `nixpy-ci plan`, and `run --dry-run`: what a run would do, and nothing of it done.

use clap::ArgMatches;
use nixpy_pipeline::matrix::Matrix;
use nixpy_pipeline::preview::{Preview, preview_layers, preview_matrix};
use nixpy_pipeline::report::told;
use nixpy_pipeline::run::{RunError, unplanned};

use crate::audience::wrong;
use crate::exit::Code;
use crate::redact::{Clean, clean};
use crate::render::{Renderer, renderer};
use crate::running::Ready;
use crate::settings::{Environment, Resolved, resolved};
use crate::{preview, print, report};

/// What `run` would do, with the layers of each image; or the jobs of a matrix.
pub async fn plan(flags: &ArgMatches, environment: &Environment) -> Code {
    plan_telling(flags, environment, &print).await
}

/// The same; whoever wants to know is told of the matrix.
pub async fn plan_telling(
    flags: &ArgMatches,
    environment: &Environment,
    tell: &dyn Fn(&Clean<String>),
) -> Code {
    let mut resolved = match resolved(flags, environment).await {
        Ok(resolved) => resolved,
        Err(problems) => return wrong(&problems, environment),
    };
    let renderer = renderer(resolved.output.progress, environment);
    let ready = match Ready::found(&mut resolved, environment).await {
        Ok(ready) => ready,
        Err(e) => {
            renderer.error(&told(&e));
            return Code::from(&e);
        }
    };
    let (nix, inputs) = (ready.nix(), &resolved.inputs);
    match &resolved.matrix {
        Some(runners) => {
            let matrix = preview_matrix(nix, inputs, &ready.machine, runners).await;
            print_matrix(matrix, tell, &resolved, renderer.as_ref())
        }
        None => {
            let preview = preview_layers(nix, inputs, &ready.machine).await;
            print_preview(preview, &resolved, renderer.as_ref())
        }
    }
}

/// As text or JSON.
pub fn print_preview(
    preview: Result<Preview, RunError>,
    resolved: &Resolved,
    renderer: &dyn Renderer,
) -> Code {
    match preview {
        Ok(preview) if resolved.output.json => print(&report::json(&clean(preview))),
        Ok(preview) => print(&clean(preview).made(preview::text)),
        Err(e) => return without_plan(&e, resolved, renderer),
    }
    Code::Success
}

/// On one line, as a variable of a workflow takes it.
fn print_matrix(
    matrix: Result<Matrix, RunError>,
    tell: &dyn Fn(&Clean<String>),
    resolved: &Resolved,
    renderer: &dyn Renderer,
) -> Code {
    match matrix {
        Ok(matrix) => {
            let line = |matrix: &Matrix| serde_json::to_string(matrix).unwrap_or_default() + "\n";
            tell(&clean(matrix).made(line));
            Code::Success
        }
        Err(e) => without_plan(&e, resolved, renderer),
    }
}

fn without_plan(e: &RunError, resolved: &Resolved, renderer: &dyn Renderer) -> Code {
    renderer.unplanned(&clean(unplanned(&resolved.inputs, e)));
    Code::from(e)
}
