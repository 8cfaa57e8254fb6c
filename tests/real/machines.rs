//! `nixpy-ci setup` on a machine that has neither Nix nor qemu.

use crate::world::flake::Flake;
use crate::world::machine::on_a_bare_machine;

const SETUP_TWICE_AND_BUILD: &str = r#"
if command -v nix; then echo "Nix is here already"; exit 9; fi
if [ "$(ls /proc/sys/fs/binfmt_misc)" != "register
status" ]; then echo "programs of other processors run already"; exit 9; fi
cd /tmp
echo "--- run"
./nixpy-ci run ./flake#image || test $? = 3
echo "--- dry run"
./nixpy-ci setup --dry-run
if command -v nix; then echo "a dry run installed Nix"; exit 9; fi
echo "--- first"
./nixpy-ci setup
cp /etc/nix/nix.conf before
echo "--- second"
./nixpy-ci setup
cmp before /etc/nix/nix.conf
echo "--- build"
./nixpy-ci run path:/tmp/flake#image --layout out --nix-option substituters=
"#;

#[test]
fn setup_makes_a_bare_machine_build_for_both_processors() {
    let flake = Flake::for_systems(
        &["x86_64-linux", "aarch64-linux"],
        "echo building $stamp; cat $archive > $out",
    );
    let script = format!("exec 2>&1{SETUP_TWICE_AND_BUILD}");
    let ended = on_a_bare_machine(&flake.folder(), &script).succeeded();
    let part = |name: &str| {
        let (_, rest) = ended.stdout.split_once(&format!("--- {name}\n")).unwrap();
        rest.split("\n--- ").next().unwrap()
    };
    assert!(part("run").contains("nixpy-ci setup"), "{ended}");
    assert!(
        part("dry run").contains("install packages: nix-bin"),
        "{ended}"
    );
    assert!(
        part("first").contains("now so: flakes are enabled"),
        "{ended}"
    );
    assert!(
        part("first").contains("now so: aarch64 programs run here"),
        "{ended}"
    );
    assert!(part("second").contains("already so"), "{ended}");
    for nothing in ["now so", "install", "setup 1"] {
        assert!(
            !part("second").contains(nothing),
            "the second time nothing changes: {ended}"
        );
    }
    assert!(part("build").contains("out:latest"), "{ended}");
}
