"""What a trial costs that is a command, beyond the start of the process itself; and whether every log is complete.

    python benchmarks/commands.py [--trials 200] [--workers 4]

A script in Python (`python -S`, as light as it gets) and one in bash, each with random proposals in a named study on disk. The
process's own start is measured in the same way and at the same concurrency: as many threads that do nothing but start
the same command and wait for it. The overhead of a trial is the difference of the two walls, per trial and worker.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

import luthier as lt

LINES = 50
PYTHON = f"""
import sys
x = float(sys.argv[1])
for step in range(1, 6):
    print(f"luthier: step={{step}} loss={{(x - 0.3) ** 2 + 1 / step}}")
for i in range({LINES}):
    print("line", i)
    print("error", i, file=sys.stderr, flush=True)
"""
BASH = f"""
for step in 1 2 3 4 5; do echo "luthier: step=$step loss=$1"; done
for i in $(seq 0 {LINES - 1}); do echo "line $i"; echo "error $i" >&2; done
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--workers", type=int, default=4)
    given = parser.parse_args()
    for name, command in (
        ("python -S", [sys.executable, "-S", "-u", "train.py"]),
        ("bash", ["bash", "train.sh"]),
    ):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "train.py").write_text(PYTHON)
            (Path(folder) / "train.sh").write_text(BASH)
            own = min(starts(command, folder, given.trials, given.workers) for _ in range(2))
            whole, study = trials(command, folder, given.trials, given.workers)
            complete = sum(
                is_complete(study.home / "work" / "c" / str(t.number) / "1" / "output.log")
                for t in study.trials
            )
            study.close()
        share = given.workers / given.trials
        print(
            f"{name:10} {given.trials} trials on {given.workers} workers: {whole:.2f} s, the processes alone {own:.2f} s; "
            f"overhead {1e3 * (whole - own) / given.trials:.1f} ms a trial ({1e3 * (whole - own) * share:.1f} ms of a worker's time); "
            f"{complete} of {given.trials} logs complete"
        )


def starts(command: list[str], folder: str, n: int, workers: int) -> float:
    """Seconds to run the command `n` times without us."""

    def start(i: int) -> None:
        with open(f"{folder}/{i}.log", "wb") as log:  # noqa: PTH123
            words = [*command, "0.5"]
            # in a session of its own, as ours: on a busy machine a session is what gets its share of the cores
            subprocess.run(words, stdout=log, stderr=log, cwd=folder, check=True, start_new_session=True)

    began = perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(start, range(n)))
    return perf_counter() - began


def trials(command: list[str], folder: str, n: int, workers: int) -> tuple[float, lt.Study]:
    """Seconds from the first trial's beginning to the last one's end: the start of the workers is not a trial's."""
    study = lt.tune(
        lt.Command([*command, "{x}"], cwd=folder),
        lt.Space(x=lt.Float(0, 1)),
        minimize="loss",
        trials=n,
        workers=workers,
        algorithm="random",
        name="c",
        store=f"{folder}/studies.db",
        progress=False,
    )
    ready = sorted(t.ended or 0 for t in study.trials)[workers - 1]  # each worker has done one by then, about
    seconds = max(t.ended or 0 for t in study.trials) - ready
    return seconds * n / (n - workers), study


def is_complete(log: Path) -> bool:
    lines = log.read_text().splitlines()
    printed = [line for line in lines if not line.startswith("luthier:")]
    expected = [word for i in range(LINES) for word in (f"line {i}", f"error {i}")]
    return printed == expected and len(lines) == len(expected) + 5


if __name__ == "__main__":
    main()
