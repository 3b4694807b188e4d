"""How soon good configurations are found where trials can be stopped, or paused and taken up: in simulated time, on learning curves.

    python benchmarks/multifidelity.py [--bench FOLDER] [--policies NAME...] [--seeds 0,1,2] [--workers 1,4,16] [--noise 0.5]
                                       [--cache FOLDER] [--out FILE] [--jobs 2]

FOLDER is shared/bench (by default beside this repository): six data sets of LCBench, 7 parameters, 52 epochs, the loss is minus the validation
accuracy, seconds are those that the surrogate gives. Needs onnxruntime, and optuna for the policies that are named after it. The engine itself runs, on a
clock that jumps from one report to the next; what it thinks takes no time.

F is the mean time of a training in full. There are 25 F for one worker, 12.5 F for each of 4 and 6.25 F for each of 16. Regret is (loss in full of
the trial chosen - best known) / (median of random - best known) without noise, the trial chosen being the one with the lowest loss reported so far
(`seen`), or trained in full (`full`); 1.5 while there is none. `best given up` is the share of studies in which the trial that would have
ended best, of those begun, was not trained to the end, and `lost` what that cost.
"""

# ruff: noqa: E402 - the number of threads is set before NumPy is loaded
from __future__ import annotations

import argparse
import heapq
import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ClassVar

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np
from luthier_adapter import parameter
from numpy.typing import NDArray

from luthier import plugins
from luthier.clock import VirtualClock
from luthier.engine.engine import Engine
from luthier.engine.rules import Rules
from luthier.executors.base import Ended, Event, Job, Reported
from luthier.objectives.context import Task
from luthier.optimizers.base import Algorithm, Optimizer
from luthier.optimizers.dehb import DEHB
from luthier.optimizers.halving import ASHA, BOHB, Hyperband
from luthier.optimizers.random import Random
from luthier.optimizers.thaw import FreezeThaw
from luthier.space import Space
from luthier.stopping import Halving, StoppingPolicy, mild
from luthier.store.url import open_store
from luthier.study import Completed, Fidelity, Objective, Problem, Proposal, Report, Stopped, StudySpec, Trial

SHARED = Path(__file__).resolve().parents[2] / "shared" / "bench"
TASKS = ("167181", "168910", "189354", "34539", "7593", "146212")
EPOCHS = 52
REPORTED = (1, 3, 9, 17, 26, 27, 36, 45, 52)
"""The engine hears of these epochs only, which saves time and decides nothing."""
TIMES = {1: 25.0, 4: 12.5, 16: 6.25}
MARKS = (0.05, 0.1, 0.2, 0.25, 0.35, 0.5, 0.75, 1.0)
DRAWN = 3000
FIDELITY = Fidelity("epochs", 1, EPOCHS)
Array = NDArray[np.float64]
Config = Mapping[str, Any]


# --- learning curves ---------------------------------------------------------------------------


class Surrogate:
    """Learning curves of one data set."""

    def __init__(self, bench: Path, task: str) -> None:
        sys.path.insert(0, str(bench))
        import tasks  # type: ignore[import-not-found]

        self.task = task
        self.surrogate = tasks.Yahpo("lcbench", task)
        self.params = self.surrogate.params
        self._session = tasks._session("lcbench")
        self._known: dict[str, tuple[Array, Array]] = {}

    def curves(self, configs: Sequence[Config], epochs: Sequence[int]) -> tuple[Array, Array]:
        """Losses and seconds since the beginning, shape (configs, epochs)."""
        meta, given = self.surrogate.meta, self._session.get_inputs()
        names = {p["raw"]: p["name"] for p in self.params}
        rows = np.array(
            [
                [epoch if c == "epoch" else config[names[c]] for c in meta["cont"]]
                for config in configs
                for epoch in epochs
            ],
            np.float32,
        )
        codes = np.full((len(rows), 1), self.surrogate.enc[meta["inst"]][self.task], np.int32)
        out = self._session.run(
            [self._session.get_outputs()[0].name], {given[0].name: codes, given[1].name: rows}
        )[0]
        places = [meta["ys"].index(name) for name in ("val_accuracy", "time")]
        accuracy, seconds = out[:, places].astype(float).T.reshape(2, len(configs), len(epochs))
        return -accuracy, np.maximum.accumulate(seconds, axis=1)

    def curve(self, config: Config) -> tuple[Array, Array]:
        """Of one configuration, epoch by epoch."""
        key = json.dumps(dict(config), sort_keys=True)
        if key not in self._known:
            losses, seconds = self.curves([config], range(1, EPOCHS + 1))
            self._known[key] = losses[0], seconds[0]
        return self._known[key]

    @property
    def space(self) -> Space:
        """What may be chosen."""
        return Space({p["name"]: parameter(p) for p in self.params})


@dataclass(frozen=True)
class Scale:
    """What losses and times of a data set are measured by."""

    best: float
    median: float
    seconds: float

    def regret(self, loss: float) -> float:
        return (loss - self.best) / (self.median - self.best)


def scale_of(surrogate: Surrogate, cache: Path) -> Scale:
    """From random configurations, and a search around the best of them."""
    file = cache / f"scale-{surrogate.task}.json"
    if not file.exists():
        rng, space = np.random.default_rng(int(surrogate.task)), surrogate.space
        configs = [space.sample(rng) for _ in range(DRAWN)]
        losses, seconds = surrogate.curves(configs, [EPOCHS])
        order = np.argsort(losses[:, 0])
        population = [(float(losses[i, 0]), configs[i]) for i in order[:40]]
        for sd in (0.2, 0.1, 0.05, 0.03, 0.02, 0.01, 0.005, 0.002):
            for _ in range(3):
                near = [moved(space, config, sd, rng) for _, config in population for _ in range(10)]
                found, _ = surrogate.curves(near, [EPOCHS])
                population += [(float(loss), config) for loss, config in zip(found[:, 0], near, strict=True)]
                population = sorted(population, key=lambda pair: pair[0])[:40]
        scale = Scale(population[0][0], float(np.median(losses)), float(seconds.mean()))
        file.write_text(json.dumps([scale.best, scale.median, scale.seconds]))
    return Scale(*json.loads(file.read_text()))


def moved(space: Space, config: Config, sd: float, rng: np.random.Generator) -> dict[str, Any]:
    found = {}
    for name, value in config.items():
        unit = float(space[name].to_unit([value])[0]) + sd * rng.standard_normal() * (rng.random() < 0.5)
        found[name] = space[name].from_unit([float(np.clip(unit, 0.0, 1.0))])[0]
    return found


# --- workers on a clock of their own ------------------------------------------------------------


@dataclass
class Log:
    """Every epoch that was trained: when it was done, of which configuration, and what was reported."""

    curves: list[Array] = field(default_factory=list)
    keys: dict[str, int] = field(default_factory=dict)
    epochs: list[tuple[float, int, int, float]] = field(default_factory=list)

    def number(self, config: Config, curve: Array) -> int:
        key = json.dumps(dict(config), sort_keys=True)
        if key not in self.keys:
            self.keys[key] = len(self.curves)
            self.curves.append(curve)
        return self.keys[key]


class Over(Exception):
    """The time is used up."""


class Simulated:
    """Workers that train learning curves; `resumes` says whether a configuration goes on where it was left."""

    def __init__(
        self, surrogate: Surrogate, workers: int, seconds: float, resumes: bool, noise: float, seed: int
    ) -> None:
        self.slots = workers
        self.clock = VirtualClock()
        self.log = Log()
        self._surrogate, self._seconds, self._resumes = surrogate, seconds, resumes
        self._noise, self._rng = noise, np.random.default_rng([seed, 7])
        self._trained: dict[int, int] = {}
        self._queue: list[tuple[float, int, int]] = []
        self._jobs: dict[int, tuple[Job, int, int, float]] = {}
        self._stopped: list[Event] = []

    @contextmanager
    def open(self, task: Task, objective: str) -> Iterator[Simulated]:
        yield self

    def submit(self, job: Job) -> None:
        losses, seconds = self._surrogate.curve(job.params)
        which = self.log.number(job.params, losses)
        begun = self._trained.get(which, 0) if self._resumes else 0
        last = EPOCHS if job.fidelity is None else int(job.fidelity)
        spent = float(seconds[begun - 1]) if begun else 0.0
        self._jobs[job.number] = (job, which, last, self.clock.now() - spent)
        heapq.heappush(self._queue, (self.clock.now() - spent + float(seconds[begun]), job.number, begun + 1))

    def stop(self, number: int, reason: str) -> None:
        if number in self._jobs:
            job = self._jobs.pop(number)[0]
            self._stopped.append(Ended(number, job.attempt, Stopped(reason)))

    def events(self, timeout: float) -> Sequence[Event]:
        while True:
            if self._stopped:
                found, self._stopped = self._stopped, []
                return found
            if not self._queue:
                return []
            moment, number, epoch = heapq.heappop(self._queue)
            if number not in self._jobs:
                continue
            if moment > self._seconds:
                raise Over
            self.clock.sleep(max(0.0, moment - self.clock.now()))
            job, which, last, start = self._jobs[number]
            losses, seconds = self._surrogate.curve(job.params)
            loss = float(losses[epoch - 1] + self._noise * self._rng.standard_normal())
            self.log.epochs.append((moment, which, epoch, loss))
            self._trained[which] = max(epoch, self._trained.get(which, 0))
            if epoch == last:
                del self._jobs[number]
                report = Reported(number, job.attempt, Report(epoch, {"loss": loss}))
                return [report, Ended(number, job.attempt, Completed({"loss": loss}))]
            heapq.heappush(self._queue, (start + float(seconds[epoch]), number, epoch + 1))
            if epoch in REPORTED:
                return [Reported(number, job.attempt, Report(epoch, {"loss": loss}))]


# --- policies ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Policy:
    """An algorithm, what stops trials, and whether trials may pause and go on."""

    algorithm: Algorithm
    stopping: StoppingPolicy | None = None
    fidelity: bool = True
    resumes: bool = False


HALVING: dict[str, Algorithm] = {
    "asha": ASHA(),
    "asha from a ninth": ASHA(low=5),
    "asha gp": ASHA(by="gp"),
    "hyperband": Hyperband(),
    "bohb": BOHB(),
    "dehb": DEHB(),
}
"""Those that pause at every rung as published; each with checkpoints as well."""


@dataclass(frozen=True)
class OneEpoch:
    """Random configurations for one epoch, so many, and then the best of them in full, in that order: what is hard to beat where it works."""

    first: int
    pauses: ClassVar[bool] = True

    def start(self, problem: Problem) -> Optimizer:
        return _OneEpoch(self.first, problem)


class _OneEpoch:
    def __init__(self, first: int, problem: Problem) -> None:
        self._first, self._problem = first, problem
        self._told: dict[int, Trial] = {}

    def tell(self, finished: Sequence[Trial]) -> None:
        self._told |= {trial.number: trial for trial in finished}

    def ask(self, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal | None:
        everyone = [*self._told.values(), *pending]
        if sum(trial.parent is None for trial in everyone) < self._first:
            return Proposal(self._problem.space.sample(rng), fidelity=1.0)
        gone = {trial.parent for trial in everyone}
        left = [t for t in self._told.values() if t.parent is None and t.number not in gone]
        best = min(left, key=lambda trial: trial.metrics["loss"], default=None)
        return None if best is None else Proposal(best.params, fidelity=float(EPOCHS), parent=best.number)


def policies() -> dict[str, Policy]:
    auto = plugins.algorithm("auto")
    return {
        "random": Policy(Random(), fidelity=False),
        "one epoch": Policy(OneEpoch(325), resumes=True),
        "full": Policy(auto, fidelity=False),
        "default": Policy(auto, mild(FIDELITY)),
        "default, checkpoints": Policy(auto, mild(FIDELITY), resumes=True),
        "freeze-thaw": Policy(FreezeThaw(), resumes=True),
        "default, a third stays": Policy(auto, Halving(high=EPOCHS)),
        "thaw restart": Policy(FreezeThaw()),
        "asha random": Policy(Random(), Halving(low=1, high=EPOCHS, minimum=1)),
        "asha random, default rungs": Policy(Random(), Halving(high=EPOCHS)),
        "full, asha": Policy(auto, Halving(high=EPOCHS), fidelity=False),
    } | {
        name + suffix: Policy(algorithm, resumes=resumes)
        for name, algorithm in HALVING.items()
        for suffix, resumes in (("", False), (", checkpoints", True))
    }


def played(surrogate: Surrogate, policy: Policy, scale: Scale, workers: int, seed: int, noise: float) -> Log:
    """What the engine does in the time that there is."""
    seconds = TIMES[workers] * scale.seconds
    pool = Simulated(surrogate, workers, seconds, policy.resumes, noise, seed)
    fidelity = replace(FIDELITY, resumes=policy.resumes) if policy.fidelity else None
    problem = Problem(surrogate.space, (Objective("loss", "min"),), fidelity=fidelity)
    spec = StudySpec("bench", problem, plugins.named(plugins.algorithm("random")), seed=seed)
    store = open_store("memory", clock=pool.clock)
    store.create(spec)
    engine = Engine(
        store, spec, lambda context: None, pool, algorithm=policy.algorithm, policy=policy.stopping,
        clock=pool.clock, rules=Rules(lease=1e12),
    )  # fmt: skip
    try:
        engine.run()
    except Over:
        pass
    finally:
        store.close()
    return pool.log


def with_optuna(
    surrogate: Surrogate, scale: Scale, workers: int, seed: int, noise: float, pruner: str
) -> Log:
    """Optuna's TPE, asked and told as its own loop does."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    prunes = {
        "none": optuna.pruners.NopPruner(),
        "hyperband": optuna.pruners.HyperbandPruner(1, EPOCHS, 3),
        "median": optuna.pruners.MedianPruner(),
        "halving": optuna.pruners.SuccessiveHalvingPruner(),
    }
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed), pruner=prunes[pruner])
    distributions = {p["name"]: _distribution(optuna, p) for p in surrogate.params}
    pool = Simulated(surrogate, workers, TIMES[workers] * scale.seconds, False, noise, seed)
    open_: dict[int, Any] = {}
    try:
        while True:
            while len(open_) < workers:
                trial = study.ask(distributions)
                open_[trial.number] = trial
                pool.submit(Job(trial.number, 1, trial.params, 0))
            for event in pool.events(0.0):
                trial = open_[event.number]
                if isinstance(event, Reported):
                    trial.report(event.report.metrics["loss"], event.report.step)
                    if event.report.step < EPOCHS and trial.should_prune():
                        pool.stop(event.number, "pruned")
                elif isinstance(event.outcome, Completed):
                    study.tell(trial, event.outcome.metrics["loss"])
                    del open_[event.number]
                else:
                    study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                    del open_[event.number]
    except Over:
        return pool.log


def _distribution(optuna: Any, p: Mapping[str, Any]) -> Any:
    kind = (
        optuna.distributions.IntDistribution if p["type"] == "int" else optuna.distributions.FloatDistribution
    )
    return kind(p["low"], p["high"], log=bool(p["log"]))


OPTUNA = {
    "optuna tpe": "none",
    "optuna hyperband": "hyperband",
    "optuna median": "median",
    "optuna halving": "halving",
}


# --- what came of it ---------------------------------------------------------------------------


def regrets(log: Log, scale: Scale, seconds: float) -> dict[str, Any]:
    """Regret at the marks, by what was seen at any epoch and by what was trained in full."""
    finals = [float(curve[-1]) for curve in log.curves]
    found: dict[str, list[float]] = {"seen": [], "full": []}
    for mark in MARKS:
        best: dict[str, tuple[float, int] | None] = {"seen": None, "full": None}
        for moment, which, epoch, loss in log.epochs:
            if moment > mark * seconds:
                break
            for kind in ("seen", "full") if epoch == EPOCHS else ("seen",):
                so_far = best[kind]
                if so_far is None or loss < so_far[0]:
                    best[kind] = (loss, which)
        for kind, chosen in best.items():
            found[kind].append(1.5 if chosen is None else scale.regret(finals[chosen[1]]))
    done = {which for _, which, epoch, _ in log.epochs if epoch == EPOCHS}
    begun = sorted({which for _, which, _, _ in log.epochs})
    top = min(begun, key=lambda which: finals[which])
    return {
        **found,
        "begun": len(begun),
        "done": len(done),
        "given up": top not in done,
        "lost": found["seen"][-1] - scale.regret(finals[top]),
    }


@lru_cache(maxsize=8)
def surrogate_of(bench: Path, task: str) -> Surrogate:
    return Surrogate(bench, task)


def one(
    bench: Path, cache: Path, task: str, policy: str, workers: int, seed: int, noise: float
) -> dict[str, Any]:
    """A run, as a line of the results."""
    surrogate = surrogate_of(bench, task)
    scale = scale_of(surrogate, cache)
    if policy in OPTUNA:
        log = with_optuna(surrogate, scale, workers, seed, noise, OPTUNA[policy])
    else:
        log = played(surrogate, policies()[policy], scale, workers, seed, noise)
    found = regrets(log, scale, TIMES[workers] * scale.seconds)
    return {"task": task, "policy": policy, "workers": workers, "seed": seed, "noise": noise, **found}


def table(lines: Sequence[Mapping[str, Any]]) -> None:
    """Means over data sets and seeds, and differences to training in full, run by run."""
    groups: dict[tuple[int, float], dict[str, list[Mapping[str, Any]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for line in lines:
        groups[line["workers"], line["noise"]][line["policy"]].append(line)
    marks = " | ".join(f"{100 * mark:g}%" for mark in MARKS)
    for (workers, noise), by in sorted(groups.items()):
        print(f"\n{workers} workers" + (f", noise {noise:g}" if noise else ""))
        print(f"| policy | runs | {marks} | full at 100% | begun / in full | best given up | lost |")
        print("|---" * (len(MARKS) + 6) + "|")
        for policy, runs in sorted(
            by.items(), key=lambda pair: np.mean([run["seen"][-1] for run in pair[1]])
        ):
            means = " | ".join(f"{x:.3f}" for x in np.mean([run["seen"] for run in runs], axis=0))
            full, begun, done, lost = (
                np.mean([_of(run, key) for run in runs]) for key in ("full", "begun", "done", "lost")
            )
            given = np.mean([run["given up"] for run in runs])
            print(
                f"| {policy} | {len(runs)} | {means} | {full:.3f} | {begun:.0f} / {done:.0f} | {given:.0%} | {lost:.3f} |"
            )
        base = {(run["task"], run["seed"]): run["seen"] for run in by.get("full", [])}
        for policy, runs in by.items():
            pairs = [
                np.subtract(run["seen"], base[run["task"], run["seed"]])
                for run in runs
                if (run["task"], run["seed"]) in base
            ]
            if policy != "full" and pairs:
                mean, error = np.mean(pairs, axis=0), np.std(pairs, axis=0) / np.sqrt(len(pairs))
                print(
                    f"{policy} to full: "
                    + ", ".join(f"{m:+.3f} +- {e:.3f}" for m, e in zip(mean, error, strict=True))
                )


def _of(run: Mapping[str, Any], key: str) -> float:
    return float(run["full"][-1] if key == "full" else run[key])


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bench", type=Path, default=SHARED)
    parser.add_argument(
        "--policies", nargs="*", default=["full", "default", "default, checkpoints", "asha random"]
    )
    parser.add_argument("--seeds", type=numbers, default=[0, 1, 2])
    parser.add_argument("--workers", type=numbers, default=[1, 4, 16])
    parser.add_argument("--tasks", nargs="*", default=TASKS)
    parser.add_argument("--noise", type=float, default=0.0)
    parser.add_argument("--cache", type=Path, default=Path("/tmp"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    args.cache.mkdir(parents=True, exist_ok=True)
    for task in args.tasks:
        scale_of(surrogate_of(args.bench, task), args.cache)
    runs = list(product(args.tasks, args.policies, args.workers, args.seeds))
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(one, args.bench, args.cache, *run, args.noise) for run in runs]
        lines = []
        for future in futures:
            lines.append(future.result())
            if args.out:
                with args.out.open("a") as file:
                    file.write(json.dumps(lines[-1]) + "\n")
    table(lines)


if __name__ == "__main__":
    main()
