//! Later versions of Nix read what we have put into a cache, and copy for us to other stores.

use std::fs;
use std::path::Path;

use nixpy_cache::Store as _;
use nixpy_cache::nix_store::NixStore;
use nixpy_nix::Nix;
use tokio::runtime::Runtime;

use super::Signed;
use crate::world::closure::chain_by;
use crate::world::example::example;
use crate::world::flake::own_system;
use crate::world::program::output_of;
use crate::world::versions::Root;

/// What the next test runs where another Nix is installed.
#[test]
#[ignore = "started by later_versions_of_nix_read_what_we_write"]
fn a_push_with_another_nix() {
    let home = std::env::var("HOME").unwrap();
    // It is told by its name what it is.
    let busybox = format!("\"${{{home}/tools}}/busybox\"");
    let signed = Signed::of(chain_by(&busybox, &[100_000, 100]));
    let last = signed.last().path.as_str();
    let cache = format!("file://{home}/cache");
    assert_eq!(signed.push(&cache, None).stored.len(), 2);
    let (elsewhere, key) = (
        format!("local?root={home}/a"),
        signed.key.public().to_string(),
    );
    let arguments = [
        "--option",
        "trusted-public-keys",
        &key,
        "--from",
        &cache,
        last,
    ];
    let copy = ["copy", "--to", &elsewhere];
    output_of("nix", copy.iter().chain(&arguments));
    let known = |store: &str| output_of("nix", ["path-info", "--sigs", "--store", store, last]);
    assert!(known(&elsewhere).contains(&signed.key.sign(signed.last())));

    let other = format!("local?root={home}/b");
    let nix = Nix::find(None).unwrap();
    let store = NixStore::new(
        &other,
        nix.with_options(vec![("substituters".to_owned(), String::new())]),
    );
    let runtime = Runtime::new().unwrap();
    let missing = || {
        runtime
            .block_on(store.missing(&signed.paths))
            .unwrap()
            .len()
    };
    assert_eq!(missing(), 2);
    let put = runtime.block_on(store.put(&signed.paths));
    assert_eq!(put.stored.len(), 2, "{put:?}");
    assert_eq!(missing(), 0);
    assert!(known(&other).contains(&signed.key.sign(signed.last())));
}

#[test]
fn later_versions_of_nix_read_what_we_write() {
    let busybox = example()
        .built(&own_system(), "busybox")
        .join("bin/busybox");
    for root in Root::all() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("tools")).unwrap();
        fs::copy(&busybox, home.path().join("tools/busybox")).unwrap();
        let conf = home.path().join(".config/nix");
        fs::create_dir_all(&conf).unwrap();
        let features = "extra-experimental-features = nix-command flakes\n";
        fs::write(conf.join("nix.conf"), features).unwrap();
        let mut command = root.command(std::env::current_exe().unwrap(), &[] as &[&Path]);
        let test = "caches::versions::a_push_with_another_nix";
        command.args(["--ignored", "--exact", test]);
        command.env("HOME", home.path()).current_dir(home.path());
        let ended = crate::world::program::run(&mut command).succeeded();
        assert!(ended.stdout.contains("1 passed"), "{ended}");
    }
}
