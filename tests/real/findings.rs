//! What real builders and evaluations leave at the lines of a project.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::world::chain::Chain;
use crate::world::flake::Flake;
use crate::world::nap::Nap;
use crate::world::nixpy::Workplace;
use crate::world::program::{Ended, output_of, run, wait_for};

fn on_github(flake: &Flake) -> Ended {
    let here = Workplace::new();
    let mut command = here.command([&flake.image(), "--layout", "out", "--json"]);
    run(command.env("GITHUB_ACTIONS", "true"))
}

fn change(flake: &Flake, from: &str, to: &str) {
    let file = flake.folder().join("flake.nix");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(file, text.replace(from, to)).unwrap();
}

/// The annotations in a log, as the runner would find them.
fn annotations(ended: &Ended) -> Vec<&str> {
    let lines = ended.stderr.lines();
    lines
        .filter(|line| line.starts_with("::error file="))
        .collect()
}

#[test]
fn a_traceback_of_a_builder_is_at_the_line_of_the_projects_file() {
    let flake = Flake::built_by(
        "mkdir -p source/app; cd source; echo $stamp
         echo 'Traceback (most recent call last):'
         echo \"  File \\\"$PWD/app/main.py\\\", line 3, in <module>\"
         echo '    import uvloop'
         echo \"ModuleNotFoundError: No module named 'uvloop'\"
         exit 1",
    );
    fs::create_dir(flake.folder().join("app")).unwrap();
    fs::write(flake.folder().join("app/main.py"), "\n\nimport uvloop\n").unwrap();
    let ended = on_github(&flake);
    assert_eq!(
        annotations(&ended),
        [
            "::error file=app/main.py,line=3,title=ModuleNotFoundError::ModuleNotFoundError: No module named 'uvloop'"
        ],
        "{ended}"
    );
    assert_eq!(ended.json()["findings"][0]["place"]["line"], 3);
}

#[test]
fn an_evaluation_that_fails_is_at_its_line_and_in_its_folder_of_the_repository() {
    let flake = Flake::small();
    change(&flake, "imageName = \"small\"", "imageName = smal");
    let text = fs::read_to_string(flake.folder().join("flake.nix")).unwrap();
    let line = text
        .lines()
        .position(|line| line.contains("smal;"))
        .unwrap()
        + 1;
    let ended = on_github(&flake);
    let annotation = format!("::error file=flake.nix,line={line},col=");
    assert!(annotations(&ended)[0].starts_with(&annotation), "{ended}");

    // The same flake as a part of a git repository.
    let repository = tempfile::tempdir().unwrap();
    let service = repository.path().join("services/api");
    fs::create_dir_all(repository.path().join("services")).unwrap();
    output_of(
        "cp",
        [std::path::Path::new("-r"), &flake.folder(), &service],
    );
    for arguments in [["init", "--quiet"], ["add", "--all"]] {
        let top = repository.path().to_str().unwrap();
        output_of("git", ["-C", top, arguments[0], arguments[1]]);
    }
    let here = Workplace::new();
    let image = format!("{}#image", service.display());
    let mut command = here.command([&image, "--layout", "out"]);
    let ended = run(command.env("GITHUB_ACTIONS", "true"));
    let annotation = format!("::error file=services/api/flake.nix,line={line},col=");
    assert!(annotations(&ended)[0].starts_with(&annotation), "{ended}");
}

#[test]
fn a_hash_that_differs_is_at_its_line_with_the_one_to_write() {
    let flake = Flake::built_by("echo $stamp > $out");
    let old = format!("sha256-{}=", "A".repeat(43));
    let fixed = format!(
        "outputHashMode = \"flat\"; outputHashAlgo = \"sha256\";\n outputHash = \"{old}\"; name ="
    );
    change(&flake, "name =", &fixed);
    let ended = on_github(&flake);
    let finding = &ended.json()["findings"][0];
    let file = fs::read_to_string(flake.folder().join("flake.nix")).unwrap();
    let line = file
        .lines()
        .position(|line| line.contains("AAAAA"))
        .unwrap()
        + 1;
    assert_eq!(finding["place"]["line"], line, "{ended}");
    let message = finding["message"].as_str().unwrap();
    let got = message.lines().last().unwrap();
    assert!(got.starts_with("sha256-") && got != old, "{message}");
    // What is to be written works.
    change(&flake, &old, got);
    let again = on_github(&flake);
    assert!(!again.stderr.contains("hash mismatch"), "{again}");
}

#[test]
fn whatever_a_builder_writes_the_runner_obeys_none_of_it() {
    let flake = Flake::built_by(
        "echo $stamp
         echo '::set-output name=digest::owned'; echo '::stop-commands::owned'; echo '::endgroup::'
         echo '##[error]owned'; echo '  ::error::owned'; printf '\\033[2J\\033[1;1Howned\\n'
         printf '10%%\\r50%%\\r100%% done\\n'; printf '\\377\\376 no text\\n'
         head -c 1048576 /dev/zero | tr '\\000' x; echo
         echo \"$archive\" > /dev/null; exit 1",
    );
    let ended = on_github(&flake);
    let mut token: Option<String> = None;
    let mut obeyed = Vec::new();
    for line in ended.stderr.lines() {
        match &token {
            Some(end) if line == format!("::{end}::") => token = None,
            Some(_) => {}
            None => match line.strip_prefix("::stop-commands::") {
                Some(stop) => token = Some(stop.to_owned()),
                None if line.trim_start().starts_with("::") || line.contains("##[") => {
                    obeyed.push(line);
                }
                None => {}
            },
        }
    }
    assert_eq!(token, None);
    assert!(
        obeyed.iter().all(|line| !line.contains("owned")),
        "{obeyed:?}"
    );
    assert_eq!(obeyed.len(), 1, "{obeyed:?}");
    assert!(obeyed[0].starts_with("::error::small-image failed"));
    assert!(!ended.stderr.contains(['\x1b', '\r']), "{ended}");
    for shown in ["100% done", "no text", "… (1.0 MB more)"] {
        assert!(ended.stderr.contains(shown), "{shown}: {ended}");
    }
}

#[test]
fn what_a_build_had_written_is_shown_when_the_job_is_cancelled() {
    let (one, other, chain) = (Nap::new(), Nap::new(), Chain::quick());
    let flake = chain.folder().join("flake.nix");
    let quick = fs::read_to_string(&flake).unwrap();
    let lib = format!(
        "\"echo the library waits; {}; echo $stamp > $out\"",
        one.script()
    );
    let tool = format!(
        "\"echo the tool does not; {}; echo $stamp tool > $out\"",
        other.script()
    );
    let slow = quick.replace("\"echo $stamp > $out\"", &lib);
    let slow = slow.replace("\"echo $stamp tool > $out\"", &tool);
    fs::write(&flake, slow).unwrap();
    let here = Workplace::new();
    let mut command = here.command([&chain.app(), "--layout", "out", "--progress=github"]);
    command.arg("--nix-option=max-jobs=2");
    let err = here.path("../err");
    let mut build = command
        .stdout(Stdio::null())
        .stderr(fs::File::create(&err).unwrap())
        .spawn()
        .unwrap();
    let said = || fs::read_to_string(&err).unwrap();
    // What one has written is on its way through Nix, and what the other writes comes after it.
    one.begins();
    other.begins();
    other.end();
    wait_for("the log of the other", Duration::from_secs(60), || {
        said().contains("\nthe tool does not\n").then_some(())
    });
    assert!(!said().contains("the library waits"), "{}", said());
    output_of("kill", ["-INT", &build.id().to_string()]);
    let ended = wait_for("the end", Duration::from_secs(60), || {
        build.try_wait().unwrap()
    });
    let said = said();
    assert_eq!(ended.code(), Some(130), "{said}");
    assert!(said.contains("\nthe library waits\n"), "{said}");
}

#[test]
fn a_long_silence_is_ended_by_what_is_under_way() {
    let one = |progress: &'static str| {
        std::thread::spawn(move || {
            let nap = Nap::new();
            let script = format!("echo $stamp; {}; cat $archive > $out", nap.script());
            let (here, flake) = (Workplace::new(), Flake::built_by(&script));
            let mut command = here.command([&flake.image(), "--layout", "out", progress]);
            let err = here.path("../err");
            command.stdout(Stdio::null());
            command.stderr(fs::File::create(&err).unwrap());
            let begun = Instant::now();
            let mut running = command.spawn().unwrap();
            let said = || fs::read_to_string(&err).unwrap();
            wait_for("what is under way", Duration::from_secs(200), || {
                assert!(running.try_wait().unwrap().is_none(), "{}", said());
                said()
                    .contains("still building small-image for ")
                    .then_some(())
            });
            assert!(begun.elapsed() >= Duration::from_secs(30), "{}", said());
            nap.end();
            assert!(running.wait().unwrap().success(), "{}", said());
        })
    };
    let both = ["--progress=plain", "--progress=github"].map(one);
    for run in both {
        run.join().unwrap();
    }
}
