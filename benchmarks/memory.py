"""Memory of an engine over 100,000 trials of 10 parameters. Must hold: the process stays under 500 MB.

python benchmarks/memory.py [--trials 100000]
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from pathlib import Path

import luthier as lt
from luthier.engine.engine import Status
from luthier.study import History

SPACE = lt.Space(
    {f"x{i}": lt.Float(1e-4, 1, log=True) for i in range(6)}
    | {f"n{i}": lt.Int(1, 1000) for i in range(2)}
    | {f"c{i}": lt.Choice("a", "b", "c") for i in range(2)}
)


def resident() -> float:
    """MB this process has in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100_000)
    given = parser.parse_args()
    marks: list[tuple[int, float]] = []

    def watch(history: History, _: Status) -> None:
        if history.ended >= len(marks) * given.trials // 10:
            marks.append((history.ended, resident()))
            print(f"{history.ended:>8,} trials  {marks[-1][1]:6.0f} MB", flush=True)

    with tempfile.TemporaryDirectory() as name:
        study = lt.tune(
            lambda trial: float(trial.params["x0"]),
            SPACE,
            minimize="loss",
            trials=given.trials,
            algorithm="random",
            name="memory",
            store=str(Path(name) / "memory.db"),
            progress=watch,
        )
        print(f"{len(study.history):>8,} trials  {resident():6.0f} MB at the end")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        growth = (marks[-1][1] - marks[0][1]) / (marks[-1][0] - marks[0][0]) * 1e6
    print(f"peak {peak:.0f} MB (must stay under 500), growth {growth:,.0f} bytes a trial")


if __name__ == "__main__":
    main()
