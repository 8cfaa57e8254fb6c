//! The launcher alone, by node's own tests: what it starts, and what it refuses.

use std::path::Path;

use crate::world::act::{project, tool};
use crate::world::nixpy::binary;
use crate::world::program::{output_of, program_at, run};

#[test]
fn the_launcher_starts_what_its_commit_lists_and_nothing_else() {
    let mut node = program_at(&tool("bin/node"));
    node.args(["--test", "--test-timeout=120000"])
        .args(["finding", "running"].map(|name| format!("tests/launcher/{name}.test.js")))
        .env("NIXPY_CI", binary())
        .current_dir(project());
    let ended = run(&mut node).succeeded();
    assert!(ended.stdout.contains("pass 26"), "all of them ran: {ended}");
}

#[test]
fn the_programs_first_line_comes_soon_after_the_launchers_start() {
    let dir = tempfile::tempdir().unwrap();
    let released = dir.path().join("nixpy-ci");
    // The launcher reads all of it: a released one has nothing in it that only debuggers read.
    output_of("strip", [Path::new("-o"), &released, binary()]);
    let mut node = program_at(&tool("bin/node"));
    node.args([
        "--test",
        "--test-timeout=30000",
        "tests/launcher/quick.test.js",
    ])
    .env("NIXPY_CI", &released)
    .current_dir(project());
    let ended = run(&mut node).succeeded();
    assert!(ended.stdout.contains("pass 1"), "{ended}");
}
