//! `.github/workflows/publish`, the script that makes a release of this project: with a real git,
//! and a stand-in for `gh` that notes how it was called.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::world::act::project;
use crate::world::program::{Ended, output_of, program, run};

/// A release is a folder of assets, with a file that says whether it is a draft.
const GH: &str = r#"#!/bin/sh -eu
echo "$*" >>"$GH_NOTES"
[ -n "$GH_TOKEN" ]
if [ "$1" = api ]; then cat "$GH_RELEASES/immutable"; exit; fi
command=$2 release=$GH_RELEASES/$3
shift 3
case $command in
view)
    if [ -e "$GH_RELEASES/trouble" ]; then cat "$GH_RELEASES/trouble" >&2; exit 1; fi
    if ! [ -d "$release" ]; then echo 'release not found' >&2; exit 1; fi
    cat "$release/draft" ;;
create) mkdir -p "$release"; echo true >"$release/draft" ;;
upload) for file; do case $file in --*) ;; *) cp "$file" "$release/" ;; esac; done ;;
edit) [ "$(cat "$release/draft")" = true ]; echo false >"$release/draft" ;;
esac
"#;

const SCRIPT: &str = "checkout/.github/workflows/publish";

struct World {
    dir: TempDir,
}

impl World {
    /// A checkout of a repository with this version, and the programs that were built.
    fn at(version: &str) -> Self {
        let world = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let folders = [
            "checkout/action",
            "checkout/.github/workflows",
            "dist",
            "bin",
            "releases",
        ];
        for folder in folders {
            fs::create_dir_all(world.path(folder)).unwrap();
        }
        // The script that runs is among what it takes out.
        let script = project().join(".github/workflows/publish");
        fs::copy(script, world.path(SCRIPT)).unwrap();
        fs::write(world.path("bin/gh"), GH).unwrap();
        fs::write(world.path("releases/immutable"), "true\n").unwrap();
        fs::set_permissions(world.path("bin/gh"), fs::Permissions::from_mode(0o755)).unwrap();
        output_of(
            "git",
            [
                "init",
                "--quiet",
                "--bare",
                world.path("origin").to_str().unwrap(),
            ],
        );
        world.git(&["init", "--quiet", "--initial-branch", "main"]);
        world.git(&[
            "remote",
            "add",
            "origin",
            world.path("origin").to_str().unwrap(),
        ]);
        world.is_now(version);
        world
    }

    /// The next version, committed and built.
    fn is_now(&self, version: &str) {
        fs::write(
            self.path("checkout/Cargo.toml"),
            format!("version = \"{version}\"\n"),
        )
        .unwrap();
        let workflow = format!("# of {version}\n");
        fs::write(self.path("checkout/.github/workflows/ci.yml"), workflow).unwrap();
        fs::write(
            self.path("checkout/action/checksums.txt"),
            "# nixpy-ci 0.0.0\n",
        )
        .unwrap();
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", version]);
        for system in ["x86_64-linux", "aarch64-linux"] {
            let text = format!("{system} {version}");
            fs::write(self.path(&format!("dist/nixpy-ci-{system}")), text).unwrap();
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn git(&self, arguments: &[&str]) -> String {
        let checkout = self.path("checkout");
        let place = ["-C", checkout.to_str().unwrap()];
        let who = ["-c", "user.name=me", "-c", "user.email=me@localhost"];
        output_of("git", [&place[..], &who, arguments].concat())
    }

    fn publish(&self, version: &str) -> Ended {
        let path = std::env::var("PATH").unwrap();
        let mut script = program("bash");
        script
            .arg(self.path(SCRIPT))
            .arg(version)
            .arg(self.path("dist"))
            .current_dir(self.path("checkout"))
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("GH_TOKEN", "ghs_secret")
            .env("GH_REPO", "acme/nixpy-action")
            .env("GH_NOTES", self.path("notes"))
            .env("GH_RELEASES", self.path("releases"));
        let ended = run(&mut script);
        self.git(&["checkout", "--quiet", "main"]);
        ended
    }

    /// The commit that a tag of the origin leads to.
    fn commit_of(&self, tag: &str) -> Option<String> {
        let origin = self.path("origin");
        let name = format!("{tag}^{{commit}}");
        let asked = run(program("git").args([
            "-C",
            origin.to_str().unwrap(),
            "rev-parse",
            "--quiet",
            "--verify",
            &name,
        ]));
        (asked.code == 0).then(|| asked.stdout.trim().to_owned())
    }

    fn notes(&self) -> String {
        fs::read_to_string(self.path("notes")).unwrap_or_default()
    }
}

#[test]
fn a_release_has_its_hashes_in_the_tagged_commit_and_v1_follows() {
    let world = World::at("1.0.0");
    world.publish("1.0.0").succeeded();
    let list = world.git(&["show", "v1.0.0:action/checksums.txt"]);
    assert!(list.starts_with("# nixpy-ci 1.0.0\n"), "{list}");
    for system in ["x86_64-linux", "aarch64-linux"] {
        let program = world.path(&format!("dist/nixpy-ci-{system}"));
        let sum = output_of("sha256sum", [&program]);
        let line = format!("{}  nixpy-ci-{system}", &sum[..64]);
        assert!(list.lines().any(|listed| listed == line), "{list}");
        assert!(
            world
                .path(&format!("releases/v1.0.0/nixpy-ci-{system}"))
                .exists()
        );
    }
    let draft = fs::read_to_string(world.path("releases/v1.0.0/draft")).unwrap();
    assert_eq!(draft, "false\n");
    let released = world.commit_of("v1.0.0");
    assert!(
        released.is_some()
            && world.commit_of("v1") == released
            && world.commit_of("v1.0") == released
    );
    assert_eq!(world.commit_of("main"), None, "the branch is left alone");
    assert!(!world.notes().contains("ghs_secret"));
    // Nothing but the list differs from what was built, and what no user of the action needs is not there.
    let changed = world.git(&["diff", "--name-status", "main", "v1.0.0"]);
    assert_eq!(
        changed,
        "D\t.github/workflows/ci.yml\nD\t.github/workflows/publish\nM\taction/checksums.txt"
    );

    let before = world.notes();
    world.publish("1.0.0").succeeded();
    let added = world.notes().replacen(&before, "", 1);
    assert_eq!(
        added.trim(),
        "release view v1.0.0 --json isDraft --jq .isDraft\n\
         api repos/acme/nixpy-action/releases/tags/v1.0.0 --jq .immutable",
        "a second run writes nothing"
    );
    assert_eq!(world.commit_of("v1.0.0"), released);
}

#[test]
fn no_name_that_moves_ever_brings_a_workflow() {
    let world = World::at("1.0.0");
    // As GitHub does it for a job's own token.
    let hook = world.path("origin/hooks/update");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(
        &hook,
        "#!/bin/sh -eu\nfiles=$(git ls-tree -r --name-only \"$3\" .github/workflows)\n\
         [ -z \"$files\" ] || { echo \"refusing to create or update workflow $files\" >&2; exit 1; }\n",
    )
    .unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    for version in ["1.0.0", "1.0.1", "1.1.0"] {
        world.is_now(version);
        world.publish(version).succeeded();
        assert_eq!(
            world.commit_of("v1"),
            world.commit_of(&format!("v{version}"))
        );
    }
    // The hook is one: a branch has workflows.
    let refused = run(program("git")
        .arg("-C")
        .arg(world.path("checkout"))
        .args(["push", "--quiet", "origin", "main"]));
    assert!(
        refused.code != 0 && refused.stderr.contains("update workflow"),
        "{refused}"
    );
}

#[test]
fn stopped_after_the_tag_it_is_gone_on_with_by_the_same_programs_alone() {
    let world = World::at("1.0.0");
    fs::write(world.path("releases/trouble"), "HTTP 502: Bad Gateway\n").unwrap();
    world.publish("1.0.0").ended_with(1);
    fs::remove_file(world.path("releases/trouble")).unwrap();
    let tagged = world.commit_of("v1.0.0");
    assert!(tagged.is_some() && world.commit_of("v1").is_none());
    // A new run that did not build the same, bit for bit.
    let mine = world.path("dist/nixpy-ci-x86_64-linux");
    fs::write(&mine, "another").unwrap();
    let refused = world.publish("1.0.0").ended_with(1);
    for part in [
        "re-run the failed jobs of the run that has pushed v1.0.0",
        "make a new version",
    ] {
        assert!(refused.stdout.contains(part), "{refused}");
    }
    assert!(!world.path("releases/v1.0.0").exists());
    // The jobs of the first run, again.
    fs::write(&mine, "x86_64-linux 1.0.0").unwrap();
    world.publish("1.0.0").succeeded();
    assert_eq!(
        (world.commit_of("v1.0.0"), world.commit_of("v1")),
        (tagged.clone(), tagged)
    );
}

#[test]
fn v1_goes_forward_only_and_to_no_prerelease() {
    let world = World::at("1.1.0");
    world.publish("1.1.0").succeeded();
    let newest = world.commit_of("v1.1.0");
    world.is_now("1.0.1");
    world.publish("1.0.1").succeeded();
    assert_eq!(world.commit_of("v1"), newest);
    assert_eq!(world.commit_of("v1.0"), world.commit_of("v1.0.1"));
    world.is_now("1.2.0-rc.1");
    world.publish("1.2.0-rc.1").succeeded();
    assert!(world.commit_of("v1.2.0-rc.1").is_some());
    assert_eq!(
        (world.commit_of("v1"), world.commit_of("v1.2")),
        (newest, None)
    );
    assert!(world.notes().contains(
        "create v1.2.0-rc.1 --draft --verify-tag --generate-notes --title v1.2.0-rc.1 --prerelease"
    ));
}

#[test]
fn other_programs_under_the_same_tag_and_wrong_versions_are_refused() {
    let world = World::at("1.0.0");
    world.publish("1.0.0").succeeded();
    fs::write(world.path("dist/nixpy-ci-x86_64-linux"), "another").unwrap();
    let refused = world.publish("1.0.0").ended_with(1);
    assert!(
        refused.stdout.contains("v1.0.0 names other programs"),
        "{refused}"
    );
    let notes = world.notes();
    for (version, said) in [
        ("1.0.1", "of another version"),
        ("1; rm -rf", "is no version"),
    ] {
        let refused = world.publish(version).ended_with(1);
        assert!(refused.stdout.contains(said), "{refused}");
    }
    assert_eq!(world.notes(), notes);
}

#[test]
fn a_release_that_can_be_changed_is_a_failure() {
    let world = World::at("1.0.0");
    fs::write(world.path("releases/immutable"), "false\n").unwrap();
    let ended = world.publish("1.0.0").ended_with(1);
    assert!(ended.stdout.contains("can be changed"), "{ended}");
    assert_eq!(world.commit_of("v1"), None, "nobody is led to it");
}

#[test]
fn only_where_github_says_that_there_is_no_release_is_one_made() {
    let world = World::at("1.0.0");
    fs::write(world.path("releases/trouble"), "HTTP 502: Bad Gateway\n").unwrap();
    let ended = world.publish("1.0.0").ended_with(1);
    assert!(ended.stdout.contains("is not known: HTTP 502"), "{ended}");
    assert!(!world.notes().contains("create"), "{}", world.notes());
}
