"""What is measured. A case prepares, measures, and returns its figures; to add
one, write a function and name it in CASES."""

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import measure
from contenders import Push, Workshop
from measure import Run

NATIVE = ("--system", "x86_64-linux")


@dataclass
class Figure:
    """One line of the table."""
    case: str
    # What nixpy-ci took, and the peer, in the unit.
    ours: float
    unit: str
    peer: str = ""
    theirs: float | None = None
    # "times" is theirs / ours, "added" is ours - theirs, "at most" is ours.
    compared: str = "times"
    goal: float = 0
    # For each contender every sample, and medians of what explains them.
    details: dict[str, dict] = field(default_factory=dict)

    @property
    def value(self) -> float:
        if self.compared == "times":
            return self.theirs / self.ours
        return self.ours - self.theirs if self.compared == "added" else self.ours

    @property
    def met(self) -> bool:
        return self.value >= self.goal if self.compared == "times" else self.value < self.goal

    def as_json(self) -> dict:
        return asdict(self) | {"value": self.value, "met": self.met}


def start(shop: Workshop, runs: int) -> list[Figure]:
    """`nixpy-ci --version`, from start to end, by hyperfine."""
    ours = measure.hyperfine(f"{shop.binary} --version", max(runs * 10, 50))
    nothing = measure.hyperfine("/bin/true", max(runs * 10, 50))
    return [
        Figure(
            "start", measure.median(ours) * 1e3, "ms", "/bin/true", measure.median(nothing) * 1e3,
            "at most", 10, {"nixpy-ci": details(ours), "/bin/true": details(nothing)},
        )
    ]


def nothing_to_do(shop: Workshop, runs: int) -> list[Figure]:
    """Both systems of examples/hermetic, built and published to a layout before,
    against `nix build` of the same outputs; once more behind a slow evaluation."""
    return [
        nothing_to_do_in(shop.hermetic, "nothing to do", shop, runs * 2),
        nothing_to_do_in(shop.evaluation, "nothing to do, slow evaluation", shop, runs),
    ]


def nothing_to_do_in(flake: str, case: str, shop: Workshop, runs: int) -> Figure:
    outputs = [f"{flake}#packages.{system}.stream" for system in ("x86_64-linux", "aarch64-linux")]
    ours = [shop.binary, "run", flake, "--progress", "none", "--layout", f"{shop.scratch}/layout"]
    by_hand = ["nix", "build", "--no-link", *outputs]
    # Nix keeps what it has evaluated, but not always at the first time.
    for _ in range(3):
        measure.run(by_hand, shop.environment())
    results = measure.in_turn(runs, {
        "nixpy-ci": lambda: measure.run(ours, shop.environment()),
        "nix build": lambda: measure.run(by_hand, shop.environment()),
    })
    return compared(case, results, "nixpy-ci", "nix build", "added", 150)


def cold(shop: Workshop, runs: int) -> list[Figure]:
    """x86_64 of examples/hermetic from the store to an empty registry."""
    [script, _] = shop.build(shop.hermetic, "packages.x86_64-linux.stream", "packages.x86_64-linux.image")
    archive = shop.archive(script, "hermetic")
    return pushes(shop, runs, "cold push", shop.hermetic, archive, script, ("stream", "app", "image"))


def cold_large(shop: Workshop, runs: int) -> list[Figure]:
    """The same with 1 GB in 20 paths."""
    [script, _] = shop.build(shop.closures, "many-stream", "many-image")
    archive = shop.archive(script, "many")
    runs = min(runs, 3)
    return pushes(shop, runs, "cold push, 1 GB", shop.closures, archive, script, ("many-stream", "many-image"))


def pushes(
    shop: Workshop, runs: int, case: str, flake: str, archive: str, script: str, attributes: tuple[str, ...]
) -> list[Figure]:
    contenders: dict[str, Push] = {}
    for attribute in attributes:
        # Else the script that makes the archive would be read in its place, as with `stream`.
        archive_itself = ["--build-archive"] if attribute.endswith("image") else []
        contenders[f"nixpy-ci {attribute}"] = shop.nixpy(flake, *NATIVE, "--attribute", attribute, *archive_itself)
    contenders[f"nixpy-ci {attributes[0]} zstd"] = shop.nixpy(
        flake, *NATIVE, "--attribute", attributes[0], "--compression", "zstd"
    )
    contenders["skopeo copy"] = shop.skopeo(archive)
    contenders["script, skopeo copy"] = shop.script_first(script)
    results = measure.in_turn(runs, {name: shop.cold(push) for name, push in contenders.items()})
    peers = ("skopeo copy", "script, skopeo copy")
    return [
        compared(f"{case}, {name.removeprefix('nixpy-ci ')}", results, name, peer, "times", 1)
        for name in contenders
        if name not in peers
        for peer in peers
    ]


def nothing_changed(shop: Workshop, runs: int) -> list[Figure]:
    """The same push a second time, on a machine that remembers nothing."""
    [script] = shop.build(shop.hermetic, "packages.x86_64-linux.stream")
    archive = shop.archive(script, "hermetic")
    results = measure.in_turn(runs, {
        "nixpy-ci": shop.again(shop.nixpy(shop.hermetic, *NATIVE)),
        "skopeo copy": shop.again(shop.skopeo(archive)),
    })
    return [compared("nothing changed, registry", results, "nixpy-ci", "skopeo copy", "times", 1)]


def memory(shop: Workshop, _runs: int) -> list[Figure]:
    """Peak memory of one cold push to a registry: small, 1 GB in 20 paths, 1 GB in one."""
    contenders: dict[str, Push] = {"hermetic, both systems": shop.nixpy(shop.hermetic)}
    for size in ("many", "one"):
        shop.build(shop.closures, *(f"{size}-{form}" for form in ("app", "stream", "image")))
        for form in ("app", "stream", "image"):
            attribute = f"{size}-{form}"
            contenders[attribute] = shop.nixpy(shop.closures, *NATIVE, "--attribute", attribute, "--build-archive")
    contenders["many-stream zstd"] = shop.nixpy(
        shop.closures, *NATIVE, "--attribute", "many-stream", "--compression", "zstd"
    )
    figures = []
    for name, push in contenders.items():
        once = shop.memory(push)()
        figures.append(Figure(
            f"peak memory, {name}", once.own_bytes / 1e6, "MB", compared="at most", goal=100,
            details={name: {"seconds": [once.seconds], "tree_bytes": once.tree_bytes}},
        ))
    return figures


def compared(
    case: str, results: dict[str, list[Run]], ours: str, theirs: str, how: str, goal: float
) -> Figure:
    scale, unit = (1e3, "ms") if how == "added" else (1, "s")
    return Figure(
        case, measure.median(results[ours]) * scale, unit, theirs, measure.median(results[theirs]) * scale,
        how, goal, {name: details(results[name]) for name in (ours, theirs)},
    )


def details(runs: list[Run]) -> dict:
    notes = {key: statistics.median(run.notes[key] for run in runs) for key in runs[0].notes}
    return {"seconds": [round(run.seconds, 5) for run in runs]} | notes


Case = Callable[[Workshop, int], list[Figure]]
CASES: dict[str, Case] = {
    "start": start,
    "nothing-to-do": nothing_to_do,
    "cold": cold,
    "nothing-changed": nothing_changed,
    "cold-large": cold_large,
    "memory": memory,
}
# Those that need gigabytes of disk and minutes.
LARGE = ("cold-large", "memory")
