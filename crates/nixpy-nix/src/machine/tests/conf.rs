use std::path::Path;

use crate::machine::nix_conf::{edit, value_of};
use crate::machine::{ConfFile, Edit, Root};

use super::fake::{DEBIANS_CONF, put};

fn flakes() -> Edit {
    let values = vec!["nix-command".to_owned(), "flakes".to_owned()];
    Edit::Extend {
        setting: "experimental-features",
        values,
    }
}

fn platforms() -> Edit {
    Edit::Extend {
        setting: "extra-platforms",
        values: vec!["aarch64-linux".to_owned()],
    }
}

const NO_GROUP: Edit = Edit::Set {
    setting: "build-users-group",
    value: "",
};

#[test]
fn each_edit_changes_only_what_it_has_to() {
    let table: &[(&str, &[Edit], &str)] = &[
        (
            "",
            &[flakes()],
            "# Added by nixpy-ci setup.\nextra-experimental-features = nix-command flakes\n",
        ),
        (
            "cores = 2\n",
            &[flakes(), platforms()],
            "cores = 2\n\n# Added by nixpy-ci setup.\nextra-experimental-features = nix-command flakes\nextra-extra-platforms = aarch64-linux\n",
        ),
        (
            "experimental-features = flakes nix-command\n",
            &[flakes()],
            "experimental-features = flakes nix-command\n",
        ),
        (
            "extra-experimental-features = flakes nix-command",
            &[flakes()],
            "extra-experimental-features = flakes nix-command",
        ),
        (
            "experimental-features = nix-command # ours\n",
            &[flakes()],
            "experimental-features = nix-command # ours\n\n# Added by nixpy-ci setup.\nextra-experimental-features = flakes\n",
        ),
        (
            "extra-platforms = i686-linux\n",
            &[platforms()],
            "extra-platforms = i686-linux\n\n# Added by nixpy-ci setup.\nextra-extra-platforms = aarch64-linux\n",
        ),
        (
            "extra-platforms = aarch64-linux i686-linux\n",
            &[platforms()],
            "extra-platforms = aarch64-linux i686-linux\n",
        ),
        (
            "#extra-platforms = aarch64-linux\n",
            &[platforms()],
            "#extra-platforms = aarch64-linux\n\n# Added by nixpy-ci setup.\nextra-extra-platforms = aarch64-linux\n",
        ),
        // A later assignment takes back what an earlier line added.
        (
            "extra-extra-platforms = aarch64-linux\nextra-platforms = i686-linux\n",
            &[platforms()],
            "extra-extra-platforms = aarch64-linux\nextra-platforms = i686-linux\n\n# Added by nixpy-ci setup.\nextra-extra-platforms = aarch64-linux\n",
        ),
        (
            "build-users-group = nixbld # default\n",
            &[NO_GROUP],
            "build-users-group = # default\n",
        ),
        (
            "build-users-group =\n",
            &[NO_GROUP],
            "build-users-group =\n",
        ),
        (
            "sandbox = false\n",
            &[Edit::TrustSandbox],
            "sandbox = false\n",
        ),
        (
            "sandbox = relaxed\n",
            &[Edit::TrustSandbox],
            "sandbox = relaxed\n",
        ),
    ];
    for (before, edits, after) in table {
        let (_, text) = edit(before, edits);
        assert_eq!(text, *after, "from {before:?}");
        assert_eq!(edit(&text, edits).1, text, "a second time, from {before:?}");
    }
}

#[test]
fn debians_sandbox_is_switched_on_in_its_place() {
    let (_, text) = edit(DEBIANS_CONF, &[Edit::TrustSandbox, platforms()]);
    let expected = DEBIANS_CONF.replace("sandbox = false", "sandbox = true")
        + "\n# Added by nixpy-ci setup.\nextra-extra-platforms = aarch64-linux\n";
    assert_eq!(text, expected);
}

#[test]
fn values_follow_the_order_of_the_lines() {
    let text = "a = 1 2\nextra-a = 3 # no 4\n a=5\nextra-a = 6";
    assert_eq!(value_of(text, "a"), Some(vec!["5", "6"]));
    assert_eq!(value_of(text, "b"), None);
    assert_eq!(
        value_of("build-users-group =", "build-users-group"),
        Some(vec![])
    );
}

#[test]
fn an_included_file_counts_and_the_users_own_one_is_edited() {
    let folder = tempfile::tempdir().expect("folder");
    let root = Root::at(folder.path());
    put(
        &root,
        "/etc/nix/nix.conf",
        "cores = 2\n!include nix.custom.conf\n",
    );
    put(
        &root,
        "/etc/nix/nix.custom.conf",
        "experimental-features = nix-command flakes\n",
    );
    let conf = ConfFile::read(&root, Path::new("/etc/nix/nix.conf"));
    assert_eq!(conf.path, Path::new("/etc/nix/nix.custom.conf"));
    assert!(flakes().is_met(&conf.effective));
    assert!(!platforms().is_met(&conf.effective));
}
