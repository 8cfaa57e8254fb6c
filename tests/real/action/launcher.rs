//! The launcher alone, by node's own tests: what it starts, and what it refuses.

use crate::world::act::{project, tool};
use crate::world::nixpy::binary;
use crate::world::program::{program_at, run};

#[test]
fn the_launcher_starts_what_its_commit_lists_and_nothing_else() {
    let mut node = program_at(&tool("bin/node"));
    node.args(["--test", "--test-timeout=120000"])
        .args(["finding", "running"].map(|name| format!("tests/launcher/{name}.test.js")))
        .env("NIXPY_CI", binary())
        .current_dir(project());
    let ended = run(&mut node).succeeded();
    assert!(ended.stdout.contains("pass 23"), "all of them ran: {ended}");
}
