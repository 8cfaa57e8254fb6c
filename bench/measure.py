"""One run of one program, and many runs of several, in turn.

The machine may be busy with other things. So whatever is compared runs in the
same minutes, one after the other in rounds, each round in another order; a
median is taken of each, and only medians of the same rounds are compared."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field


@dataclass
class Run:
    seconds: float
    # Most memory the program itself has held, and the largest among it and its children.
    own_bytes: int = 0
    tree_bytes: int = 0
    stdout: str = ""
    # Figures that explain the time.
    notes: dict[str, float] = field(default_factory=dict)
    # Of nixpy-ci: what each layer is said to hold, and its size in the registry.
    layers: dict[str, int] = field(default_factory=dict)


class Failed(Exception):
    pass


def run(command: list[str], environment: dict[str, str]) -> Run:
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        begun = time.monotonic()
        with ended(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment)) as program:
            _, status, used = os.wait4(program.pid, 0)
            seconds = time.monotonic() - begun
            program.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if program.returncode != 0:
            raise Failed(f"{' '.join(command)}\n{err.read()[-2000:]}")
        return Run(seconds, stdout=out.read(), notes={"cpu_seconds": used.ru_utime + used.ru_stime})


@contextlib.contextmanager
def ended(program: subprocess.Popen) -> Iterator[subprocess.Popen]:
    """The program, which does not outlive us."""
    try:
        yield program
    finally:
        if program.returncode is None:
            program.terminate()


def run_for_memory(command: list[str], environment: dict[str, str]) -> Run:
    """As `run`, under /usr/bin/time, whose figure is that of the largest process
    among the program and the programs it has started (Nix is one). The program's
    own high-water mark is read from the kernel until it ends."""
    with tempfile.NamedTemporaryFile("r") as report, tempfile.TemporaryFile("w+") as err:
        timed = ["/usr/bin/time", "-f", "%M", "-o", report.name, *command]
        begun = time.monotonic()
        own = 0
        with ended(subprocess.Popen(timed, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err, env=environment)) as timer:
            while timer.poll() is None:
                own = max(own, high_water_mark(timer.pid, os.path.basename(command[0])))
                time.sleep(0.005)
        seconds = time.monotonic() - begun
        if timer.returncode != 0:
            err.seek(0)
            raise Failed(f"{' '.join(command)}\n{err.read()[-2000:]}")
        return Run(seconds, own, int(report.read()) * 1024)


def high_water_mark(timer: int, name: str) -> int:
    try:
        with open(f"/proc/{timer}/task/{timer}/children") as file:
            child = file.read().split()[0]
        with open(f"/proc/{child}/status") as file:
            status = dict(line.split(":", 1) for line in file)
        # Before exec it is still /usr/bin/time.
        if status["Name"].strip() == name[:15]:
            return int(status["VmHWM"].split()[0]) * 1024
    except (OSError, IndexError, KeyError):
        pass
    return 0


def in_turn(
    runs: int, contenders: dict[str, Callable[[], Run]], uncounted: int = 1, peers: Collection[str] = ()
) -> dict[str, list[Run]]:
    """`runs` rounds after one that does not count. A peer that takes twice as long
    as another does not get a second round: it is not the best."""
    names = list(contenders)
    results: dict[str, list[Run]] = {name: [] for name in names}
    for number in range(1 - uncounted, runs + 1):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            os.sync()
            result = contenders[name]()
            if number > 0:
                results[name].append(result)
            note(f"{number}/{runs} {name}" if number > 0 else f"not counted: {name}", result)
        if number == 1 and peers:
            best = min(results[peer][0].seconds for peer in peers)
            names = [name for name in names if name not in peers or results[name][0].seconds < 2 * best]
    return results


def note(what: str, result: Run) -> None:
    print(f"    {what}: {result.seconds:.3f} s", file=sys.stderr, flush=True)


def median(runs: list[Run]) -> float:
    return statistics.median(run.seconds for run in runs)


def hyperfine(command: str, runs: int, *more: str) -> list[Run]:
    """For what is over in milliseconds."""
    with tempfile.NamedTemporaryFile("r") as report:
        options = ["--shell=none", "--warmup=10", f"--runs={runs}", f"--export-json={report.name}", *more]
        subprocess.run(["hyperfine", *options, command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        times = json.load(report)["results"][0]["times"]
    return [Run(seconds) for seconds in times]
