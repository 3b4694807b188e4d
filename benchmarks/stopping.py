"""Stopping rules on random sequences: the time they save, and how often they lose the trial that would have ended best.

    python benchmarks/stopping.py --bench FOLDER [--cache FILE] [--trials 30,100] [--workers 1,4,16] [--rules NAME...] [--noise 0.5]

FOLDER is shared/bench (the default where it lies beside this repository), whose surrogates of LCBench give learning curves: validation accuracy and
training time of 52 epochs, on six data sets; needs onnxruntime. Configurations are drawn at random, 15 sequences of 30 and 5 of 100 for each data set, and
trained by 1, 4 and 16 workers in simulated time. A report an epoch, judged as the engine does: when it comes, and all running
trials when another has become the best. There is no optimiser, so the same trials are trained whatever a rule does.

`used` is the time that was trained, as a share of the time of the same trials in full; `kill` the share of studies in which the trial that would
have ended best was stopped, `by W` for each number of workers, `worst` for the data set where it is highest; `lost` the mean of what the best of the
completed trials is worse by, in units of (median - best) of all configurations drawn for the data set. `us` is the median time of a check.

Must hold: asha with its defaults uses at most half of the time and kills in at most 5% of the studies, with 30 trials and with 100.
"""

# ruff: noqa: E402 - the number of threads is set before NumPy is loaded
from __future__ import annotations

import argparse
import heapq
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np
from numpy.typing import NDArray

from luthier.space import Int, Space
from luthier.stopping import (
    Bandit,
    Curve,
    Halving,
    MedianStopping,
    Patience,
    Percentile,
    Plateau,
    StoppingPolicy,
    Truncation,
    all_of,
)
from luthier.study import History, Objective, Problem, Report, State, Trial

SHARED = Path(__file__).resolve().parents[2] / "shared" / "bench"
TASKS = ("167181", "168910", "189354", "34539", "7593", "146212")
EPOCHS = 52
SEQUENCES = {30: 15, 100: 5}
Table = NDArray[np.float64]

RULES: dict[str, StoppingPolicy] = {
    "asha (default)": Halving(high=EPOCHS),
    "asha, end not given": Halving(),
    "asha trend 0": Halving(high=EPOCHS, trend=0),
    "asha trend 0, factor 2, rungs 6, 12, 24": Halving(rungs=[6, 12, 24], factor=2, trend=0),
    "asha trend 0, rungs 1, 3, 9, 27": Halving(low=1, high=EPOCHS, minimum=1, trend=0),
    "asha as in Ray (rungs 1, 4, 16)": Halving(low=1, high=EPOCHS, factor=4, minimum=1, trend=0),
    "median": MedianStopping(),
    "median delay 5": MedianStopping(delay=5),
    "median delay 10": MedianStopping(delay=10),
    "percentile 50 (Optuna's median)": Percentile(),
    "percentile 50 delay 5": Percentile(delay=5),
    "percentile 25": Percentile(25),
    "percentile 25 delay 5": Percentile(25, delay=5),
    "bandit 0.1": Bandit(0.1),
    "bandit 0.2": Bandit(0.2),
    "bandit 0.1 delay 5": Bandit(0.1, delay=5),
    "bandit 0.2 delay 5": Bandit(0.2, delay=5),
    "bandit 0.2 delay 10 interval 5": Bandit(0.2, delay=10, interval=5),
    "truncation 20": Truncation(20),
    "truncation 20 interval 5": Truncation(20, interval=5),
    "truncation 20 interval 10": Truncation(20, interval=10),
    "curve": Curve(),
    "curve widen 1": Curve(widen=1),
    "curve delay 9": Curve(delay=9),
    "curve delay 14": Curve(delay=14),
    "plateau 10": Plateau(),
    "patience 3, percentile 50": Patience(Percentile(), 3),
    "plateau 5 and median": all_of(Plateau(5), MedianStopping()),
}


@dataclass(frozen=True)
class Curves:
    """Accuracies and seconds (summed) of configurations by epoch, shape (configurations, epochs)."""

    accuracy: Table
    seconds: Table


def drawn(bench: Path, task: str, count: int) -> Curves:
    """Of random configurations."""
    sys.path.insert(0, str(bench))
    import tasks  # type: ignore[import-not-found]

    rng = np.random.default_rng(int(task))
    surrogate = tasks.Yahpo("lcbench", task)
    configs = [tasks.sample(surrogate.params, rng) for _ in range(count)]
    names = {p["raw"]: p["name"] for p in surrogate.params}
    meta = surrogate.meta
    session = tasks._session("lcbench")
    inputs = [given.name for given in session.get_inputs()]
    codes = np.array([[surrogate.enc[meta["inst"]][task]]] * EPOCHS, np.int32)
    accuracy, seconds = np.empty((2, count, EPOCHS))
    for i, config in enumerate(configs):
        rows = [
            [epoch if c == "epoch" else config[names[c]] for c in meta["cont"]]
            for epoch in range(1, EPOCHS + 1)
        ]
        outputs = session.run(
            [session.get_outputs()[0].name], {inputs[0]: codes, inputs[1]: np.array(rows, np.float32)}
        )[0]
        accuracy[i] = outputs[:, meta["ys"].index("val_accuracy")]
        seconds[i] = np.maximum.accumulate(outputs[:, meta["ys"].index("time")])
    return Curves(accuracy, np.maximum(seconds, 1e-6))


def all_curves(bench: Path, cache: Path | None, count: int) -> dict[str, Curves]:
    """Of so many configurations of every data set; kept in a file, if one is given."""
    if cache is not None and cache.exists():
        kept = dict(np.load(cache))
        if all(len(kept[task][0]) >= count for task in TASKS):
            return {task: Curves(*kept[task][:, :count]) for task in TASKS}
    found = {task: drawn(bench, task, count) for task in TASKS}
    if cache is not None:
        np.savez(cache, **{task: np.stack([c.accuracy, c.seconds]) for task, c in found.items()})  # type: ignore[arg-type]
    return found


@dataclass(frozen=True)
class Outcome:
    """How a study went: the share of the time used, whether the best was stopped, by how much the best completed one is worse."""

    used: float
    killed: bool
    lost: float


def played(
    policy: StoppingPolicy, accuracy: Table, seconds: Table, true: Table, workers: int, checks: list[float]
) -> Outcome:
    """A study of these trials in this order; judged by `accuracy`, worth what `true` says at the end."""
    history = History(Problem(Space(row=Int(0, 10**6)), (Objective("accuracy", "max"),)))
    count = len(accuracy)
    reports = [
        tuple(Report(epoch, {"accuracy": value}) for epoch, value in enumerate(row, 1))
        for row in accuracy.tolist()
    ]
    # Events are in the order of time; a trial's next report, and at the last its result.
    events: list[tuple[float, int]] = []
    running: dict[int, tuple[Trial, float]] = {}
    trained = np.zeros(count)
    stopped: set[int] = set()
    cursor, started, leader = 0, 0, None

    def start(now: float) -> None:
        nonlocal started, cursor
        trial = Trial(started, {"row": started}, State.RUNNING, 1)
        running[started] = trial, now
        cursor += 1
        history.merge([trial], cursor)
        heapq.heappush(events, (now + seconds[started, 0], started))
        started += 1

    def finish(trial: Trial, now: float) -> None:
        nonlocal cursor
        cursor += 1
        history.merge([replace(trial, seq=cursor)], cursor)
        _, since = running.pop(trial.number)
        trained[trial.number] = now - since
        if started < count:
            start(now)

    def judge(number: int, now: float) -> None:
        trial, _ = running[number]
        before = time.perf_counter()
        reason = policy.judge(trial, history)
        checks.append(time.perf_counter() - before)
        if reason is not None:
            stopped.add(number)
            finish(replace(trial, state=State.STOPPED, reason=reason), now)

    for _ in range(min(workers, count)):
        start(0.0)
    while events:
        now, number = heapq.heappop(events)
        if number not in running:
            continue
        trial, since = running[number]
        made = len(trial.reports) + 1
        trial = replace(trial, reports=reports[number][:made])
        running[number] = trial, since
        if made < EPOCHS:
            cursor += 1
            history.merge([trial], cursor)
            heapq.heappush(events, (since + seconds[number, made], number))
            judge(number, now)
            continue
        finish(replace(trial, state=State.COMPLETED, metrics={"accuracy": float(accuracy[number, -1])}), now)
        best = history.best()
        if best is not None and best.number != leader:
            leader = best.number
            for other in list(running):
                if other in running and running[other][0].reports:
                    judge(other, now)
    ends = true[:, -1]
    best_of_all = int(np.argmax(accuracy[:, -1]))
    chosen = history.best()
    left = ends[chosen.number] if chosen is not None else ends.min()
    return Outcome(
        float(trained.sum() / seconds[:, -1].sum()),
        best_of_all in stopped,
        float(max(ends[best_of_all] - left, 0.0)),
    )


def row(
    policy: StoppingPolicy,
    curves: Mapping[str, Curves],
    trials: int,
    sequences: int,
    workers: list[int],
    noise: float,
) -> dict[str, Any]:
    """What the rule comes to over all data sets, sequences and numbers of workers."""
    outcomes: dict[tuple[str, int], list[Outcome]] = defaultdict(list)
    checks: list[float] = []
    for (task, curve), w in product(curves.items(), workers):
        finals = curve.accuracy[:, -1]
        unit = float(finals.max() - np.median(finals))
        for sequence in range(sequences):
            rows = slice(sequence * trials, (sequence + 1) * trials)
            true = curve.accuracy[rows]
            seen = true + noise * np.random.default_rng(sequence).standard_normal(true.shape)
            outcome = played(policy, seen, curve.seconds[rows], true, w, checks)
            outcomes[task, w].append(replace(outcome, lost=outcome.lost / unit))
    every = [outcome for group in outcomes.values() for outcome in group]

    def killed(chosen: list[Outcome]) -> float:
        return 100 * statistics.fmean(outcome.killed for outcome in chosen)

    by_workers = [killed([o for (_, w), group in outcomes.items() if w == n for o in group]) for n in workers]
    by_task = [
        killed([o for (t, _), group in outcomes.items() if t == task for o in group]) for task in curves
    ]
    return {
        "used": statistics.fmean(o.used for o in every),
        "kill": killed(every),
        "lost": statistics.fmean(o.lost for o in every),
        "by": "/".join(f"{share:.0f}" for share in by_workers),
        "worst": max(by_task),
        "us": 1e6 * statistics.median(checks),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bench", type=Path, default=SHARED)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--trials", default="30,100")
    parser.add_argument("--workers", default="1,4,16")
    parser.add_argument("--rules", nargs="+", default=list(RULES))
    parser.add_argument("--sequences", type=int, help="of each length, in place of 15 and 5")
    parser.add_argument("--noise", type=float, default=0.0, help="sd of reports, in points of accuracy")
    given = parser.parse_args()
    lengths = [int(trials) for trials in given.trials.split(",")]
    sequences = {trials: given.sequences or SEQUENCES[trials] for trials in lengths}
    curves = all_curves(given.bench, given.cache, max(n * count for n, count in sequences.items()))
    workers = [int(w) for w in given.workers.split(",")]
    print(
        "| rule | trials | used | kill | by W | worst | lost | us |\n| --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    for rule in given.rules:
        for trials in lengths:
            r = row(RULES[rule], curves, trials, sequences[trials], workers, given.noise)
            print(
                f"| {rule} | {trials} | {r['used']:.2f} | {r['kill']:.1f}% | {r['by']} | {r['worst']:.0f}% | "
                f"{r['lost']:.4f} | {r['us']:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
