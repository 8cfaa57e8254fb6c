"""What is measured. A case prepares, measures, and returns its figures; to add
one, write a function and name it in CASES."""

import contextlib
import itertools
from collections.abc import Callable, Iterable

import measure
from caches import pushing
from contenders import Push, Workshop
from figures import Figure, against_best, compared, details, median, megabytes
from launcher import launching
from measure import Run
from platforms import planning, together
from registry import empty_registry
from substitution import missing, substituting

NATIVE = ("--system", "x86_64-linux")
# nixpy-ci's own defaults, for the program that measures the limit.
LEVELS = {"gzip": 1, "zstd": 2}
# Of `large` and `wheels`, in rounds: a minute each.
ROUNDS = 3


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


def index(shop: Workshop, runs: int) -> list[Figure]:
    """Two platforms of examples/hermetic, published by digest before, joined and tagged."""
    systems = ("x86_64-linux", "aarch64-linux")
    results = [f"{shop.scratch}/{system}.json" for system in systems]
    with empty_registry(shop.scratch) as registry:
        for system, result in zip(systems, results):
            push = shop.nixpy(shop.hermetic, "--system", system, "--by-digest", "--result", result)
            measure.run(push(registry), shop.environment())
        joining = [shop.binary, "index", *results, "--progress", "none"]

        def join() -> Run:
            before = len(registry.requests())
            run = measure.run(joining, shop.environment())
            run.notes["requests"] = len(registry.requests()) - before
            return run

        joined = measure.in_turn(runs * 2, {"nixpy-ci index": join})["nixpy-ci index"]
    return [
        Figure(
            "index of two platforms", measure.median(joined) * 1e3, "ms", compared="at most", goal=50,
            details={"nixpy-ci index": details(joined)},
        ),
        Figure("index of two platforms, requests", median(joined, "requests"), "requests", compared="at most", goal=6),
    ]


def small(shop: Workshop, runs: int) -> list[Figure]:
    """x86_64 of examples/hermetic from the store to an empty registry, and once more."""
    [script, _] = shop.build(shop.hermetic, "packages.x86_64-linux.stream", "packages.x86_64-linux.image")
    ours = {form: shop.nixpy(shop.hermetic, *NATIVE, "--attribute", form) for form in ("app", "stream")}
    # Without the option the script that makes the archive would be read in its place.
    ours["image"] = shop.nixpy(shop.hermetic, *NATIVE, "--attribute", "image", "--build-archive")
    figures = []
    whole_way = {name: shop.whole_way(script, peer) for name, peer in shop.peers().items()}
    named = {f"nixpy-ci {form}": push for form, push in ours.items()}
    results = race(runs, cold_each(shop, named), cold_each(shop, whole_way))
    figures += [against_best(f"small, cold: {form}", results, f"nixpy-ci {form}", whole_way, 1) for form in ours]

    archive = shop.archive(script, "hermetic")
    alone = {name: peer(archive) for name, peer in shop.peers().items()}
    with contextlib.ExitStack() as registries:
        def again(push: Push) -> Callable[[], Run]:
            return registries.enter_context(shop.one_after_another(itertools.repeat(push)))

        results = race(runs, {"nixpy-ci app": again(ours["app"])}, {name: again(push) for name, push in alone.items()})
    return figures + [against_best("small, nothing changed", results, "nixpy-ci app", alone, 1)]


def cold(shop: Workshop, runs: int) -> list[Figure]:
    """A closure of 1 GB to an empty registry, gzip: the whole way from the store."""
    figures, results = cold_with(shop, runs, "gzip", 6)
    for form in ("app", "stream"):
        if "skopeo copy" not in results:
            continue
        ours, theirs = (megabytes(results[name], "stored_bytes") for name in (f"nixpy-ci {form}", "skopeo copy"))
        figures.append(Figure(f"cold, gzip: {form}, size", ours, "MB", "skopeo copy", theirs, "share", 1.05))
    return figures


def cold_zstd(shop: Workshop, runs: int) -> list[Figure]:
    """The same with zstd, which two of the peers have as well."""
    figures, _ = cold_with(shop, runs, "zstd", 8)
    return figures


def cold_with(shop: Workshop, runs: int, compression: str, goal: float) -> tuple[list[Figure], dict[str, list[Run]]]:
    script = gigabyte(shop)["stream"]
    ours = {f"nixpy-ci {form}": wheels(shop, form, "--compression", compression) for form in ("app", "stream")}
    peers = {name: shop.whole_way(script, peer) for name, peer in shop.peers(compression).items()}
    results = race(min(runs, ROUNDS), cold_each(shop, ours), cold_each(shop, peers), uncounted=0)
    case = f"cold, {compression}"
    return [against_best(f"{case}: {name.split()[-1]}", results, name, peers, goal) for name in ours], results


def archive(shop: Workshop, runs: int) -> list[Figure]:
    """A docker-archive of 1 GB that is there already, not gzip'd, to an empty registry, gzip."""
    file = gigabyte(shop)["archive"]
    ours = {"nixpy-ci archive": wheels(shop, "archive", "--build-archive")}
    peers = {name: peer(file) for name, peer in shop.peers().items()}
    results = race(min(runs, ROUNDS), cold_each(shop, ours), cold_each(shop, peers), uncounted=0)
    return [against_best("cold, archive", results, "nixpy-ci archive", peers, 3)]


def unchanged(shop: Workshop, runs: int) -> list[Figure]:
    """1 GB once more to the registry that has it, from a machine that remembers nothing;
    peers from an archive that is there already."""
    file = gigabyte(shop)["archive"]
    ours = {f"nixpy-ci {form}": wheels(shop, form) for form in ("app", "stream")}
    peers = {name: peer(file) for name, peer in shop.peers().items()}
    with contextlib.ExitStack() as registries:
        def again(pushes: dict[str, Push]) -> dict[str, Callable[[], Run]]:
            return {
                name: registries.enter_context(shop.one_after_another(itertools.repeat(push)))
                for name, push in pushes.items()
            }
        results = race(min(runs, ROUNDS), again(ours), again(peers), uncounted=0)
    figures = []
    for name in ours:
        case = f"nothing changed: {name.split()[-1]}"
        figures += [
            against_best(case, results, name, peers, 100),
            Figure(f"{case}, requests", median(results[name], "requests"), "requests", compared="at most", goal=8),
            Figure(f"{case}, layers sent", megabytes(results[name], "sent_bytes"), "MB", compared="at most", goal=0),
        ]
    return figures


def changed(shop: Workshop, runs: int) -> list[Figure]:
    """One path of 1 MB of 1 GB is another than in the image before, the whole way from the store."""
    rounds = min(runs, ROUNDS)
    editions = range(rounds + 1)
    forms = [f"wheels-{edition}-{form}" for edition in editions for form in ("app", "stream")]
    built = dict(zip(forms, shop.build(shop.closures, *forms)))
    gigabyte(shop)

    def ours(form: str) -> list[Push]:
        return [shop.nixpy(shop.closures, *NATIVE, "--attribute", f"wheels-{edition}-{form}") for edition in editions]

    whole_way = {
        name: [shop.whole_way(built[f"wheels-{edition}-stream"], peer) for edition in editions]
        for name, peer in shop.peers().items()
    }
    with contextlib.ExitStack() as registries:
        def pushed(pushes: Iterable[Push]) -> Callable[[], Run]:
            return registries.enter_context(shop.one_after_another(pushes))

        results = race(
            rounds,
            {f"nixpy-ci {form}": pushed(ours(form)) for form in ("app", "stream")},
            {name: pushed(pushes) for name, pushes in whole_way.items()},
            uncounted=0,
        )
    figures = []
    for form in ("app", "stream"):
        name = f"nixpy-ci {form}"
        last = results[name][-1]
        path = built[f"wheels-{rounds}-app"]
        layer = sum(size for comment, size in last.layers.items() if path in comment) / 1e6
        figures += [
            against_best(f"one path changed: {form}", results, name, whole_way, 30),
            Figure(
                f"one path changed: {form}, layers sent", last.notes["sent_bytes"] / 1e6, "MB",
                "the layer it is in", layer, "share", 1,
            ),
        ]
    return figures


def memory(shop: Workshop, _runs: int) -> list[Figure]:
    """Peak memory of one cold push of 1 GB and of 4 GB, and of other shapes."""
    gigabyte(shop)
    ours: dict[str, Push] = {}
    sizes = {"1 GB": "wheels-0", "4 GB": "large"}
    pairs = list(itertools.product(("app", "stream"), LEVELS))
    for (form, compression), (size, pname) in itertools.product(pairs, sizes.items()):
        shop.build(shop.closures, f"{pname}-{form}")
        options = ["--attribute", f"{pname}-{form}", "--compression", compression]
        ours[f"{size}, {form}, {compression}"] = shop.nixpy(shop.closures, *NATIVE, *options)
    for what, attribute in {"1 GB, gzip'd archive": "wheels-0-image", "1 GB in one path, app": "one-app"}.items():
        shop.build(shop.closures, attribute)
        ours[what] = shop.nixpy(shop.closures, *NATIVE, "--attribute", attribute, "--build-archive")
    ours["examples/hermetic, both systems"] = shop.nixpy(shop.hermetic)

    runs = {}
    for name, push in ours.items():
        runs[name] = shop.memory(push)()
        measure.note(name, runs[name])
    figures = [
        Figure(
            f"peak memory: {name}", run.own_bytes / 1e6, "MB", compared="at most", goal=96,
            details={name: {"seconds": [run.seconds], "tree_bytes": run.tree_bytes}},
        )
        for name, run in runs.items()
    ]
    for form, compression in pairs:
        small, large = (runs[f"{size}, {form}, {compression}"].own_bytes / 1e6 for size in sizes)
        figures.append(Figure(
            f"peak memory: {form}, {compression}, 4 GB beside 1 GB", large, "MB", "1 GB", small, "share", 1.1
        ))
    return figures


def limit(shop: Workshop, runs: int) -> list[Figure]:
    """1 GB cold against nothing but hashing and compressing the same layers from memory."""
    file = gigabyte(shop)["archive"]
    figures = []
    for compression, level in LEVELS.items():
        ours = {f"nixpy-ci {form}": wheels(shop, form, "--compression", compression) for form in ("app", "stream")}
        limit_ = f"limit, {compression}"
        contenders = cold_each(shop, ours) | {limit_: shop.limit(file, compression, level)}
        results = measure.in_turn(min(runs, ROUNDS), contenders, uncounted=0)
        figures += [
            compared(f"against the limit, {compression}: {name.split()[-1]}", results, name, limit_, "share", 1.25)
            for name in ours
        ]
    return figures


def caching(shop: Workshop, runs: int) -> list[Figure]:
    """A closure of 1 GB to the cache in an empty registry, beside `nix copy`, and once more."""
    return pushing(shop, min(runs, ROUNDS), gigabyte(shop)["app"])


def substitution(shop: Workshop, runs: int) -> list[Figure]:
    """A closure of 1 GB from nixpy-ci's server into an empty store, beside `nix copy --from` nginx; and a miss."""
    path = gigabyte(shop)["app"]
    return [*substituting(shop, min(runs, ROUNDS), path), *missing(shop, path)]


# What the cases are made of.


def gigabyte(shop: Workshop) -> dict[str, str]:
    """The outputs of the wheels as script and archive, everything read once."""
    forms = ("app", "stream", "archive")
    paths = dict(zip(forms, shop.build(shop.closures, *(f"wheels-0-{form}" for form in forms))))
    shop.read(*shop.closure(paths["app"]), paths["archive"])
    return paths


def wheels(shop: Workshop, form: str, *options: str) -> Push:
    return shop.nixpy(shop.closures, *NATIVE, "--attribute", f"wheels-0-{form}", *options)


def cold_each(shop: Workshop, pushes: dict[str, Push]) -> dict[str, Callable[[], Run]]:
    return {name: shop.cold(push) for name, push in pushes.items()}


def race(
    runs: int, ours: dict[str, Callable[[], Run]], peers: dict[str, Callable[[], Run]], uncounted: int = 1
) -> dict[str, list[Run]]:
    return measure.in_turn(runs, ours | peers, uncounted, tuple(peers))


Case = Callable[[Workshop, int], list[Figure]]
CASES: dict[str, Case] = {
    "start": start,
    "launcher": launching,
    "nothing-to-do": nothing_to_do,
    "plan": planning,
    "two-systems": together,
    "index": index,
    "small": small,
    "cold": cold,
    "cold-zstd": cold_zstd,
    "archive": archive,
    "unchanged": unchanged,
    "changed": changed,
    "memory": memory,
    "limit": limit,
    "cache": caching,
    "substitution": substitution,
}
# Those that need nothing of Nix.
ALONE = ("start", "launcher")
# Those that need gigabytes of disk and minutes.
LARGE = ("cold", "cold-zstd", "archive", "unchanged", "changed", "memory", "limit", "cache", "substitution")
