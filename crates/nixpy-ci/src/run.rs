//! `nixpy-ci run`: settings in, report out.

use clap::ArgMatches;
use nixpy_pipeline::inputs::Loader;
use nixpy_pipeline::look::For;
use nixpy_pipeline::preview::preview;
use nixpy_pipeline::report::told;
use nixpy_pipeline::run::{Finished, unplanned};

use crate::audience::Audience;
use crate::exit::Code;
use crate::listening::heard;
use crate::plan::print_preview;
use crate::redact::clean;
use crate::render::{Renderer, line, renderer};
use crate::running::Ready;
use crate::settings::{Environment, Resolved, resolved};
use crate::{github, load, report};

/// Does it, and tells how it ended.
pub async fn run(flags: &ArgMatches, environment: &Environment) -> Code {
    let audience = Audience::of(flags, environment);
    audience.forget();
    audience.forget_result();
    let mut resolved = match resolved(flags, environment).await {
        Ok(resolved) => resolved,
        Err(problems) => return audience.hears(Code::Inputs, &problems).await,
    };
    let ready = match Ready::made(&mut resolved, environment).await {
        Ok(ready) => ready,
        Err(hindered) => return audience.hears(hindered.code, &hindered.problems).await,
    };
    let renderer = renderer(resolved.output.progress, environment);
    let inputs = &resolved.inputs;
    if resolved.dry_run {
        let preview = preview(ready.nix(), inputs, &ready.machine, For::ThisMachine).await;
        return print_preview(preview, &resolved, renderer.as_ref());
    }
    if let Some(loader) = inputs.load
        && let Err(e) = load::find(loader, environment)
    {
        return audience.hears(Code::Machine, &[told(&e)]).await;
    }
    let ended = heard(renderer.as_ref(), async |listeners| {
        ready.carry_out(inputs, listeners).await
    });
    match ended.await {
        Ok(finished) => tell(finished, &resolved, renderer.as_ref()).await,
        Err(e) => {
            let report = clean(unplanned(inputs, &e));
            match github::tell(&report, &resolved.telling, renderer.as_ref()).await {
                true => renderer.error(&told(&e)),
                false => renderer.unplanned(&report),
            }
            report::write(&report, &resolved.output, renderer.as_ref());
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
            let name = load::name(&resolved.inputs, &report);
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
    let report = clean(report);
    if !report::tell(&report, &resolved.output, renderer) {
        code = Code::Machine;
    }
    if !github::tell(&report, &resolved.telling, renderer).await {
        renderer.findings(&report);
    }
    if let Some(result) = result
        && code == Code::Success
        && let Err(problem) = report::leave(&clean(result), &resolved.output)
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
