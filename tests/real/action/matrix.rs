//! A job finds out the legs, one job each builds its system, and another joins them.

use super::pushed;
use crate::world::act::Repository;
use crate::world::flake::Flake;
use crate::world::registry::Registry;
use crate::world::skopeo;

#[test]
fn legs_of_a_matrix_are_joined_into_the_index_of_a_single_run() {
    let registry = Registry::start();
    let flake = Flake::for_systems(&["x86_64-linux", "aarch64-linux"], "cat $archive > $out");
    let results = tempfile::tempdir().unwrap();
    // Where artifacts would be: this machine has no server for them.
    let shared = results.path().display();
    let repository = format!("{}/acme/parts", registry.host());
    let text = format!(
        "on: push
permissions: {{}}
env:
  NIXPY_REPOSITORY: {repository}
  NIXPY_COMMENT: never
  NIXPY_CHECK: never
jobs:
  plan:
    runs-on: ubuntu-24.04
    outputs:
      matrix: ${{{{ steps.plan.outputs.matrix }}}}
    steps:
      - uses: actions/checkout@v5
      - uses: ./
        id: plan
        with: {{ binary: PROGRAM, command: matrix }}
  build:
    needs: plan
    strategy:
      matrix: ${{{{ fromJSON(needs.plan.outputs.matrix) }}}}
    runs-on: ${{{{ matrix.runner }}}}
    steps:
      - uses: actions/checkout@v5
      - uses: ./
        id: image
        with:
          binary: PROGRAM
          systems: ${{{{ matrix.systems }}}}
          by-digest: true
      - run: cp \"${{{{ steps.image.outputs.result }}}}\" {shared}/
  join:
    needs: build
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v5
      - uses: ./
        id: join
        with:
          binary: PROGRAM
          command: index
          files: {shared}
          tags: v1
      - run: echo \"joined ${{{{ steps.join.outputs.image }}}}\"
"
    );
    let job = Repository::new(&flake, &text).on("push", &pushed("main"));
    assert_eq!(job.ended.code, 0, "{}", job.ended);
    assert_eq!(registry.tags("acme/parts"), ["v1"]);
    let name = format!("docker://{repository}:v1");
    for architecture in ["amd64", "arm64"] {
        assert_eq!(
            skopeo::config(&name, architecture)["architecture"],
            architecture
        );
    }
    let digest = skopeo::digest(&name);
    let said = format!("joined {repository}@{digest}");
    assert!(job.printed().contains(&said), "{}", job.ended);
}
