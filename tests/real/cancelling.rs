//! Ctrl-C while Nix builds.

use std::process::Stdio;
use std::time::Duration;

use crate::world::flake::Flake;
use crate::world::nap::is_running;
use crate::world::nixpy::Workplace;
use crate::world::program::{output_of, wait_for};
use crate::world::registry::Registry;

#[test]
fn an_interrupt_ends_the_builders_too_and_moves_no_tag() {
    let (here, registry) = (Workplace::new(), Registry::start());
    // Other tests have sleepers of their own, with more digits.
    let sleep = format!("sleep {}", 2_000_000_000_u32 + std::process::id());
    let flake = Flake::built_by(&sleep);
    let repository = format!("{}/acme/api", registry.host());
    for signal in ["-INT", "-TERM", "-HUP"] {
        let mut command = here.command([&flake.image(), "--repository", &repository]);
        let build = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        wait_for("the builder", Duration::from_secs(60), || {
            is_running(&sleep).then_some(())
        });

        output_of("kill", [signal, &build.id().to_string()]);
        let ended = build.wait_with_output().unwrap();

        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(130), "{said}");
        assert!(said.contains("cancelled: no tag was moved"), "{said}");
        wait_for("the builder to be gone", Duration::from_secs(60), || {
            (!is_running(&sleep)).then_some(())
        });
        wait_for("nix itself to be gone", Duration::from_secs(60), || {
            (!here.is_busy()).then_some(())
        });
        here.has_only(&[]);
        assert!(registry.tags("acme/api").is_empty());
    }
}
