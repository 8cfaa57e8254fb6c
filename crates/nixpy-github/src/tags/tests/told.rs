//! What is said of rules that cannot be followed, and of those that gave nothing.

use proptest::prelude::*;

use super::*;

fn refused(line: &str) -> String {
    Rules::parse([line], []).unwrap_err()[0].to_string()
}

#[test]
fn a_line_that_is_no_rule_is_told_with_what_would_be_one() {
    let cases = [
        ("type=smver,pattern={{version}}", "there is no type"),
        ("type=semver", "needs a pattern"),
        ("type=match,pattern=(", "no regular expression"),
        ("type=match,pattern=(?=x)", "no regular expression"),
        ("type=match,pattern=x,group=y", "no number"),
        ("type=ref", "needs event="),
        ("type=ref,event=commit", "needs event="),
        ("type=raw", "needs a value"),
        ("type=sha,format=middle", "short or long"),
        ("type=sha,priority=high", "no number"),
        ("type=sha,patern=x", "\"patern\""),
        ("type=sha,prefix=a,prefix=b", "twice"),
    ];
    for (line, wanted) in cases {
        let told = refused(line);
        assert!(
            told.contains(wanted) && told.contains("is not a rule"),
            "{told}"
        );
    }
    let flavors = [
        "latest=maybe",
        "prefix",
        "onlatest=true",
        "prefix=x,onlatest=1",
        "colour=red",
    ];
    for flavor in flavors {
        assert!(Rules::parse([], [flavor]).is_err(), "{flavor}");
    }
}

#[test]
fn every_wrong_line_is_told_at_once() {
    let errors = Rules::parse(["type=x", "type=sha", "type=y"], ["z"]).unwrap_err();
    assert_eq!(errors.len(), 3);
}

#[test]
fn an_expression_that_does_not_exist_is_no_tag() {
    let cases = [
        ("type=raw,value={{brnch}}", "there is no {{brnch}}"),
        ("type=raw,value={{branch", "is no template"),
        ("type=raw,value={{date}}", "needs a format"),
        (
            "type=raw,value={{date 'YYYY' tz='Mars/Olympus'}}",
            "no time zone",
        ),
        ("type=raw,value={{date 'YYYY' zone='UTC'}}", "has no zone"),
        ("type=raw,value={{dat 'YYYY'}}", "there is no {{dat}}"),
        ("type=raw,value=x,enable=perhaps", "neither true nor false"),
    ];
    for (line, wanted) in cases {
        let told = given(&facts("refs/heads/main"), &[line], &[]).unwrap_err();
        assert!(told.to_string().contains(wanted), "{told}");
    }
}

#[test]
fn where_no_rule_applies_each_is_named_with_its_reason() {
    let rules = [
        "type=semver,pattern={{version}}",
        "type=ref,event=pr",
        "type=edge",
    ];
    let told = given(&facts("refs/heads/dev"), &rules, &[])
        .unwrap_err()
        .to_string();
    assert_eq!(
        told,
        "no rule gives a tag for push of refs/heads/dev: `type=semver,pattern={{version}}` (the ref is no tag), \
         `type=edge` (the branch is not main), `type=ref,event=pr` (the ref is no pull request); add a rule that \
         does, or name a tag"
    );
}

#[test]
fn a_match_that_does_not_match_is_told() {
    let rules = Rules::parse(["type=semver,pattern={{version}},match=x(.*)"], []).unwrap();
    let tagged = rules.tags(&facts("refs/tags/v1.0.0")).unwrap();
    assert_eq!(tagged.tags, ["1.0.0", "latest"]);
    assert!(
        tagged.notes[0].contains("is not matched"),
        "{:?}",
        tagged.notes
    );
}

#[test]
fn whatever_a_branch_is_called_its_tag_is_one() {
    let long = format!("refs/heads/{}", "x/".repeat(200));
    let odd = [
        "refs/heads/-x",
        "refs/heads/.x",
        "refs/heads/ü",
        "refs/heads/😀a",
        &long,
    ];
    for git_ref in odd {
        for tag in tags(git_ref, &["type=ref,event=branch", "type=sha"], &[]).split(' ') {
            let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            assert!(tag.len() <= LONGEST && tag.chars().all(fits), "{tag}");
            assert!(!tag.starts_with(['.', '-']), "{tag}");
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_written_as_a_rule_ends_in_tags_or_in_words(
        kind in "(schedule|semver|pep440|match|edge|ref|raw|sha|[a-z]{1,4})",
        more in "(,(pattern|value|match|prefix|suffix|enable|event|format|group)=\\PC{0,12}){0,3}",
        template in "(\\{\\{[a-z#/ '=>{}]{0,12}\\}\\})?",
        git_ref in "(refs/(heads|tags|pull)/)?\\PC{0,40}",
    ) {
        let lines = [format!("type={kind}{more}{template}"), template, more];
        let parsed = Rules::parse(lines.iter().map(String::as_str), lines.first().map(String::as_str));
        prop_assert!(parsed.is_ok() || parsed.is_err_and(|errors| !errors.is_empty()));
        for line in &lines {
            let Ok(rules) = Rules::parse([line.as_str()], []) else { continue };
            let verbatim = !line.contains('=') && !line.contains("{{");
            if let Ok(tagged) = rules.tags(&facts(&git_ref)) {
                let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
                for tag in tagged.tags.iter().filter(|_| !verbatim) {
                    prop_assert!(tag.len() <= LONGEST && !tag.is_empty(), "{}", tag);
                    prop_assert!(tag.chars().all(fits) && !tag.starts_with(['.', '-']), "{}", tag);
                }
            }
        }
    }

    #[test]
    fn whatever_the_format_a_date_is_written(format in "\\PC{0,40}", at in -60_000_000_000_i64..200_000_000_000) {
        let at = jiff::Timestamp::from_second(at).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
        let _ = moment::format(&at, &format);
    }
}

#[test]
fn what_changes_with_every_commit_stands_on_the_index_alone() {
    let payload = serde_json::json!({
        "repository": {
            "name": "api", "description": "It serves.", "html_url": "https://github.com/acme/api",
            "license": { "spdx_id": "MIT" },
        },
        "head_commit": { "timestamp": "2026-01-02T04:04:05+01:00" },
    });
    let variable = |name: &str| {
        let value = match name {
            "GITHUB_ACTIONS" => "true",
            "GITHUB_REPOSITORY" => "acme/api",
            "GITHUB_EVENT_NAME" => "push",
            "GITHUB_REF" => "refs/heads/main",
            "GITHUB_SHA" => SHA,
            _ => return None,
        };
        Some(value.to_owned())
    };
    let context = crate::context::Context::read(&variable, Some(payload.to_string().as_bytes()));
    let facts = Facts::of(context.as_ref(), std::time::SystemTime::UNIX_EPOCH);
    let given = |key: &str, value: &str| Given::parse(key, value).unwrap();
    let given = [
        given("org.opencontainers.image.vendor", "Acme"),
        given("index:org.opencontainers.image.title", "The API"),
        given("manifest:built-on", "{{branch}}"),
        given("manifest:org.opencontainers.image.url", ""),
    ];
    let found = annotations(context.as_ref(), &facts, "main", &given).unwrap();
    let of = |map: &std::collections::BTreeMap<String, String>, name: &str| {
        map.get(&format!("org.opencontainers.image.{name}"))
            .cloned()
    };
    let texts = [
        ("title", Some("api"), Some("The API")),
        ("description", Some("It serves."), Some("It serves.")),
        (
            "source",
            Some("https://github.com/acme/api"),
            Some("https://github.com/acme/api"),
        ),
        ("url", None, Some("https://github.com/acme/api")),
        ("licenses", Some("MIT"), Some("MIT")),
        ("vendor", Some("Acme"), Some("Acme")),
        ("version", None, Some("main")),
        ("revision", None, Some(SHA)),
        ("created", None, Some("2026-01-02T03:04:05Z")),
    ];
    for (name, manifest, index) in texts {
        assert_eq!(of(&found.manifest, name).as_deref(), manifest, "{name}");
        assert_eq!(of(&found.index, name).as_deref(), index, "{name}");
    }
    assert_eq!(found.manifest["built-on"], "main");
    assert!(Given::parse("layer:x", "y").is_err());
}
