"""What is told: figures, each nixpy-ci's beside a peer's and a goal, and the
tables they make, in Markdown."""

import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

import measure
from measure import Run


@dataclass
class Figure:
    """One line of the table."""
    case: str
    # What nixpy-ci took, and the peer, in the unit.
    ours: float
    unit: str
    peer: str = ""
    theirs: float | None = None
    # "times" is theirs / ours, "share" is ours / theirs, "added" is ours - theirs, "at most" is ours.
    compared: str = "times"
    goal: float = 0
    # For each contender every sample, and medians of what explains them.
    details: dict[str, dict] = field(default_factory=dict)

    @property
    def of(self) -> str:
        """What the contenders have done, whichever of them the figure is about."""
        return self.case.partition(":")[0]

    @property
    def value(self) -> float:
        return {
            "times": lambda: self.theirs / max(self.ours, 1e-9),
            "share": lambda: self.ours / max(self.theirs, 1e-9),
            "added": lambda: self.ours - self.theirs,
            "at most": lambda: self.ours,
        }[self.compared]()

    @property
    def met(self) -> bool:
        return self.value >= self.goal if self.compared == "times" else self.value <= self.goal

    def as_json(self) -> dict:
        return asdict(self) | {"value": self.value, "met": self.met}


def against_best(case: str, results: dict[str, list[Run]], ours: str, peers: Iterable[str], goal: float) -> Figure:
    best = min(peers, key=lambda peer: measure.median(results[peer]))
    return compared(case, results, ours, best, "times", goal)


def compared(
    case: str, results: dict[str, list[Run]], ours: str, theirs: str, how: str, goal: float
) -> Figure:
    scale, unit = (1e3, "ms") if how == "added" else (1, "s")
    return Figure(
        case, measure.median(results[ours]) * scale, unit, theirs, measure.median(results[theirs]) * scale,
        how, goal, {name: details(runs) for name, runs in results.items()},
    )


def details(runs: list[Run]) -> dict:
    notes = {key: median(runs, key) for key in runs[0].notes}
    return {"seconds": [round(run.seconds, 5) for run in runs]} | notes


def median(runs: list[Run], note: str) -> float:
    return statistics.median(run.notes[note] for run in runs)


def megabytes(runs: list[Run], note: str) -> float:
    return median(runs, note) / 1e6


def table(about: dict, figures: list[Figure]) -> str:
    lines = [
        f"{about['processors']} × {about['processor']}, {about['memory_bytes'] / 1e9:.0f} GB, "
        f"Linux {about['kernel']}, load {about['load_before']} before; {about['nix']}, {about['skopeo']}, "
        f"{about['podman']}, {about['crane']}, docker-registry {about['registry'].split()[-1]}.",
        "",
        "| case | nixpy-ci | peer | | goal | |",
        "|---|--:|---|--:|--:|---|",
    ]
    for figure in figures:
        peer = f"{figure.peer}: {number(figure.theirs, figure.unit)}" if figure.theirs is not None else ""
        value, goal = {
            "times": (f"{figure.value:.2f} × faster", f"≥ {figure.goal:g} ×"),
            "share": (f"{figure.value:.2f} ×", f"≤ {figure.goal:g} ×"),
            "added": (f"+ {figure.value:.0f} {figure.unit}", f"≤ {figure.goal:g} {figure.unit}"),
            "at most": ("", f"≤ {figure.goal:g} {figure.unit}"),
        }[figure.compared]
        met = "met" if figure.met else "**missed**"
        ours = number(figure.ours, figure.unit)
        lines.append(f"| {figure.case} | {ours} | {peer} | {value} | {goal} | {met} |")
    return "\n".join(lines + ["", "Behind them:", "", *behind(figures)]) + "\n"


def behind(figures: list[Figure]) -> list[str]:
    """What explains the figures: one line for each contender of a case."""
    lines = [
        "| contender | median | from, to | its processor time | publishing alone | in the registry | that has grown by "
        "| requests | largest process |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    told = set()
    for figure in figures:
        for name, about in figure.details.items():
            seconds = about["seconds"]
            # Figures of one case have the same contenders.
            if (figure.of, name, *seconds) in told:
                continue
            told.add((figure.of, name, *seconds))
            cells = [
                figure.of if name == figure.of else f"{figure.of}: {name}",
                f"{statistics.median(seconds):.3f} s",
                f"{min(seconds):.3f}, {max(seconds):.3f}" if len(seconds) > 1 else "",
                f"{about['cpu_seconds']:.2f} s" if "cpu_seconds" in about else "",
                f"{about['publish_seconds']:.2f} s" if "publish_seconds" in about else "",
                f"{about['stored_bytes'] / 1e6:.1f} MB" if "stored_bytes" in about else "",
                f"{about['grown_bytes'] / 1e6:.2f} MB" if "grown_bytes" in about else "",
                f"{about['requests']:.0f}" if "requests" in about else "",
                f"{about['tree_bytes'] / 1e6:.0f} MB" if "tree_bytes" in about else "",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def number(value: float, unit: str) -> str:
    digits = 2 if unit == "s" else 0 if unit == "requests" else 1 if value < 100 else 0
    return f"{value:.{digits}f} {unit}"
