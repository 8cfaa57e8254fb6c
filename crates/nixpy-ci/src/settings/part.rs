//! What the workflow says of one image of a job, in words that are the same on each of its runners.
//!
//! They are part of what a comment and a check run are found by again, and people read them. So
//! where a runner keeps its files is no part of them: the workspace, the temporary folder and the
//! current directory are left out, and of any other place only the last name is told.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::resolve::Surroundings;
use super::sources::{RawInputs, Source};
use crate::redact::hidden;

/// What tells the images of one job from one another. A tag does not: it may be another with
/// every commit, and then no run would find what the one before it has left.
const PARTS: [&str; 5] = ["flake", "attribute", "repository", "layout", "system"];
/// Of these, what names a file.
const PLACES: [&str; 2] = ["flake", "layout"];
/// How a flake in a folder may be written.
const SCHEMES: [&str; 3] = ["path:", "git+file:", "file:"];

/// As in `.#api`; empty if it is usual. The usual file says the same to all jobs, so only that it
/// is another counts.
pub fn part(raw: &RawInputs, around: &Surroundings<'_>) -> String {
    let variable = |name: &str| around.environment.get(OsStr::new(name)).map(PathBuf::from);
    let roots = [
        variable("GITHUB_WORKSPACE"),
        variable("RUNNER_TEMP"),
        Some(around.cwd.clone()),
    ];
    let roots: Vec<PathBuf> = roots.into_iter().flatten().collect();
    let said = PARTS
        .iter()
        .filter_map(|name| Some((name, raw.get(name)?)))
        .filter(|(_, raw)| raw.source < Source::File);
    let said = said.flat_map(|(name, raw)| {
        let is_place = PLACES.contains(name);
        raw.values.iter().map(move |value| (is_place, value))
    });
    let config = raw.config.iter().map(|config| (true, config));
    let parts = said.chain(config).map(|(is_place, value)| match is_place {
        true => portable(value, &roots),
        false => value.clone(),
    });
    let parts: Vec<String> = parts.filter(|part| part != ".").collect();
    // What opens a host is another with every run, and nobody's business.
    hidden(&parts.join(" "))
}

/// Without what is only so on this runner.
fn portable(text: &str, roots: &[PathBuf]) -> String {
    let (place, attribute) = match text.split_once('#') {
        Some((place, attribute)) => (place, format!("#{attribute}")),
        None => (text, String::new()),
    };
    let (place, query) = match place.split_once('?') {
        Some((place, query)) => (place, format!("?{query}")),
        None => (place, String::new()),
    };
    let path = SCHEMES.iter().find_map(|scheme| place.strip_prefix(scheme));
    let path = path.map_or(place, |path| path.strip_prefix("//").unwrap_or(path));
    match Path::new(path).is_absolute() {
        true => format!("{}{query}{attribute}", near(Path::new(path), roots)),
        false => text.to_owned(),
    }
}

fn near(path: &Path, roots: &[PathBuf]) -> String {
    let mut within = roots.iter().filter_map(|root| {
        // Everything is below the topmost.
        root.parent()?;
        path.strip_prefix(root).ok()
    });
    let rest = match within.next() {
        Some(rest) if rest.as_os_str().is_empty() => Path::new("."),
        Some(rest) => rest,
        None => path.file_name().map_or(path, Path::new),
    };
    rest.components().collect::<PathBuf>().display().to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::settings::Environment;

    /// On a runner whose files are below such a folder.
    fn told(runner: &str, arguments: &[&str]) -> String {
        let words = arguments.iter().map(|word| word.replace("RUNNER", runner));
        let words = ["nixpy-ci".to_owned(), "run".to_owned()]
            .into_iter()
            .chain(words);
        let matches = crate::cli::command().try_get_matches_from(words).unwrap();
        let environment: Environment = [
            ("GITHUB_WORKSPACE", format!("{runner}/work/api/api")),
            ("RUNNER_TEMP", format!("{runner}/work/_temp")),
        ]
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
        let cwd = PathBuf::from(format!("{runner}/elsewhere"));
        let around = Surroundings::of(&environment, cwd, SystemTime::now());
        let raw = RawInputs::as_far_as_known(matches.subcommand().unwrap().1, &environment);
        part(&raw, &around)
    }

    #[test]
    fn what_is_written_for_one_image_is_told_as_it_is_written() {
        assert_eq!(told("/home/runner", &[]), "");
        assert_eq!(told("/home/runner", &["."]), "");
        assert_eq!(
            told("/home/runner", &[".#api", "-s", "x86_64-linux"]),
            ".#api x86_64-linux"
        );
        let github = ["github:acme/api#web", "--layout", "out/image"];
        assert_eq!(
            told("/home/runner", &github),
            "github:acme/api#web out/image"
        );
    }

    #[test]
    fn what_opens_a_host_is_not_told() {
        let flake = "git+https://me:ghs_123@git.example/x#web";
        let expected = "git+https://***@git.example/x#web";
        assert_eq!(told("/home/runner", &[flake]), expected);
    }

    #[test]
    fn where_a_runner_keeps_its_files_is_not_told() {
        let cases = [
            ("RUNNER/work/api/api", ""),
            ("RUNNER/work/api/api#web", ".#web"),
            ("RUNNER/work/api/api/web/#web", "web#web"),
            ("path:RUNNER/work/api/api?dir=web#web", ".?dir=web#web"),
            ("git+file://RUNNER/work/api/api?dir=web", ".?dir=web"),
            ("RUNNER/work/_temp/flake", "flake"),
            ("RUNNER/elsewhere/a/b", "a/b"),
            ("RUNNER/other/a/b", "b"),
            ("/srv/flake#web", "flake#web"),
        ];
        for (flake, expected) in cases {
            for runner in ["/home/runner", "/opt/actions-runner-2/_work/x"] {
                assert_eq!(told(runner, &[flake]), expected, "{flake} at {runner}");
            }
        }
        let others = [
            "--layout",
            "RUNNER/work/_temp/image",
            "--config",
            "RUNNER/work/api/api/web.yaml",
        ];
        assert_eq!(told("/home/runner", &others), "image web.yaml");
        assert_eq!(told("/", &["/flake"]), "flake");
    }
}
