//! What the bottom layer of a package's image has, and what it refuses.
#![allow(clippy::unwrap_used)]
use super::*;
use nixpy_nix::NarHash;
use nixpy_nix::path_info::PathInfo;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

/// Fills the store path of a package.
type Package<'a> = dyn Fn(&Path) + 'a;

/// What the layer has, as `name -> target`, `name/` or `name`. The package refers to
/// itself and to `dep` beside it; `other`, beside it too, is not in its closure.
fn listed(package: impl Fn(&Path), contents: &[&str]) -> Result<Vec<String>, ImageErrorKind> {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().canonicalize().unwrap();
    let path = |name: &str| {
        let base = format!("{}-{name}", "0".repeat(32));
        fs::create_dir(store.join(&base)).unwrap();
        StorePath::in_store(store.to_str().unwrap(), &base).unwrap()
    };
    let (output, dep, _other) = (path("app"), path("dep"), path("other"));
    package(output.as_path());
    let closure = [&output, &dep].map(|path| (path.clone(), info(path)));
    let settings = ImageSettings {
        contents: contents.iter().map(|path| (*path).to_owned()).collect(),
        ..ImageSettings::default()
    };
    let layer = root_layer(
        &output,
        &closure.into(),
        &Files::OnDisk,
        &settings,
        &Stamp::root(),
    )?;
    let Source::Entries { entries, .. } = layer.source else {
        unreachable!("the layer has entries");
    };
    let listed = entries.into_iter().map(|entry| match entry {
        Entry::Directory(name, _) => format!("{name}/"),
        Entry::File(name, ..) => name,
        Entry::Symlink(name, target) => {
            format!("{name} -> {}", target.replace(output.as_str(), "OUT"))
        }
    });
    Ok(listed.collect())
}

fn info(path: &StorePath) -> PathInfo {
    PathInfo {
        path: path.clone(),
        nar_hash: NarHash::from_bytes([0; 32]),
        nar_size: 0,
        references: Vec::new(),
        deriver: None,
        ca: None,
        is_own: false,
        signatures: Vec::new(),
    }
}

/// Another path of the package's store.
fn beside(root: &Path, name: &str) -> PathBuf {
    root.with_file_name(format!("{}-{name}", "0".repeat(32)))
}

fn package(root: &Path) {
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::create_dir_all(root.join("etc/ssl")).unwrap();
    fs::write(root.join("bin/sh"), "").unwrap();
    fs::write(root.join("etc/ssl/ca.pem"), "").unwrap();
    symlink("etc", root.join("config")).unwrap();
}

#[test]
fn nothing_of_the_package_is_linked_unless_it_is_wanted() {
    let expected = ["etc/", "etc/group", "etc/passwd", "tmp/"];
    assert_eq!(listed(package, &[]).unwrap(), expected);
}

#[test]
fn contents_are_linked_beside_what_is_there() {
    let all = listed(package, &["."]).unwrap();
    let expected = [
        "bin/",
        "bin/sh -> OUT/bin/sh",
        "config -> OUT/config",
        "etc/",
        "etc/group",
        "etc/passwd",
        "etc/ssl/",
        "etc/ssl/ca.pem -> OUT/etc/ssl/ca.pem",
        "tmp/",
    ];
    assert_eq!(all, expected);
    let one = listed(package, &["etc/ssl"]).unwrap();
    assert!(
        one.contains(&"etc/ssl/ca.pem -> OUT/etc/ssl/ca.pem".to_owned()),
        "{one:?}"
    );
    assert!(!one.iter().any(|line| line.starts_with("bin")), "{one:?}");
}

#[test]
fn a_link_to_a_directory_that_is_there_is_gone_into() {
    let listed = listed(
        |root| {
            fs::create_dir(root.join("real")).unwrap();
            fs::write(root.join("real/hosts"), "").unwrap();
            symlink("real", root.join("etc")).unwrap();
        },
        &["etc"],
    );
    let listed = listed.unwrap();
    assert!(
        listed.contains(&"etc/hosts -> OUT/etc/hosts".to_owned()),
        "{listed:?}"
    );
    assert!(listed.contains(&"etc/passwd".to_owned()), "{listed:?}");
}

#[test]
fn a_link_to_a_directory_of_the_closure_is_gone_into() {
    let listed = listed(
        |root| {
            let dep = beside(root, "dep");
            fs::create_dir(dep.join("etc")).unwrap();
            fs::write(dep.join("etc/hosts"), "").unwrap();
            symlink(dep.join("etc"), root.join("etc")).unwrap();
        },
        &["."],
    );
    let listed = listed.unwrap();
    assert!(
        listed.contains(&"etc/hosts -> OUT/etc/hosts".to_owned()),
        "{listed:?}"
    );
}

#[test]
fn nothing_is_seen_through_a_link_out_of_the_closure() {
    let machine = tempfile::tempdir().unwrap();
    fs::create_dir(machine.path().join("ssl")).unwrap();
    fs::write(machine.path().join("secret"), "").unwrap();
    let to_machine = |root: &Path| symlink(machine.path(), root.join("etc")).unwrap();
    let to_another_path = |root: &Path| {
        let other = beside(root, "other");
        fs::create_dir(other.join("ssl")).unwrap();
        fs::write(other.join("secret"), "").unwrap();
        symlink(other, root.join("etc")).unwrap();
    };
    for package in [&to_machine as &Package<'_>, &to_another_path] {
        for contents in [".", "etc"] {
            let error = listed(package, &[contents]).unwrap_err().to_string();
            assert!(
                error.contains("a link to ") && !error.contains("secret"),
                "{error}"
            );
        }
        let error = listed(package, &["etc/ssl"]).unwrap_err().to_string();
        assert!(error.contains("leads out of its closure"), "{error}");
    }
    let elsewhere = listed(
        |root| symlink(machine.path(), root.join("srv")).unwrap(),
        &["."],
    );
    let elsewhere = elsewhere.unwrap();
    assert!(
        elsewhere.contains(&"srv -> OUT/srv".to_owned()),
        "{elsewhere:?}"
    );
}

#[test]
fn what_cannot_lie_in_one_place_is_refused_and_both_are_named() {
    let file = |root: &Path| fs::write(root.join("tmp"), "").unwrap();
    let link = |root: &Path| {
        fs::create_dir_all(root.join("real/doc")).unwrap();
        fs::write(root.join("real/doc/README"), "").unwrap();
        symlink("real", root.join("share")).unwrap();
    };
    let directory = |root: &Path| fs::create_dir_all(root.join("etc/passwd")).unwrap();
    let cases: [(&Package<'_>, &[&str], &str, &str); 3] = [
        (&file, &["."], "-app/tmp at /tmp,", "has a directory"),
        (
            &link,
            &["share", "share/doc"],
            "a directory at /share,",
            "-app/share:",
        ),
        (
            &directory,
            &["etc"],
            "a directory at /etc/passwd,",
            "a file of its own",
        ),
    ];
    for (package, contents, wanted, there) in cases {
        let error = listed(package, contents).unwrap_err().to_string();
        assert!(error.contains(wanted) && error.contains(there), "{error}");
    }
}

#[test]
fn what_the_package_does_not_have_is_named() {
    let error = listed(package, &["share"]).unwrap_err().to_string();
    assert!(error.contains("share"), "{error}");
}
