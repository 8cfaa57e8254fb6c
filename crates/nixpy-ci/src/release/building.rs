//! The image of a commit that has none: built and published as a run would, and left under
//! the commit's own tag, where a release looks for it.

use nixpy_nix::Revision;
use nixpy_pipeline::event::Event;
use nixpy_pipeline::join::{Called, Joined, Named, Wishes, join, publish_joined};
use nixpy_pipeline::report::{Outcome, Report, told};
use nixpy_pipeline::result::RunResult;
use nixpy_pipeline::run::{Finished, unplanned};

use super::Failed;
use crate::exit::Code;
use crate::listening::{Listeners, heard};
use crate::redact::clean;
use crate::render::{Renderer, failure_lines, line};
use crate::report;
use crate::running::Ready;
use crate::settings::{Environment, Resolved};

/// Builds and publishes what is checked out, by digest, so that no tag has moved before it is
/// known of which commit it is.
pub async fn build(
    commit: &Revision,
    resolved: &mut Resolved,
    environment: &Environment,
    renderer: &dyn Renderer,
) -> Result<(), Failed> {
    if resolved.inputs.rehearse {
        let text = "the commit has no image, and none is pushed here: for a pull request, or by the setting `push`";
        return Err(Failed::inputs(text));
    }
    resolved.inputs.by_digest = true;
    // It is for others, whatever runs do with theirs.
    resolved.inputs.load = None;
    let ready = Ready::made(resolved, environment).await?;
    let resolved = &*resolved;
    heard(renderer, async |listeners| {
        let result = published(&ready, resolved, listeners).await?;
        named(commit, result, resolved, listeners).await
    })
    .await
}

/// The images by digest; if there are none, whoever waits for them has a report of why.
async fn published(
    ready: &Ready<'_>,
    resolved: &Resolved,
    listeners: &Listeners<'_>,
) -> Result<RunResult, Failed> {
    let (inputs, renderer) = (&resolved.inputs, listeners.renderer);
    let finished = match ready.carry_out(inputs, listeners).await {
        Ok(finished) => finished,
        Err(e) => {
            let unplanned = clean(unplanned(inputs, &e));
            renderer.unplanned(&unplanned);
            report::write(&unplanned, &resolved.output, renderer);
            return Err(Failed::told(Code::from(&e)));
        }
    };
    let Finished {
        report: built,
        result,
        error,
        ..
    } = finished;
    if let Some(result) = result {
        return Ok(result);
    }
    for failure in &built.failures {
        failure_lines(failure).iter().for_each(|text| line(text));
    }
    report::tell_budgets(&built, renderer);
    // No check run: none would take its place when the version is released after all.
    let built = clean(built);
    renderer.findings(&built);
    report::write(&built, &resolved.output, renderer);
    let (problem, code) = match &error {
        Some(error) => (told(error), Code::from(error)),
        None => {
            let text = format!("{}, and so nothing is released", why(&built));
            (text, Code::from(&*built))
        }
    };
    Err(Failed {
        problems: vec![problem],
        code,
    })
}

/// The commit's tag for them, if they are of that commit.
async fn named(
    commit: &Revision,
    result: RunResult,
    resolved: &Resolved,
    listeners: &Listeners<'_>,
) -> Result<(), Failed> {
    if result.source.revision.as_ref() != Some(commit) {
        let text = format!(
            "what is checked out here is of {}, and the release is of commit {commit}: check that one out, with nothing \
             changed in it",
            result.source
        );
        return Err(Failed::inputs(&text));
    }
    let inputs = &resolved.inputs;
    let joined = alone(result)?;
    let tag = format!("sha-{commit}").parse();
    let tags: Vec<_> = tag.into_iter().collect();
    let called = Called {
        tags: &tags,
        annotations: inputs.annotations.index.clone(),
        rehearse: false,
    };
    let on_event = |event: Event<'_>| listeners.hear(&event);
    let (report, error) = publish_joined(&joined, &inputs.targets, &called, &on_event).await;
    match error {
        Some(error) => Err(Failed {
            problems: vec![told(&error)],
            code: Code::from(&error),
        }),
        None if report.outcome == Outcome::Failure => Err(Failed::told(Code::from(&report))),
        None => Ok(()),
    }
}

/// One result that nothing is missing beside.
fn alone(result: RunResult) -> Result<Joined, Failed> {
    let results = [Named {
        name: "the build".to_owned(),
        result,
    }];
    join(&results, &Wishes::default()).map_err(|errors| Failed {
        problems: errors.iter().map(ToString::to_string).collect(),
        code: Code::Inputs,
    })
}

/// Of a run that failed without an error.
fn why(built: &Report) -> &'static str {
    if !built.failures.is_empty() {
        "the image could not be built"
    } else if !built.over_budget.is_empty() {
        "the image is over its budget"
    } else {
        "the image has failed its smoke test"
    }
}
