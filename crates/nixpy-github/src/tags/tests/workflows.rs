//! Several rules at once, as they stand in workflows.

use super::*;

/// Those that docker takes when none is named.
const DOCKERS: [&str; 4] = [
    "type=schedule",
    "type=ref,event=branch",
    "type=ref,event=tag",
    "type=ref,event=pr",
];

#[test]
fn dockers_own_defaults_give_what_they_give_there() {
    let cases = [
        ("refs/pull/2/merge", "pr-2"),
        ("refs/heads/master", "master"),
        ("refs/heads/releases/v1", "releases-v1"),
        ("refs/tags/v1.2.3", "v1.2.3 latest"),
        ("refs/tags/v2.0.8-beta.67", "v2.0.8-beta.67 latest"),
    ];
    for (git_ref, wanted) in cases {
        assert_eq!(tags(git_ref, &DOCKERS, &[]), wanted, "{git_ref}");
    }
}

#[test]
fn a_release_has_all_its_versions_and_a_candidate_only_its_own() {
    let rules = [
        "type=sha",
        "type=ref,event=branch",
        "type=ref,event=pr",
        "type=semver,pattern={{version}}",
        "type=semver,pattern={{major}}.{{minor}}",
        "type=semver,pattern={{major}},enable=true",
    ];
    let cases = [
        ("refs/tags/v1.2.3", "1.2.3 1.2 1 sha-860c190 latest"),
        ("refs/tags/v2.0.8-beta.67", "2.0.8-beta.67 sha-860c190"),
        ("refs/heads/releases/v1", "releases-v1 sha-860c190"),
        ("refs/pull/2/merge", "pr-2 sha-860c190"),
    ];
    for (git_ref, wanted) in cases {
        assert_eq!(tags(git_ref, &rules, &[]), wanted, "{git_ref}");
    }
}

#[test]
fn priorities_decide_what_comes_first_and_the_first_about_latest() {
    let rules = ["type=ref,event=tag", "type=semver,pattern={{version}}"];
    assert_eq!(tags("refs/tags/v1.2.3", &rules, &[]), "1.2.3 v1.2.3 latest");
    // A candidate's version comes first, and so the tag's name moves nothing.
    assert_eq!(
        tags("refs/tags/v1.2.3-rc.1", &rules, &[]),
        "1.2.3-rc.1 v1.2.3-rc.1"
    );
    let rules = ["type=raw,value=a,priority=2000", "type=ref,event=tag"];
    assert_eq!(tags("refs/tags/v1", &rules, &[]), "a v1");
    let rules = [
        "type=raw,value=b,priority=1",
        "type=sha,priority=2",
        "type=raw,value=c,priority=2",
    ];
    assert_eq!(tags("refs/heads/main", &rules, &[]), "sha-860c190 c b");
}

#[test]
fn a_flavor_goes_for_all_tags_and_for_latest_if_it_says_so() {
    let rules = ["type=ref,event=tag", "type=sha,prefix=c-", "word"];
    let of = |flavor: &[&str]| tags("refs/tags/v1", &rules, flavor);
    assert_eq!(of(&[]), "v1 word c-860c190 latest");
    assert_eq!(of(&["latest=false"]), "v1 word c-860c190");
    assert_eq!(of(&["prefix=py-"]), "py-v1 py-word c-860c190 latest");
    assert_eq!(
        of(&["prefix=py-,onlatest=true", "suffix=-slim"]),
        "py-v1-slim py-word-slim c-860c190-slim py-latest"
    );
    assert_eq!(
        of(&["suffix=-{{tag}},onlatest=true"])
            .split(' ')
            .next_back(),
        Some("latest-v1")
    );
    assert_eq!(
        tags("refs/heads/main", &["type=sha"], &["latest=true"]),
        "sha-860c190 latest"
    );
    assert_eq!(
        tags("refs/heads/main", &["type=edge"], &["latest=true"]),
        "edge latest"
    );
}

#[test]
fn no_tag_is_there_twice() {
    let rules = ["a a", "type=raw,value=a", "latest"];
    assert_eq!(
        tags("refs/heads/main", &rules, &["latest=true"]),
        "a latest"
    );
}

#[test]
fn a_workflow_that_names_no_rule_has_every_commits_image_found_again() {
    let rules = Rules::of_github([]).unwrap();
    let commit = format!("sha-{SHA}");
    let of = |facts: &Facts| {
        rules
            .tags(facts)
            .unwrap()
            .tags
            .join(" ")
            .replace(&commit, "SHA")
    };
    let cases = [
        ("refs/heads/main", "main latest SHA"),
        ("refs/heads/feat/x", "feat-x SHA"),
        ("refs/tags/v1.2.3", "1.2.3 1.2 SHA latest"),
        ("refs/tags/v1.2.3-rc.1", "1.2.3-rc.1 SHA"),
        // No version by semver: the name alone, and nobody's latest.
        ("refs/tags/2026-01", "2026-01 SHA"),
        ("refs/tags/1.2rc1", "1.2rc1 SHA"),
        ("refs/pull/7/merge", "pr-7 SHA"),
        ("refs/heads/gh-readonly-queue/main/pr-7-0a1b2c", "pr-7 SHA"),
    ];
    for (git_ref, wanted) in cases {
        assert_eq!(of(&facts(git_ref)), wanted, "{git_ref}");
    }
    let never = Rules::of_github(["latest=false"]).unwrap();
    for (git_ref, wanted) in [
        ("refs/heads/main", "main SHA"),
        ("refs/tags/v1.2.3", "1.2.3 1.2 SHA"),
    ] {
        let tags = never.tags(&facts(git_ref)).unwrap().tags.join(" ");
        assert_eq!(tags.replace(&commit, "SHA"), wanted);
    }
    let scheduled = Facts {
        event_name: "schedule".to_owned(),
        ..facts("refs/heads/main")
    };
    assert_eq!(of(&scheduled), "nightly main latest SHA");
}

#[test]
fn the_base_branchs_tag_is_the_one_that_its_push_is_given() {
    let pull = facts("refs/pull/7/merge");
    let of = |rules: &[&str]| {
        let rules = Rules::parse(rules.iter().copied(), []).unwrap();
        rules.of_branch(&pull, "release/2.x")
    };
    assert_eq!(
        of(&["type=ref,event=branch"]).as_deref(),
        Some("release-2.x")
    );
    assert_eq!(
        of(&["type=ref,event=branch,prefix=b-"]).as_deref(),
        Some("b-release-2.x")
    );
    assert_eq!(
        of(&["type=edge,branch=release/2.x"]).as_deref(),
        Some("edge")
    );
    assert_eq!(of(&["type=ref,event=pr", "v1"]), None);
}
