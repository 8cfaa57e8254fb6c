//! The way from poetry2nix, which is no longer maintained, to uv2nix: steps for the project at hand.
//! Nothing of it is done here, because the first step rewrites pyproject.toml.

use regex::Regex;

use super::listing::Listing;

/// The steps, if the flake uses poetry2nix.
pub fn way_out(listing: &Listing) -> Vec<String> {
    let Some(flake) = listing
        .text("flake.nix")
        .filter(|text| text.contains("poetry2nix"))
    else {
        return Vec::new();
    };
    let mut steps = Vec::new();
    if !listing.has("uv.lock") {
        steps.push(
            "uvx migrate-to-uv: pyproject.toml becomes one of uv, and uv.lock has the versions of poetry.lock".to_owned(),
        );
    }
    steps.push(
        "git mv flake.nix poetry2nix.nix: kept to compare with, until all is well".to_owned(),
    );
    steps.push("nixpy-ci init: writes a flake.nix by uv2nix".to_owned());
    let python = found(r"\bpython\s*=\s*\w+\.(python3\d+)", flake);
    if let Some(python) = python.first() {
        steps.push(format!(
            "in its pythonOf write pkgs.{python}, which the old flake has"
        ));
    }
    let is_wheels = Regex::new(r"preferWheels\s*=\s*true").is_ok_and(|form| form.is_match(flake));
    if !is_wheels {
        steps.push(
            "poetry2nix built packages from their sources; the new flake takes wheels. Where that is not wanted, its \
             sourcePreference is \"sdist\""
                .to_owned(),
        );
    }
    let overridden = overridden(flake);
    if let Some(first) = overridden.first() {
        steps.push(format!(
            "the old flake overrides {}: leave that out first, because wheels need nothing to be built. What still \
             fails goes into the last overlay of the new flake, as in: {first} = prev.{first}.overrideAttrs (old: {{ \
             nativeBuildInputs = old.nativeBuildInputs ++ final.resolveBuildSystem {{ setuptools = [ ]; }}; }});",
            overridden.join(", ")
        ));
    }
    steps.push(
        "git add flake.nix uv.lock pyproject.toml && nix build .#image: all store paths are new, so the first push sends all layers once"
            .to_owned(),
    );
    steps.push("git rm --ignore-unmatch poetry.lock poetry2nix.nix: when the new image does what the old one did".to_owned());
    steps
}

/// Packages whose definition begins with the one before.
fn overridden(flake: &str) -> Vec<String> {
    let Ok(form) =
        Regex::new(r"([A-Za-z_][\w-]*)\s*=\s*\(*\s*(?:prev|super|pySuper)\.([A-Za-z_][\w-]*)")
    else {
        return Vec::new();
    };
    let pairs = form
        .captures_iter(flake)
        .filter(|found| found[1] == found[2]);
    let mut names: Vec<String> = pairs.map(|found| found[1].to_owned()).collect();
    names.sort();
    names.dedup();
    names
}

fn found(form: &str, text: &str) -> Vec<String> {
    let form = Regex::new(form).ok();
    let found = form.iter().flat_map(|form| form.captures_iter(text));
    found.map(|found| found[1].to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_name_what_the_flake_at_hand_has() {
        let flake = include_str!("../../../../examples/base_api/poetry2nix/flake.nix");
        let steps =
            way_out(&Listing::with(&[("flake.nix", flake), ("poetry.lock", "")])).join("\n");
        for word in [
            "uvx migrate-to-uv",
            "pkgs.python311",
            "overrides h11:",
            "h11 = prev.h11.overrideAttrs",
        ] {
            assert!(steps.contains(word), "{word}: {steps}");
        }
        assert!(!steps.contains("sdist"), "it takes wheels already: {steps}");
    }

    #[test]
    fn other_flakes_have_no_way_to_go() {
        assert!(way_out(&Listing::with(&[("flake.nix", "{ outputs = _: { }; }")])).is_empty());
        assert!(way_out(&Listing::default()).is_empty());
    }
}
