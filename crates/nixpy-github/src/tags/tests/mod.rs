#![allow(clippy::unwrap_used)]

mod told;
mod workflows;

use super::*;

const SHA: &str = "860c1904a1ce19322e91ac35af1ab07466440c37";

/// A push in a repository whose default branch is `main`, at half past midnight.
fn facts(git_ref: &str) -> Facts {
    Facts {
        event_name: "push".to_owned(),
        git_ref: git_ref.to_owned(),
        sha: SHA.to_owned(),
        default_branch: Some("main".to_owned()),
        base_ref: String::new(),
        now: "2020-01-10T00:30:00Z".parse().unwrap(),
        commit_date: Some("2019-12-29T23:05:07.089Z".parse().unwrap()),
    }
}

fn given(facts: &Facts, rules: &[&str], flavor: &[&str]) -> Result<Vec<String>, NoTag> {
    let rules = Rules::parse(rules.iter().copied(), flavor.iter().copied()).unwrap();
    rules.tags(facts).map(|tagged| tagged.tags)
}

/// The tags, in their order; `-` is none.
fn tags(git_ref: &str, rules: &[&str], flavor: &[&str]) -> String {
    match given(&facts(git_ref), rules, flavor) {
        Ok(tags) => tags.join(" "),
        Err(NoTag::None { .. }) => "-".to_owned(),
        Err(e) => panic!("{e}"),
    }
}

#[test]
fn each_rule_gives_what_docker_documents() {
    let cases = [
        // The ref.
        ("refs/heads/main", "type=ref,event=branch", "main"),
        ("refs/heads/my/branch", "type=ref,event=branch", "my-branch"),
        ("refs/heads/a#b//c", "type=ref,event=branch", "a-b-c"),
        ("refs/heads/main", "type=ref,event=tag", "-"),
        ("refs/heads/main", "type=ref,event=pr", "-"),
        ("refs/tags/v1.2.3", "type=ref,event=branch", "-"),
        ("refs/tags/v1.2.3", "type=ref,event=tag", "v1.2.3 latest"),
        (
            "refs/tags/v2.0.8-beta.67",
            "type=ref,event=tag",
            "v2.0.8-beta.67 latest",
        ),
        ("refs/pull/2/merge", "type=ref,event=pr", "pr-2"),
        ("refs/pull/2/merge", "type=ref,event=branch", "-"),
        ("refs/pull/2/merge", "type=ref,event=pr,prefix=mr-", "mr-2"),
        ("refs/pull/2/merge", "type=ref,event=pr,prefix=", "2"),
        // Versions by semver.
        (
            "refs/tags/v1.2.3",
            "type=semver,pattern={{raw}}",
            "v1.2.3 latest",
        ),
        (
            "refs/tags/v1.2.3",
            "type=semver,pattern={{version}}",
            "1.2.3 latest",
        ),
        (
            "refs/tags/v1.2.3",
            "type=semver,pattern={{major}}.{{minor}}",
            "1.2 latest",
        ),
        (
            "refs/tags/v1.2.3",
            "type=semver,pattern=v{{major}}",
            "v1 latest",
        ),
        (
            "refs/tags/v1.2.3",
            "type=semver,pattern={{minor}}",
            "2 latest",
        ),
        (
            "refs/tags/v1.2.3",
            "type=semver,pattern={{patch}}",
            "3 latest",
        ),
        (
            "refs/tags/p1/v1.2.3",
            r"type=semver,pattern={{version}},match=v(\d.\d.\d)$",
            "1.2.3 latest",
        ),
        (
            "refs/tags/v2.0.8-beta.67",
            "type=semver,pattern={{raw}}",
            "v2.0.8-beta.67",
        ),
        (
            "refs/tags/v2.0.8-beta.67",
            "type=semver,pattern={{version}}",
            "2.0.8-beta.67",
        ),
        (
            "refs/tags/v2.0.8-beta.67",
            "type=semver,pattern={{major}}",
            "2.0.8-beta.67",
        ),
        (
            "refs/tags/v2.0.8-beta.67",
            "type=semver,pattern={{major}}.{{minor}}",
            "2.0.8-beta.67",
        ),
        (
            "refs/tags/v1.2.3+build.5",
            "type=semver,pattern={{version}}",
            "1.2.3 latest",
        ),
        (
            "refs/tags/v1.2.3+build.5",
            "type=semver,pattern={{raw}}",
            "v1.2.3-build.5 latest",
        ),
        ("refs/tags/1.2", "type=semver,pattern={{version}}", "-"),
        ("refs/tags/v01.2.3", "type=semver,pattern={{version}}", "-"),
        ("refs/tags/sometag", "type=semver,pattern={{version}}", "-"),
        ("refs/heads/main", "type=semver,pattern={{version}}", "-"),
        (
            "refs/heads/main",
            "type=semver,pattern={{version}},value=v1.0.0",
            "1.0.0 latest",
        ),
        (
            "refs/heads/main",
            r"type=semver,pattern={{version}},value=p1/v1.0.0,match=v(\d.\d.\d)$",
            "1.0.0 latest",
        ),
        // Versions of Python.
        (
            "refs/tags/1.2.3",
            "type=pep440,pattern={{raw}}",
            "1.2.3 latest",
        ),
        (
            "refs/tags/v1.2.3",
            "type=pep440,pattern={{version}}",
            "1.2.3 latest",
        ),
        (
            "refs/tags/1.2.3",
            "type=pep440,pattern={{major}}.{{minor}}",
            "1.2 latest",
        ),
        (
            "refs/tags/1.2.3",
            "type=pep440,pattern=v{{major}}",
            "v1 latest",
        ),
        (
            "refs/tags/1.2",
            "type=pep440,pattern={{version}}",
            "1.2 latest",
        ),
        ("refs/tags/1.2", "type=pep440,pattern={{patch}}", "0 latest"),
        (
            "refs/tags/v1.2.3rc2",
            "type=pep440,pattern={{raw}}",
            "v1.2.3rc2",
        ),
        (
            "refs/tags/1.2.3rc2",
            "type=pep440,pattern={{version}}",
            "1.2.3rc2",
        ),
        (
            "refs/tags/p1/v1.2.3",
            r"type=pep440,pattern={{version}},match=v(\d.\d.\d)$",
            "1.2.3 latest",
        ),
        (
            "refs/tags/1.2.3rc2",
            "type=pep440,pattern={{major}}.{{minor}}",
            "1.2.3rc2",
        ),
        (
            "refs/tags/1.2.3post1",
            "type=pep440,pattern={{major}}.{{minor}}",
            "1.2.3.post1",
        ),
        (
            "refs/tags/1.2.3beta2",
            "type=pep440,pattern={{major}}.{{minor}}",
            "1.2.3b2",
        ),
        (
            "refs/tags/1.0dev4",
            "type=pep440,pattern={{major}}.{{minor}}",
            "1.0.dev4",
        ),
        (
            "refs/tags/1.2.3+local.1",
            "type=pep440,pattern={{version}}",
            "1.2.3-local.1",
        ),
        (
            "refs/tags/1.2.3+local.1",
            "type=pep440,pattern={{major}}.{{minor}}",
            "1.2.3-local.1",
        ),
        ("refs/tags/sometag", "type=pep440,pattern={{version}}", "-"),
        // Regular expressions.
        (
            "refs/tags/v1.2.3",
            r"type=match,pattern=\d.\d.\d",
            "1.2.3 latest",
        ),
        (
            "refs/tags/v2.0.8-beta.67",
            "type=match,pattern=v(.*),group=1",
            "2.0.8-beta.67 latest",
        ),
        (
            "refs/tags/v2.0.8-beta.67",
            r"type=match,pattern=v(\d.\d),group=1",
            "2.0 latest",
        ),
        (
            "refs/tags/20200110-RC2",
            r"type=match,pattern=\d+",
            "20200110 latest",
        ),
        (
            "refs/tags/20200110-RC2",
            r"type=match,pattern=/rc\d/i",
            "RC2 latest",
        ),
        (
            "refs/tags/p1/v1.2.3",
            r"type=match,pattern=p1/v(\d.\d.\d),group=1",
            "1.2.3 latest",
        ),
        ("refs/tags/v1.2.3", r"type=match,pattern=^\d", "-"),
        ("refs/tags/v1.2.3", r"type=match,pattern=v,group=3", "-"),
        (
            "refs/heads/main",
            "type=match,pattern=v(.*),group=1,value=v1.0.0",
            "1.0.0 latest",
        ),
        // Branches at their end.
        ("refs/heads/main", "type=edge", "edge"),
        ("refs/heads/dev", "type=edge", "-"),
        ("refs/heads/dev", "type=edge,branch=dev", "edge"),
        ("refs/tags/v1", "type=edge", "-"),
        // As it is written.
        ("refs/heads/main", "type=raw,value=foo", "foo"),
        ("refs/heads/main", "type=raw,foo", "foo"),
        ("refs/heads/main", "foo", "foo"),
        ("refs/heads/main", "foo, bar baz", "foo bar baz"),
        ("refs/heads/main", "# only for people", "-"),
        ("refs/heads/main", "foo # for people", "foo"),
        ("refs/heads/main", "type=raw,value=foo,enable=false", "-"),
        (
            "refs/heads/main",
            "type=raw,value=latest,enable={{is_default_branch}}",
            "latest",
        ),
        (
            "refs/heads/dev",
            "type=raw,value=latest,enable={{is_default_branch}}",
            "-",
        ),
        (
            "refs/heads/dev",
            "type=raw,value=dev,enable={{is_not_default_branch}}",
            "dev",
        ),
        (
            "refs/heads/main",
            "type=raw,value=mytag-{{branch}}-{{sha}}",
            "mytag-main-860c190",
        ),
        ("refs/tags/v1/x", "type=raw,value={{tag}}", "v1-x"),
        ("refs/pull/2/merge", "type=raw,value=on-{{branch}}", "on-"),
        (
            "refs/heads/main",
            "type=raw,value={{branch}}/{{branch}}",
            "main-main",
        ),
        ("refs/heads/main", "{{branch}}-x", "main-x"),
        ("refs/heads/main", "type=raw,\"value=a,b\"", "a-b"),
        // The commit.
        ("refs/heads/main", "type=sha", "sha-860c190"),
        (
            "refs/heads/main",
            "type=sha,prefix={{branch}}-",
            "main-860c190",
        ),
        (
            "refs/heads/main",
            "type=sha,format=long",
            "sha-860c1904a1ce19322e91ac35af1ab07466440c37",
        ),
        ("refs/heads/main", "type=sha,prefix=,suffix=-x", "860c190-x"),
        // Dates.
        ("refs/heads/main", "type=schedule", "-"),
        (
            "refs/heads/main",
            "type=raw,value={{date 'YYYYMMDD-HHmmss' tz='Asia/Tokyo'}}",
            "20200110-093000",
        ),
        (
            "refs/heads/main",
            "type=raw,\"value={{date 'dddd, MMMM Do YYYY, h:mm:ss a'}}\"",
            "Friday-January-10th-2020-12-30-00-am",
        ),
        (
            "refs/heads/main",
            "type=raw,value={{commit_date 'YYYY-MM-DDTHH:mm:ss.SSS[Z]'}}",
            "2019-12-29T23-05-07.089Z",
        ),
        // A merge queue, of which docker's rules know nothing.
        (
            "refs/heads/gh-readonly-queue/main/pr-7-0a1b2c",
            "type=ref,event=merge_group",
            "pr-7",
        ),
        (
            "refs/heads/gh-readonly-queue/main/pr-7-0a1b2c",
            "type=ref,event=merge_group,prefix=queue-",
            "queue-7",
        ),
        (
            "refs/heads/gh-readonly-queue/main/pr-7-0a1b2c",
            "type=ref,event=branch",
            "-",
        ),
        ("refs/heads/main", "type=ref,event=merge_group", "-"),
    ];
    for (git_ref, rule, wanted) in cases {
        assert_eq!(tags(git_ref, &[rule], &[]), wanted, "{git_ref} by {rule}");
    }
}

#[test]
fn the_clock_gives_its_own_tags() {
    let scheduled = Facts {
        event_name: "schedule".to_owned(),
        ..facts("refs/heads/main")
    };
    let cases = [
        ("type=schedule", "nightly"),
        ("type=schedule,pattern={{date 'YYYYMMDD'}}", "20200110"),
        (
            "type=schedule,pattern={{date 'YYYYMMDD-HHmmss' tz='Asia/Tokyo'}}",
            "20200110-093000",
        ),
        (
            "type=schedule,pattern={{commit_date 'YYYYMMDD'}}",
            "20191229",
        ),
        ("type=schedule,prefix=x-,suffix=-y", "x-nightly-y"),
    ];
    for (rule, wanted) in cases {
        assert_eq!(given(&scheduled, &[rule], &[]).unwrap(), [wanted], "{rule}");
    }
}

#[test]
fn dates_are_written_in_moments_letters() {
    let at: jiff::Zoned = "2020-01-10T15:25:50.123456789+00:00[UTC]".parse().unwrap();
    let cases = [
        ("YYYY-MM-DD", "2020-01-10"),
        ("M Mo MM MMM MMMM", "1 1st 01 Jan January"),
        ("D Do DD DDD DDDo DDDD", "10 10th 10 10 10th 010"),
        ("d do dd ddd dddd E", "5 5th Fr Fri Friday 5"),
        ("w wo ww W Wo WW", "2 2nd 02 2 2nd 02"),
        ("YY YYYY gggg GGGG Q Qo", "20 2020 2020 2020 1 1st"),
        ("H HH h hh k kk", "15 15 3 03 15 15"),
        ("m mm s ss a A", "25 25 50 50 pm PM"),
        ("S SS SSS SSSSSSSSS", "1 12 123 123456789"),
        ("X x", "1578669950 1578669950123"),
        ("Z ZZ z", "+00:00 +0000 UTC"),
        ("Hmm hmmss", "1525 32550"),
        ("L LT ll", "01/10/2020 3:25 PM Jan 10, 2020"),
        ("[at] HH[h]", "at 15h"),
    ];
    for (format, wanted) in cases {
        assert_eq!(moment::format(&at, format), wanted, "{format}");
    }
    // The last days of a year may be of the next one's first week.
    let at: jiff::Zoned = "2019-12-30T00:00:00+00:00[UTC]".parse().unwrap();
    assert_eq!(moment::format(&at, "gggg w GGGG W"), "2020 1 2020 1");
    let at: jiff::Zoned = "2021-01-02T00:00:00+00:00[UTC]".parse().unwrap();
    assert_eq!(moment::format(&at, "gggg w GGGG W"), "2021 1 2020 53");
}
