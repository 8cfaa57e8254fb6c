"""What is measured of platforms: planning, and two systems in one run."""

import itertools
import os
import shutil

import measure
from contenders import Workshop
from figures import Figure, compared

SYSTEMS = ("x86_64-linux", "aarch64-linux")
# As `bench/evaluation`: made of nothing but work.
SLOW = "builtins.foldl' (a: b: a + b) 0 (builtins.genList (n: builtins.stringLength (toString n)) 3000000)"
# The derivations of all systems, and nothing else: less cannot be asked for a plan.
DERIVATIONS = "packages: builtins.mapAttrs (_: all: all.image.drvPath) packages"


def planning(shop: Workshop, runs: int) -> list[Figure]:
    """`nixpy-ci plan` of two systems of which nothing is built, beside the evaluation alone."""
    flake = unbuilt(shop)
    # No cache is asked: how long one takes to answer is the network's affair.
    offline = ["--option", "substituters", ""]
    evaluation = ["nix", "eval", *offline, "--read-only", "--json", f"{flake}#packages", "--apply", DERIVATIONS]
    plan = [shop.binary, "plan", flake, "--nix-option", "substituters="]
    results = measure.in_turn(runs, {
        "nixpy-ci plan": lambda: measure.run(plan, shop.environment()),
        "nix eval": lambda: measure.run(evaluation, shop.environment()),
    })
    return [compared("plan", results, "nixpy-ci plan", "nix eval", "added", 100)]


def unbuilt(shop: Workshop) -> str:
    """A flake that takes a second to evaluate, for two systems, and has never been built."""
    place = f"{shop.scratch}/unbuilt"
    os.makedirs(place, exist_ok=True)
    image = (
        f'derivation {{ name = "image"; system = system; builder = "/none"; stamp = "{os.urandom(8).hex()}"; }}'
        ' // { imageName = "image"; }'
    )
    systems = " ".join(f'"{system}"' for system in SYSTEMS)
    with open(f"{place}/flake.nix", "w") as file:
        file.write(
            f"{{ outputs = _: {{ packages = builtins.seq ({SLOW}) (builtins.listToAttrs (map"
            f" (system: {{ name = system; value.image = {image}; }}) [ {systems} ])); }}; }}\n"
        )
    return f"path:{place}"


def together(shop: Workshop, runs: int) -> list[Figure]:
    """Both systems of examples/hermetic after an edit of the app, beside each alone, each to
    a layout of its own that has the image before; and all of it to an empty layout."""
    edits = itertools.count()
    # What an edit does not touch is there.
    for system in SYSTEMS:
        shop.build(shop.hermetic, f"packages.{system}.stream")

    def built(kept: bool, *systems: str) -> measure.Run:
        place = f"{shop.scratch}/edited-{next(edits)}"
        shutil.copytree(shop.hermetic.removeprefix("path:"), place)
        with open(f"{place}/src/base_api/main.py", "a") as file:
            file.write(f"# {os.urandom(8).hex()}\n")
        options = [option for system in systems for option in ("--system", system)]
        layout = f"{shop.scratch}/layout-of-{'-'.join(systems)}"
        if not kept:
            shutil.rmtree(layout, ignore_errors=True)
        # A cache that cannot be reached would be waited for, however many systems there are.
        options += ["--nix-option", "substituters="]
        run = [shop.binary, "run", f"path:{place}", "--progress", "none", "--layout", layout, *options]
        return measure.run(run, shop.environment())

    figures = []
    for case, kept in {"two systems": True, "two systems, all published": False}.items():
        alone = {f"{system} alone": lambda system=system: built(kept, system) for system in SYSTEMS}
        results = measure.in_turn(runs, {"both systems": lambda: built(kept, *SYSTEMS)} | alone)
        slower = max(alone, key=lambda name: measure.median(results[name]))
        figures.append(compared(case, results, "both systems", slower, "share", 1.1))
    return figures
