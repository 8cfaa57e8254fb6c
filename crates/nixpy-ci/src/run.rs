//! `nixpy-ci run`: settings in, report out.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::ArgMatches;
use nixpy_nix::machine::Environment as Machine;
use nixpy_nix::{Nix, NixError};
use nixpy_pipeline::event::Event;
use nixpy_pipeline::inputs::{Loader, Target};
use nixpy_pipeline::look::For;
use nixpy_pipeline::matrix::Matrix;
use nixpy_pipeline::preview::{Preview, preview, preview_layers, preview_matrix};
use nixpy_pipeline::report::{Report, told};
use nixpy_pipeline::run::{self, Finished, RunError};

use crate::audience::Audience;
use crate::cache::{Opened, Wanted};
use crate::exit::Code;
use crate::github::action::Notes;
use crate::render::{Renderer, beside, line, renderer};
use crate::settings::table::withheld_variables;
use crate::settings::{Environment, Progress, RawInputs, Resolved, Surroundings, resolve};
use crate::setup::machine_environment;
use crate::smoke::Starter;
use crate::{github, load, print, report, setup};

/// Does it, and tells how it ended.
pub async fn run(flags: &ArgMatches, environment: &Environment) -> Code {
    let audience = Audience::of(flags, environment);
    audience.forget();
    audience.forget_result();
    let mut resolved = match settings(flags, environment).await {
        Ok(resolved) => resolved,
        Err(problems) => return audience.hears(Code::Inputs, &problems).await,
    };
    if resolved.setup {
        let request = setup::Request {
            systems: resolved
                .inputs
                .systems
                .iter()
                .map(ToString::to_string)
                .collect(),
            nix: None,
            dry_run: resolved.dry_run,
            right_away: true,
        };
        if let Err(stopped) = setup::make_ready(request, environment).await {
            return audience.hears(stopped.code(), &stopped.told()).await;
        }
    }
    let renderer = renderer(resolved.output.progress, environment);
    let nix = match nix(&resolved) {
        Ok(nix) => nix,
        Err(e) => return audience.hears(Code::from(&e), &[told(&e)]).await,
    };
    let machine = machine_environment(environment);
    let opened = read_caches(nix, &mut resolved, &machine).await;
    let nix = &opened.nix;
    if resolved.dry_run {
        let preview = preview(nix, &resolved.inputs, &machine, For::ThisMachine).await;
        return print_preview(preview, &resolved, renderer.as_ref());
    }
    if let Some(loader) = resolved.inputs.load
        && let Err(e) = load::find(loader, environment)
    {
        return audience.hears(Code::Machine, &[told(&e)]).await;
    }
    let moved = MovedTags::default();
    let inputs = &resolved.inputs;
    let gate = Starter::new(inputs.load, inputs.temp_dir.clone(), environment);
    let notes = Notes::of(inputs, environment);
    let on_event = |event: Event<'_>| {
        moved.note(&event);
        notes.hear(&event);
        renderer.event(&event);
    };
    let running = run::run(nix, inputs, &machine, &gate, &on_event);
    let ended = beside(renderer.as_ref(), running).await;
    moved.is_told();
    notes.are_done();
    renderer.close();
    for trouble in opened.troubles() {
        line(&format!("warning: {trouble}; the run went on without it"));
    }
    match ended {
        Ok(mut finished) => {
            finished.report = audience.secrets.out_of(finished.report);
            tell(finished, &resolved, renderer.as_ref()).await
        }
        Err(e) => {
            let report = audience.secrets.out_of(run::unplanned(inputs, &e));
            match github::tell(&report, &resolved.telling, renderer.as_ref()).await {
                true => renderer.error(&told(&e)),
                false => renderer.unplanned(&report),
            }
            report::write(&report, &resolved.output, renderer.as_ref());
            Code::from(&e)
        }
    }
}

/// `nixpy-ci plan`: what `run` would do, with the layers of each image.
pub async fn plan(flags: &ArgMatches, environment: &Environment) -> Code {
    plan_telling(flags, environment, &print).await
}

/// The same, whoever wants to know.
pub async fn plan_telling(
    flags: &ArgMatches,
    environment: &Environment,
    tell: &dyn Fn(&str),
) -> Code {
    let mut resolved = match settings(flags, environment).await {
        Ok(resolved) => resolved,
        Err(problems) => return wrong(&problems, environment),
    };
    let renderer = renderer(resolved.output.progress, environment);
    match nix(&resolved) {
        Ok(nix) => {
            let machine = machine_environment(environment);
            let opened = read_caches(nix, &mut resolved, &machine).await;
            let nix = &opened.nix;
            if let Some(runners) = &resolved.matrix {
                let matrix = preview_matrix(nix, &resolved.inputs, &machine, runners).await;
                return print_matrix(matrix, tell, &resolved, renderer.as_ref());
            }
            let preview = preview_layers(nix, &resolved.inputs, &machine).await;
            print_preview(preview, &resolved, renderer.as_ref())
        }
        Err(e) => {
            renderer.error(&told(&e));
            Code::from(&e)
        }
    }
}

pub(crate) fn nix(resolved: &Resolved) -> Result<Nix, NixError> {
    let nix = Nix::find(resolved.nix.as_deref())?;
    Ok(nix
        .with_options(resolved.nix_options.clone())
        .without_variables(withheld_variables()))
}

/// Has Nix read the caches as long as what comes back is there.
pub(crate) async fn read_caches(nix: Nix, resolved: &mut Resolved, machine: &Machine) -> Opened {
    let wanted = Wanted {
        caches: &resolved.inputs.caches,
        options: &resolved.nix_options,
    };
    let opened = Opened::of(nix, &wanted, machine).await;
    resolved.inputs.caches.ready = opened.ready.clone();
    opened
}

/// Tells what is wrong with what was given.
pub fn wrong(problems: &[String], environment: &Environment) -> Code {
    // How to show anything is itself a setting.
    let renderer = renderer(Progress::Auto, environment);
    problems.iter().for_each(|problem| renderer.error(problem));
    Code::Inputs
}

/// Says, when work is dropped in the middle, which tags it had moved.
#[derive(Default)]
pub struct MovedTags {
    references: Mutex<Vec<String>>,
    ended: AtomicBool,
}

impl MovedTags {
    /// Watches for tags.
    pub fn note(&self, event: &Event<'_>) {
        if let (Event::Tagged(reference), Ok(mut references)) = (event, self.references.lock()) {
            references.push((*reference).to_owned());
        }
    }

    /// The report tells it.
    pub fn is_told(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

impl Drop for MovedTags {
    fn drop(&mut self) {
        if self.ended.load(Ordering::Relaxed) {
            return;
        }
        match self.references.lock().as_deref().map(Vec::as_slice) {
            Ok([]) | Err(_) => line("cancelled: no tag was moved"),
            Ok(moved) => line(&format!("cancelled: moved already: {}", moved.join(", "))),
        }
    }
}

pub(crate) async fn settings(
    flags: &ArgMatches,
    environment: &Environment,
) -> Result<Resolved, Vec<String>> {
    let raw = RawInputs::collect(flags, environment).map_err(|e| vec![e.to_string()])?;
    let around = Surroundings::here(environment).map_err(|e| vec![e])?;
    resolve(&raw, &around)
        .await
        .map_err(|e| e.iter().map(ToString::to_string).collect())
}

fn print_preview(
    preview: Result<Preview, RunError>,
    resolved: &Resolved,
    renderer: &dyn Renderer,
) -> Code {
    match preview {
        Ok(preview) if resolved.output.json => print(&report::json(&preview)),
        Ok(preview) => print(&crate::preview::text(&preview)),
        Err(e) => {
            renderer.unplanned(&run::unplanned(&resolved.inputs, &e));
            return Code::from(&e);
        }
    }
    Code::Success
}

/// On one line, as a variable of a workflow takes it.
fn print_matrix(
    matrix: Result<Matrix, RunError>,
    tell: &dyn Fn(&str),
    resolved: &Resolved,
    renderer: &dyn Renderer,
) -> Code {
    match matrix {
        Ok(matrix) => {
            let line = serde_json::to_string(&matrix).unwrap_or_default();
            tell(&format!("{line}\n"));
            Code::Success
        }
        Err(e) => {
            renderer.unplanned(&run::unplanned(&resolved.inputs, &e));
            Code::from(&e)
        }
    }
}

/// Loads, writes and prints what came out.
async fn tell(finished: Finished, resolved: &Resolved, renderer: &dyn Renderer) -> Code {
    let Finished {
        mut report,
        loadable,
        result,
        error,
    } = finished;
    let mut code = match &error {
        Some(error) => {
            renderer.error(&told(error));
            Code::from(error)
        }
        None => Code::from(&report),
    };
    if !report.failures.is_empty() {
        line(&format!(
            "nothing was published to {}",
            report.destinations.join(", ")
        ));
    }
    report::tell_budgets(&report, renderer);
    let is_tried = !report.over_budget.is_empty()
        || report.platforms.iter().any(|image| image.smoke.is_some());
    if is_tried && report.references.is_empty() && !report.rehearsed {
        let destinations = report.destinations.join(", ");
        line(&format!("no tag was moved at {destinations}"));
    }
    match (resolved.inputs.load, loadable) {
        (Some(loader), Some(loadable)) => {
            let name = name_to_load(resolved, &report);
            match load::load(loader, &loadable, &name).await {
                Ok(()) => report.loaded = Some(format!("{} {name}", loader.program())),
                Err(e) => {
                    let why = told(&e);
                    renderer.error(&why);
                    report.fails(&why);
                    code = Code::Machine;
                }
            }
        }
        (Some(loader), None) if code == Code::Success => {
            line(&format!("warning: {}", nothing_to_load(loader)));
        }
        _ => {}
    }
    if !report::tell(&report, &resolved.output, renderer) {
        code = Code::Machine;
    }
    if !github::tell(&report, &resolved.telling, renderer).await {
        renderer.findings(&report);
    }
    if let Some(result) = result
        && code == Code::Success
        && let Err(problem) = report::leave(&result, &resolved.output)
    {
        renderer.error(&problem);
        code = Code::Machine;
    }
    code
}

fn nothing_to_load(loader: Loader) -> String {
    format!(
        "nothing was loaded into {}: no image of this machine's platform was built",
        loader.program()
    )
}

/// The published name where there is one; else the layout directory's.
fn name_to_load(resolved: &Resolved, report: &Report) -> String {
    let tag = resolved
        .inputs
        .tags
        .first()
        .map_or("latest", |tag| tag.as_ref());
    match resolved.inputs.targets.first() {
        Some(Target::Registry { repository, .. }) => format!("{repository}:{tag}"),
        _ => {
            let name = report.platforms.first().map(|image| image.name.as_str());
            format!("localhost/{}:{tag}", image_name(name.unwrap_or_default()))
        }
    }
}

/// A package's name as far as an image can be called that.
fn image_name(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let name = name.to_ascii_lowercase().replace(|c| !allowed(c), "-");
    match name.trim_matches('-') {
        "" => "image".to_owned(),
        name => name.to_owned(),
    }
}
