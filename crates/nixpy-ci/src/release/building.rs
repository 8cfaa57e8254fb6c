//! The image of a commit that has none: built and published as a run would, and left under
//! the commit's own tag, where a release looks for it.

use nixpy_nix::Revision;
use nixpy_pipeline::join::{Called, Named, Wishes, join, publish_joined};
use nixpy_pipeline::report::{Outcome, Report, told};
use nixpy_pipeline::run;

use crate::exit::Code;
use crate::github::action::Notes;
use crate::render::{Renderer, beside, failure_lines, line};
use crate::report;
use crate::run::{MovedTags, nix, read_caches};
use crate::settings::{Environment, Resolved};
use crate::setup::{self, machine_environment};
use crate::smoke::Starter;

/// Builds and publishes what is checked out, by digest, so that no tag has moved before it is
/// known of which commit it is.
pub async fn build(
    commit: &Revision,
    resolved: &mut Resolved,
    environment: &Environment,
    renderer: &dyn Renderer,
) -> Result<(), Code> {
    let fail = |text: &str, code: Code| {
        renderer.error(text);
        code
    };
    if resolved.inputs.rehearse {
        let text = "the commit has no image, and none is pushed here: for a pull request, or by the setting `push`";
        return Err(fail(text, Code::Inputs));
    }
    resolved.inputs.by_digest = true;
    if resolved.setup {
        let systems = resolved.inputs.systems.iter();
        let request = setup::Request {
            systems: systems.map(ToString::to_string).collect(),
            nix: None,
            dry_run: false,
            right_away: true,
        };
        match setup::setup(request, environment).await {
            Code::Success => {}
            code => return Err(code),
        }
    }
    let machine = machine_environment(environment);
    let found = nix(resolved).map_err(|e| fail(&told(&e), Code::from(&e)))?;
    let opened = read_caches(found, resolved, &machine).await;
    let inputs = &resolved.inputs;
    let gate = Starter::new(None, inputs.temp_dir.clone(), environment);
    let moved = MovedTags::default();
    let notes = Notes::of(inputs, environment);
    let on_event = |event: nixpy_pipeline::event::Event<'_>| {
        moved.note(&event);
        notes.hear(&event);
        renderer.event(&event);
    };
    let running = run::run(&opened.nix, inputs, &machine, &gate, &on_event);
    let ended = beside(renderer, running).await;
    notes.are_done();
    for trouble in opened.troubles() {
        line(&format!("warning: {trouble}; the run went on without it"));
    }
    let finished = match ended {
        Ok(finished) => finished,
        Err(e) => {
            moved.is_told();
            let unplanned = run::unplanned(inputs, &e);
            renderer.unplanned(&unplanned);
            report::write(&unplanned, &resolved.output, renderer);
            return Err(Code::from(&e));
        }
    };
    let Some(result) = finished.result else {
        moved.is_told();
        let built = &finished.report;
        for failure in &built.failures {
            failure_lines(failure).iter().for_each(|text| line(text));
        }
        report::tell_budgets(built, renderer);
        // No check run: none would take its place when the version is released after all.
        renderer.findings(built);
        report::write(built, &resolved.output, renderer);
        return Err(match &finished.error {
            Some(error) => fail(&told(error), Code::from(error)),
            None => fail(
                &format!("{}, and so nothing is released", why(built)),
                Code::from(built),
            ),
        });
    };
    if result.source.revision.as_ref() != Some(commit) {
        moved.is_told();
        let text = format!(
            "what is checked out here is of {}, and the release is of commit {commit}: check that one out, with nothing \
             changed in it",
            result.source
        );
        return Err(fail(&text, Code::Inputs));
    }
    let results = [Named {
        name: "the build".to_owned(),
        result,
    }];
    let joined = join(&results, &Wishes::default()).map_err(|errors| {
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        fail(&texts.join("\n"), Code::Inputs)
    })?;
    let tag = format!("sha-{commit}").parse();
    let tags: Vec<_> = tag.into_iter().collect();
    let called = Called {
        tags: &tags,
        annotations: inputs.annotations.index.clone(),
        rehearse: false,
    };
    let (report, error) = publish_joined(&joined, &inputs.targets, &called, &on_event).await;
    moved.is_told();
    match error {
        Some(error) => Err(fail(&told(&error), Code::from(&error))),
        None if report.outcome == Outcome::Failure => Err(Code::from(&report)),
        None => Ok(()),
    }
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
