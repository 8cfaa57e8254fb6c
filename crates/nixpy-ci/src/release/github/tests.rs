#![allow(clippy::unwrap_used)]

use nixpy_github::api::{Asset, Commit, Comparison, Release};
use nixpy_oci::digest::Digest;
use nixpy_oci::platform::Platform;
use nixpy_pipeline::changes::{Changes, Moved};
use nixpy_pipeline::release::{Line, Version};
use serde_json::json;

use super::super::images::{Images, One};
use super::facts::{Facts, Floating, Since};
use super::notes;
use super::plan::{FileStep, GithubPlan, GithubProblem, RefStep, ReleaseStep, decide};
use crate::redact::clean;

const COMMIT: &str = "1f518446f2de55ec5d6c0a8d6cad1d8918d3284d";

fn images(version: &str) -> Images {
    let release: Version = version.parse().unwrap();
    Images {
        form: 1,
        pre_release: release.is_pre_release(),
        release,
        commit: Some(COMMIT.to_owned()),
        digest: Digest::of(b"index"),
        repositories: vec!["ghcr.io/acme/api".parse().unwrap()],
        tag: version.parse().ok(),
        platforms: vec![One {
            platform: Platform::linux("amd64"),
            system: None,
            digest: Digest::of(b"amd64"),
            compressed_size: 12_000_000,
        }],
        previous: None,
        changes: Vec::new(),
    }
}

fn asset(name: &str, content: &str) -> Asset {
    Asset {
        id: 5,
        name: name.to_owned(),
        size: content.len() as u64,
        state: "uploaded".to_owned(),
        digest: Some(Digest::of(content.as_bytes()).to_string()),
        browser_download_url: String::new(),
    }
}

fn changes() -> Changes {
    Changes {
        platform: Platform::linux("amd64"),
        baseline: "ghcr.io/acme/api:1.2.2".to_owned(),
        digest: Digest::of(b"before"),
        size_before: 11_000_000,
        size: 12_000_000,
        contents_known: true,
        python: Vec::new(),
        libraries: Vec::new(),
        rebuilt: 0,
        grown: Vec::new(),
    }
}

fn since(commits: Vec<Commit>) -> Since {
    Since {
        tag: "v1.2.2".to_owned(),
        comparison: clean(Comparison {
            status: "ahead".to_owned(),
            ahead_by: 1,
            behind_by: 0,
            total_commits: commits.len() as u64 + 2,
            commits,
            html_url: String::new(),
        }),
    }
}

/// As the plan left it.
fn made(plan: &GithubPlan, draft: bool) -> Release {
    let files = plan.files.iter();
    Release {
        id: 7,
        tag_name: plan.release.tag_name.clone(),
        name: Some(plan.release.name.clone()),
        body: Some(plan.release.body.clone()),
        draft,
        prerelease: plan.release.prerelease,
        immutable: Some(false),
        target_commitish: COMMIT.to_owned(),
        upload_url: String::new(),
        html_url: String::new(),
        assets: files.map(|file| asset(file.name, &file.content)).collect(),
    }
}

fn planned(facts: &Facts) -> GithubPlan {
    decide("v1.2.3", &clean(images("1.2.3")), facts).unwrap()
}

fn problem(facts: &Facts) -> GithubProblem {
    let mut problems = decide("v1.2.3", &clean(images("1.2.3")), facts).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.remove(0)
}

#[test]
fn where_there_is_nothing_a_release_is_made_with_its_tag() {
    let plan = planned(&Facts::default());
    assert_eq!(plan.step, ReleaseStep::Create);
    assert_eq!(plan.release.target_commitish.as_deref(), Some(COMMIT));
    assert_eq!(plan.release.make_latest.as_deref(), Some("true"));
    assert!(plan.files.iter().all(|file| file.step == FileStep::Attach));
    let digests = &plan.files[0].content;
    let line = format!("{}  ghcr.io/acme/api:1.2.3\n", Digest::of(b"index"));
    assert!(digests.starts_with(&line), "{digests:?}");
}

#[test]
fn only_the_newest_release_is_the_latest_and_a_pre_release_never() {
    for (released, latest) in [("1.2.2", "true"), ("1.10.0", "false")] {
        let facts = Facts {
            released: vec![released.parse().unwrap()],
            ..Facts::default()
        };
        assert_eq!(planned(&facts).release.make_latest.as_deref(), Some(latest));
    }
    let plan = decide(
        "v2.0.0-rc.1",
        &clean(images("2.0.0-rc.1")),
        &Facts::default(),
    )
    .unwrap();
    assert_eq!(plan.release.make_latest.as_deref(), Some("false"));
    assert!(plan.release.prerelease);
}

#[test]
fn what_was_begun_is_gone_on_with() {
    let first = planned(&Facts::default());
    let mut draft = made(&first, true);
    draft.assets.truncate(1);
    let half = Facts {
        release: Some(draft.clone()),
        ..Facts::default()
    };
    let plan = planned(&half);
    assert_eq!(plan.step, ReleaseStep::Publish);
    let steps: Vec<FileStep> = plan.files.iter().map(|file| file.step).collect();
    assert_eq!(steps, [FileStep::Already, FileStep::Attach]);
    assert_eq!(plan.release.body, first.release.body);

    draft.assets[0].state = "open".to_owned();
    let plan = planned(&Facts {
        release: Some(draft),
        ..Facts::default()
    });
    assert_eq!(plan.files[0].step, FileStep::Replace { id: 5 });
}

#[test]
fn what_is_there_is_left_alone_also_if_it_cannot_be_changed() {
    let mut there = made(&planned(&Facts::default()), false);
    for immutable in [false, true] {
        there.immutable = Some(immutable);
        let plan = planned(&Facts {
            release: Some(there.clone()),
            tag_commit: Some(COMMIT.to_owned()),
            ..Facts::default()
        });
        assert!(plan.is_done(), "{plan:?}");
    }
    // GitHub's page writes another kind of line end.
    there.body = there.body.map(|body| body.replace('\n', "\r\n"));
    let plan = planned(&Facts {
        release: Some(there),
        ..Facts::default()
    });
    assert_eq!(plan.step, ReleaseStep::Already);
}

#[test]
fn a_release_that_cannot_be_changed_and_is_another_says_so() {
    let there = made(&planned(&Facts::default()), false);
    let frozen = |change: &dyn Fn(&mut Release)| {
        let mut release = there.clone();
        release.immutable = Some(true);
        change(&mut release);
        problem(&Facts {
            release: Some(release),
            ..Facts::default()
        })
        .to_string()
    };
    let other = frozen(&|release| release.assets[0] = asset("digests.txt", "another"));
    assert!(other.contains("its digests.txt is another"), "{other}");
}

#[test]
fn a_release_that_somebody_else_has_made_for_good_gets_what_it_can() {
    let mut there = made(&planned(&Facts::default()), false);
    there.immutable = Some(true);
    there.assets.clear();
    let facts = |release: &Release| Facts {
        release: Some(release.clone()),
        ..Facts::default()
    };
    let plan = planned(&facts(&there));
    assert!(plan.is_done(), "{plan:?}");
    there.body = Some("by hand".to_owned());
    let plan = planned(&facts(&there));
    assert_eq!(plan.step, ReleaseStep::Update);
    assert!(plan.files.iter().all(|file| file.step == FileStep::Left));
}

#[test]
fn a_tag_of_another_commit_is_not_released() {
    let facts = Facts {
        tag_commit: Some("2f518446f2de55ec5d6c0a8d6cad1d8918d3284d".to_owned()),
        ..Facts::default()
    };
    let text = problem(&facts).to_string();
    assert!(text.contains("the tag v1.2.3 is commit 2f518446"), "{text}");
    let mut nameless = images("1.2.3");
    nameless.commit = None;
    let problems = decide("v1.2.3", &clean(nameless), &Facts::default()).unwrap_err();
    assert!(problems[0].to_string().contains("--commit"), "{problems:?}");
}

#[test]
fn floating_tags_only_go_forward() {
    let floating = |name: &str, line, at: Option<&str>| Floating {
        name: name.to_owned(),
        line,
        at: at.map(str::to_owned),
    };
    let facts = Facts {
        released: vec!["1.3.0".parse().unwrap(), "1.2.2".parse().unwrap()],
        floating: vec![
            floating("v1.2", Line::Minor, Some("older")),
            floating("v1", Line::Major, Some("newer")),
            floating("v1.9", Line::Minor, None),
            floating("here", Line::All, Some(COMMIT)),
        ],
        ..Facts::default()
    };
    let plan = planned(&facts);
    let steps: Vec<&RefStep> = plan.floating.iter().map(|one| &one.step).collect();
    let from = "older".to_owned();
    let newer = "1.3.0".parse().unwrap();
    assert_eq!(
        steps,
        [
            &RefStep::Move { from },
            &RefStep::Held { newer },
            &RefStep::Create,
            &RefStep::Already
        ]
    );
}

#[test]
fn what_people_have_written_stays_as_it_is() {
    let images = images("1.2.3");
    let ours = notes::block(&images, None);
    assert_eq!(notes::merged(" \n", &ours), ours);
    let before = "## Hello\r\n\r\nThanks, @acme!\r\n";
    let merged = notes::merged(before, &ours);
    assert!(merged.starts_with("## Hello\n\nThanks, @acme!\n\n<!-- nixpy-ci release sha256:"));
    let mut other = images.clone();
    other.digest = Digest::of(b"another");
    let theirs = notes::block(&other, None);
    let again = notes::merged(&format!("{merged}\nPS\n"), &theirs);
    assert!(
        again.starts_with("## Hello\n\nThanks, @acme!\n\n<!--"),
        "{again}"
    );
    assert!(
        again.ends_with("<!-- /nixpy-ci release -->\n\nPS\n"),
        "{again}"
    );
    assert_eq!(again.matches("### Images").count(), 1);
    // A mark without its other end is not taken for the beginning of ours.
    let torn = merged.replace("<!-- /nixpy-ci release -->", "");
    let mended = notes::merged(&torn, &theirs);
    let twice = notes::merged(&mended, &theirs);
    assert_eq!(twice.trim_end(), mended.trim_end());
    assert!(mended.contains("### Images") && mended.contains("Thanks"));
}

#[test]
fn the_longest_text_fits_where_it_goes() {
    let mut images = images("1.2.3");
    images.previous = "1.2.2".parse().ok();
    let name = "`x|".repeat(100);
    for architecture in ["amd64", "arm64", "s390x", "riscv64", "386", "arm"] {
        let moved = |n: usize| Moved {
            name: format!("{n}{architecture}{name}"),
            before: Some(name.clone()),
            after: Some(name.clone()),
        };
        images.changes.push(Changes {
            platform: Platform::linux(architecture),
            python: (0..500).map(moved).collect(),
            libraries: (0..500).map(moved).collect(),
            ..changes()
        });
    }
    let message = format!("{name}\nmore");
    let commit = json!({ "sha": COMMIT, "commit": { "message": message }, "html_url": "" });
    let commit: Commit = serde_json::from_value(commit).unwrap();
    let since = since(vec![commit; 250]);
    let block = notes::block(&images, Some(&since));
    assert!(block.chars().count() < 125_000, "{}", block.chars().count());
    assert!(block.contains("in the file that is attached"));
    assert!(block.trim_end().ends_with("<!-- /nixpy-ci release -->"));
}

#[test]
fn no_title_is_a_mark_however_it_is_written() {
    let images = images("1.2.3");
    let begin = notes::block(&images, None)
        .lines()
        .next()
        .unwrap()
        .to_owned();
    for title in [
        "<!--- /nixpy-ci release -->".to_owned(),
        "<!---- /nixpy-ci release -->".to_owned(),
        "<<!--!-- /nixpy-ci release -->".to_owned(),
        "<!<!--- /nixpy-ci release -->".to_owned(),
        begin.replace("<!--", "<!---"),
    ] {
        let commit = json!({ "sha": COMMIT, "commit": { "message": title }, "html_url": "" });
        let commit: Commit = serde_json::from_value(commit).unwrap();
        let block = notes::block(&images, Some(&since(vec![commit])));
        assert_eq!(block.matches("<!").count(), 2, "{title}: {block}");
        let around = format!("before\n\n{block}\nafter\n");
        let again = notes::merged(&around, &notes::block(&images, None));
        assert!(
            again.ends_with("<!-- /nixpy-ci release -->\n\nafter\n"),
            "{again}"
        );
        assert_eq!(again.matches("/nixpy-ci release").count(), 1, "{again}");
    }
}

#[test]
fn names_and_titles_of_others_stay_text() {
    let hostile = "x|y`z <img src=a> @acme [a](b) <!-- /nixpy-ci release -->\nnext";
    let mut images = images("1.2.3");
    images.previous = "1.2.2".parse().ok();
    images.changes.push(Changes {
        python: vec![Moved {
            name: hostile.to_owned(),
            before: Some("1".to_owned()),
            after: None,
        }],
        ..changes()
    });
    let commit = json!({ "sha": COMMIT, "commit": { "message": hostile }, "html_url": "" });
    let commit: Commit = serde_json::from_value(commit).unwrap();
    let since = since(vec![commit]);
    let block = notes::block(&images, Some(&since));
    assert_eq!(
        block.matches("<!-- /nixpy-ci release -->").count(),
        1,
        "{block}"
    );
    assert!(block.contains("| +1.0 MB |"), "{block}");
    assert!(block.contains("and 2 more"), "{block}");
    for line in block.lines().filter(|line| line.contains("@acme")) {
        let before = line.split("@acme").next().unwrap();
        assert!(before.contains("``"), "not in a span of code: {line}");
    }
    let row = block
        .lines()
        .find(|line| line.starts_with("| ``x"))
        .unwrap();
    let bars = row.replace("\\|", "").matches('|').count();
    assert_eq!(bars, 4, "{row}");
}
