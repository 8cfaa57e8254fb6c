//! Stores that Nix itself copies to: another machine over ssh, and a folder of this one.

use std::fs;

use nixpy_cache::nix_store::NixStore;
use nixpy_cache::{CacheErrorKind, Put, Store};
use nixpy_nix::Nix;
use nixpy_nix::path_info::PathInfo;
use nixpy_nix::signing::SecretKey;
use tokio::runtime::Runtime;

use super::Signed;
use crate::world::builder::{Builder, Key};
use crate::world::closure::told_of;
use crate::world::daemon::DaemonWorld;
use crate::world::program::{output_of, place_of};

fn nix() -> Nix {
    let options = vec![("substituters".to_owned(), String::new())];
    Nix::find(None).unwrap().with_options(options)
}

fn put(store: &dyn Store, paths: &[PathInfo]) -> Put {
    Runtime::new().unwrap().block_on(store.put(paths))
}

fn missing(store: &dyn Store, paths: &[PathInfo]) -> usize {
    let missing = Runtime::new().unwrap().block_on(store.missing(paths));
    missing.unwrap().len()
}

#[test]
fn paths_go_to_another_store_with_our_signatures() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("local?root={}", dir.path().display());
    let store = NixStore::new(&url, nix());
    let signed = Signed::chain(&[1000, 100, 100]);
    assert_eq!(missing(&store, &signed.paths), 3);
    // The first goes along, as all do that a path refers to.
    let done = put(&store, &signed.paths[1..]);
    assert_eq!((done.stored.len(), done.failed.len()), (2, 0), "{done:?}");
    assert_eq!(missing(&store, &signed.paths), 0);
    let last = signed.last();
    let known = output_of(
        "nix",
        ["path-info", "--sigs", "--store", &url, last.path.as_str()],
    );
    assert!(known.contains(&signed.key.sign(last)), "{known}");
}

#[test]
fn paths_go_to_another_machine_over_ssh() {
    let key = Key::new();
    let machine = Builder::start(&key);
    let files = tempfile::tempdir().unwrap();
    let file = |name: &str| files.path().join(name).display().to_string();
    fs::write(file("key"), key.text()).unwrap();
    output_of("chmod", ["600", &file("key")]);
    fs::write(file("hosts"), machine.known_host()).unwrap();
    let signed = Signed::chain(&[100_000, 100]);
    for protocol in ["ssh-ng", "ssh"] {
        let url = format!(
            "{protocol}://root@{}?ssh-key={}",
            machine.address(),
            file("key")
        );
        let hosts = format!("-o UserKnownHostsFile={}", file("hosts"));
        // As a user's environment would have it.
        let ssh = files.path().join("ssh");
        let script = format!(
            "#!/bin/sh\nexec {} {hosts} \"$@\"\n",
            place_of("ssh").display()
        );
        fs::write(&ssh, script).unwrap();
        output_of("chmod", ["755", ssh.to_str().unwrap()]);
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", files.path().display());
        let store = NixStore::new(&url, nix().with_variable("PATH", path));
        let done = put(&store, &signed.paths);
        assert_eq!((done.stored.len(), done.failed.len()), (2, 0), "{done:?}");
        assert_eq!(missing(&store, &signed.paths), 0);
        assert!(machine.has(signed.last().path.as_str()));
    }
}

#[test]
fn a_machine_that_is_not_there_or_does_not_let_us_in_is_told() {
    let signed = Signed::chain(&[100]);
    let nobody = NixStore::new("ssh-ng://root@127.0.0.1:1", nix());
    let failed = put(&nobody, &signed.paths).failed;
    assert!(
        matches!(failed[0].1.kind, CacheErrorKind::Unreachable(_)),
        "{failed:?}"
    );
    let socket = NixStore::new("unix:///nonexistent/socket", nix());
    let failed = put(&socket, &signed.paths).failed;
    assert!(
        matches!(failed[0].1.kind, CacheErrorKind::Unreachable(_)),
        "{failed:?}"
    );

    let machine = Builder::start(&Key::new());
    let stranger = NixStore::new(&machine.uri(), nix());
    let failed = put(&stranger, &signed.paths).failed;
    let (_, error) = &failed[0];
    assert!(
        matches!(error.kind, CacheErrorKind::Refused { .. }),
        "{error}"
    );
    assert!(error.cure().unwrap().contains("known_hosts"), "{error}");
}

/// What the next test lets an ordinary user run.
#[test]
#[ignore = "started by a_user_whom_the_daemon_does_not_trust_signs_at_the_other_end"]
fn a_push_by_an_ordinary_user() {
    let home = std::env::var("HOME").unwrap();
    let file = format!("{home}/file");
    fs::write(&file, "a file").unwrap();
    let path = output_of("nix-store", ["--add", &file]);
    let mut paths = told_of(&[path.parse().unwrap()]);
    let key = SecretKey::generate("test-1").unwrap();
    let signature = key.sign(&paths[0]);
    paths[0].signatures = vec![signature.clone()];
    let url = format!("local?root={home}/root");
    let done = put(&NixStore::new(&url, nix()), &paths);
    assert_eq!(done.stored.len(), 1, "{done:?}");
    let here = output_of("nix", ["path-info", "--sigs", &path]);
    assert!(
        !here.contains(&signature),
        "the daemon takes no signatures from him: {here}"
    );
    let there = output_of("nix", ["path-info", "--sigs", "--store", &url, &path]);
    assert!(there.contains(&signature), "{there}");
}

#[test]
fn a_user_whom_the_daemon_does_not_trust_signs_at_the_other_end() {
    let world = DaemonWorld::with_nix_conf("trusted-users = root");
    let this = world.copied(&std::env::current_exe().unwrap(), "tests");
    let test = "caches::nix_stores::a_push_by_an_ordinary_user";
    let words = [this.to_str().unwrap(), "--ignored", "--exact", test];
    let ended = world.user_runs(words).succeeded();
    assert!(ended.stdout.contains("1 passed"), "{ended}");
}
