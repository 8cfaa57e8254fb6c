//! `nixpy-ci index`: results of runs by digest in, one index with its tags out.

use std::fs::File;
use std::io::{self, Read as _};

use clap::ArgMatches;
use nixpy_pipeline::event::Event;
use nixpy_pipeline::join::{JoinError, Joined, Named, join, publish_joined};
use nixpy_pipeline::report::told;
use nixpy_pipeline::result::{LARGEST, RunResult};

use crate::audience::Audience;
use crate::exit::Code;
use crate::listening::heard;
use crate::redact::clean;
use crate::render::renderer;
use crate::settings::{Environment, RawInputs, Surroundings, ToJoin, to_join};
use crate::{github, report};

/// Does it, and tells how it ended.
pub async fn index(flags: &ArgMatches, environment: &Environment) -> Code {
    let audience = Audience::of(flags, environment);
    audience.forget();
    let (to_join, joined) = match decided(flags, environment).await {
        Ok(decided) => decided,
        Err(problems) => return audience.hears(Code::Inputs, &problems).await,
    };
    let renderer = renderer(to_join.output.progress, environment);
    let called = to_join.called();
    let (report, error) = heard(renderer.as_ref(), async |listeners| {
        let on_event = |event: Event<'_>| listeners.hear(&event);
        publish_joined(&joined, &to_join.targets, &called, &on_event).await
    })
    .await;
    let report = clean(report);
    renderer.close();
    let mut code = match &error {
        Some(error) => {
            renderer.error(&told(error));
            Code::from(error)
        }
        None => Code::from(&*report),
    };
    report::tell_budgets(&report, renderer.as_ref());
    if !report::tell(&report, &to_join.output, renderer.as_ref()) {
        code = Code::Machine;
    }
    github::tell(&report, &to_join.telling, renderer.as_ref()).await;
    code
}

/// Reads and decides everything, before anything is asked of a registry.
async fn decided(
    flags: &ArgMatches,
    environment: &Environment,
) -> Result<(ToJoin, Joined), Vec<String>> {
    let raw = RawInputs::collect(flags, environment).map_err(|e| vec![e.to_string()])?;
    let around = Surroundings::here(environment).map_err(|e| vec![e])?;
    let mut problems = Vec::new();
    let mut results = Vec::new();
    for file in flags.get_many::<String>("results").into_iter().flatten() {
        match read(file) {
            Ok(result) => results.push(Named {
                name: file.clone(),
                result,
            }),
            Err(problem) => problems.push(format!("{file}: {problem}")),
        }
    }
    let to_join = to_join(&raw, &results, &around).await;
    let to_join = to_join.map_err(|e| problems.extend(e.iter().map(ToString::to_string)));
    let wishes = to_join.as_ref().map(|to_join| to_join.wishes.clone());
    let joined = join(&results, &wishes.unwrap_or_default());
    let joined = joined.map_err(|errors| {
        // What is missing may be in a file that could not be read.
        let told = errors.iter().filter(|error| {
            let lack = matches!(error, JoinError::Missing(_) | JoinError::Nothing);
            !lack || problems.is_empty()
        });
        problems.extend(told.map(ToString::to_string).collect::<Vec<_>>());
    });
    match (to_join, joined) {
        (Ok(to_join), Ok(joined)) if problems.is_empty() => Ok((to_join, joined)),
        _ => Err(problems),
    }
}

fn read(file: &str) -> Result<RunResult, String> {
    let cannot = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound => {
            "it is not there: name the files that `nixpy-ci run --by-digest` has left".to_owned()
        }
        _ => format!("it cannot be read: {e}"),
    };
    let mut bytes = Vec::new();
    File::open(file)
        .and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(cannot)?;
    if bytes.len() as u64 > LARGEST {
        return Err("it is too large to be a result".to_owned());
    }
    RunResult::parse(&bytes).map_err(|e| e.to_string())
}
