//! A run that is killed while it pushes: nothing broken is left to be seen, and the next run
//! pushes the rest.

use std::fs::File;
use std::process::Stdio;
use std::time::Duration;

use nixpy_testkit::proxy::CountingProxy;

use super::{Builder, Other, beside, builds};
use crate::world::nap::Nap;
use crate::world::program::{run, wait_for};
use crate::world::registry::Registry;

const CACHE: &str = "acme/cache";
const NOISE: usize = 16 << 20;

#[test]
fn a_run_that_is_killed_while_it_pushes_leaves_nothing_broken_and_the_next_one_goes_on() {
    let (registry, nap) = (Registry::start(), Nap::new());
    let builder = Builder::of_a_large_app(NOISE, &nap.script());
    let slow = CountingProxy::with_pace(registry.address(), 1 << 20);
    let has_pack = || {
        let tags = registry.tags(CACHE);
        tags.iter().any(|tag| tag.starts_with("pack-"))
    };
    let mut command = builder.filling(&format!("oci://{}/{CACHE}", slow.host()));
    command.stdout(Stdio::null());
    command.stderr(File::create(beside(&builder, "err")).unwrap());
    let mut running = command.spawn().unwrap();
    wait_for("the library in the cache", Duration::from_secs(60), || {
        has_pack().then_some(())
    });
    // The app comes after it, in a pack of its own.
    nap.begins();
    let small = slow.layer_bytes_sent();
    nap.end();
    // Of the app's archive a part is there.
    wait_for("a part of the app", Duration::from_secs(60), || {
        assert!(running.try_wait().unwrap().is_none(), "the run has ended");
        (slow.layer_bytes_sent() > small + (2 << 20)).then_some(())
    });
    running.kill().unwrap();
    running.wait().unwrap();
    assert!(slow.layer_bytes_sent() < NOISE as u64, "it was too quick");
    slow.stop();

    // What is to be seen is whole: it is taken, and only what is not there is built.
    let cache = format!("oci://{}/{CACHE}", registry.host());
    let read = format!("{cache} read key={}", builder.key());
    let between = std::thread::scope(|scope| {
        let elsewhere = scope.spawn(|| builder.elsewhere(&read, |_| {}).ended.succeeded());
        nap.begins();
        nap.end();
        elsewhere.join().unwrap()
    });
    let built = builds(&between);
    assert!(built.contains(&"app") && built.len() < 3, "{between}");
    assert!(!between.stderr.contains("warning:"), "{between}");

    let first = builder.has_filled(run(&mut builder.filling(&cache)));
    let other = Other::new();
    let mut command = other.command(&builder, &read);
    command.args(["--nix-option", "max-jobs=0"]);
    let ended = run(&mut command);
    let after = other.ended(ended);
    after.built_nothing(&builder, &first);
    after.is_the_same_as(&between);
}
