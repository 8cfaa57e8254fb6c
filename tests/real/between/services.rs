//! Cachix and Attic, by their doubles: they say themselves where they are read and by which
//! keys their paths are signed, so that nothing but their name is given.

use nixpy_testkit::caches::{AtticServer, CachixServer};

use super::{Builder, Other, filled};
use crate::world::chain::Chain;
use crate::world::secrets::Watch;

fn an_empty_machine_builds_nothing(builder: &Builder, cache: &str, token: &str) {
    let mut command = builder.filling(cache);
    command.env("NIXPY_CACHE_TOKEN", token);
    let (first, seen) = Watch::of(&builder.at, &[token]).run(&mut command);
    assert_eq!(seen, [""; 0], "{first}");
    let first = builder.has_filled(first);
    assert_eq!(filled(&first)["pushed"], 3, "{first}");

    let other = Other::new();
    let mut command = other.command(builder, &format!("{cache} read"));
    command.env("NIXPY_CACHE_TOKEN", token);
    command.args(["--nix-option", "max-jobs=0"]);
    let (second, seen) = Watch::of(&other.at, &[token]).run(&mut command);
    assert_eq!(seen, [""; 0], "{second}");
    other.ended(second).built_nothing(builder, &first);
}

#[test]
fn a_cache_of_cachix_is_filled_and_read_by_its_name() {
    let builder = Builder::of(Chain::quick());
    // Whose key is the user's own.
    let token = "hunter2-of-cachix";
    let server = CachixServer::start("acme", token, &builder.key());
    let cache = format!("cachix:{}:acme", server.url());
    an_empty_machine_builds_nothing(&builder, &cache, token);
}

#[test]
fn a_cache_of_attic_is_filled_and_read_by_its_name() {
    let builder = Builder::of(Chain::quick());
    let token = "hunter2-of-attic";
    let server = AtticServer::start("acme", token);
    let cache = format!("attic:{}:acme", server.url());
    an_empty_machine_builds_nothing(&builder, &cache, token);
}
