"""Small problems to try optimisers on: spaces of every shape, easy functions, and a loop that plays trials."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

from luthier.optimizers import Optimizer
from luthier.space import Choice, Const, Float, Int, LogNormal, Normal, Params, Scalar, Space
from luthier.study import Completed, History, Objective, Problem, State, StudySpec, Trial
from luthier.study.spec import Named

Function = Callable[[Params], float]


def _deep() -> Space:
    inner = {"boosted": {"rate": Float(0.01, 0.3, log=True), "rounds": Int(1, 3)}, "bagged": {}}
    return Space(
        model=Choice(
            {
                "svm": {
                    "C": Float(1e-3, 1e3, log=True),
                    "kernel": Choice({"poly": {"degree": Int(2, 5)}, "rbf": {}}),
                },
                "tree": {"depth": Int(1, 20), "ensemble": Choice(inner)},
                "none": {},
            }
        ),
        scale=[True, False],
    )


SPACES: dict[str, Space] = {
    "every kind": Space(
        rate=Float(1e-5, 1e-1, log=True),
        momentum=Float(0.5, 0.999, log="reverse"),
        dropout=Float(0.0, 0.5, step=0.1),
        width=Float(prior=LogNormal(0.0, 1.0)),
        shift=Float(-3.0, 3.0, prior=Normal(0.0, 1.0)),
        layers=Int(1, 6),
        units=Int(8, 512, log=True),
        batch=Int(16, 128, step=16),
        optimizer=Choice("adam", "sgd", None, weights=[2, 1, 1]),
        size=Choice(1, 10, 100, ordered=True),
        nesterov=Choice(True, 1, 1.0, "1"),
        epochs=Const(10),
    ),
    "three levels of conditions": _deep(),
    "conditions on several parents": Space(
        n=Int(-2, 2),
        mode=["a", "b", "c"],
        both=Float(0, 1, when={"n": [1, 2], "mode": ["a", "b"]}),
        count=Int(0, 1, when={"mode": "c"}),
    ),
    "one float": Space(x=Float(0, 1)),
    "one value": Space(x=Float(0.5, 0.5)),
    "constants only": Space(a=1, b="two"),
    "small": Space(a=Int(-2, 0), b=Choice("x", "y")),
    "small with conditions": Space(
        a=Choice({"x": {"k": Int(0, 2)}, "y": {"l": Choice({"p": {"m": Float(0, 0.2, step=0.1)}, "q": {}})}})
    ),
    "wide": Space({f"p{i}": (Float(0, 1), Int(0, 9), Choice("a", "b", "c"))[i % 3] for i in range(60)}),
}
"""Spaces that an optimiser has to cope with."""


def problem(space: Space | Mapping[str, Any]) -> Problem:
    """The problem of minimising "loss" over the space."""
    return Problem(space if isinstance(space, Space) else Space(space), (Objective("loss", "min"),))


def sphere(params: Params) -> float:
    """Smooth, with the minimum 0 at (0.3, -1.2, 2.5)."""
    x, y, z = (cast(float, params[name]) for name in "xyz")
    return (x - 0.3) ** 2 + (y + 1.2) ** 2 + (z - 2.5) ** 2


def training(params: Params) -> float:
    """Like the loss of a network: two scales, one of them logarithmic, and a whole number. Minimum 0."""
    rate, decay, layers = (cast(float, params[name]) for name in ("rate", "decay", "layers"))
    return (math.log10(rate) + 2.5) ** 2 + 0.5 * (math.log10(decay) + 4) ** 2 + 0.1 * (layers - 4) ** 2


def branches(params: Params) -> float:
    """Only one branch is good, and it has parameters of its own. Minimum 0."""
    if params["model"] == "linear":
        return 1.0 + abs(cast(float, params["alpha"]) - 0.5)
    kernel = {"rbf": 0.0, "poly": 0.5, "sigmoid": 0.8}[str(params["kernel"])]
    width, cost = math.log10(cast(float, params["gamma"])), math.log10(cast(float, params["C"]))
    return kernel + 0.3 * abs(width + 2) + 0.2 * abs(cost - 1)


EASY: dict[str, tuple[Problem, Function]] = {
    "sphere": (problem({name: Float(-5, 5) for name in "xyz"}), sphere),
    "training": (
        problem({"rate": Float(1e-6, 1, log=True), "decay": Float(1e-8, 1, log=True), "layers": Int(1, 12)}),
        training,
    ),
    "branches": (
        problem(
            {
                "model": Choice(
                    {
                        "linear": {"alpha": Float(0, 1)},
                        "kernel": {
                            "kernel": ["rbf", "poly", "sigmoid"],
                            "gamma": Float(1e-6, 1e2, log=True),
                            "C": Float(1e-3, 1e3, log=True),
                        },
                    }
                )
            }
        ),
        branches,
    ),
}
"""Problems on which an optimiser that learns should beat chance within 100 trials."""


def finished(number: int, params: Params, loss: float, **more: Any) -> Trial:
    """A trial that completed with this loss."""
    return Trial(number, params, State.COMPLETED, attempt=1, metrics={"loss": loss}, **more)


def play(
    optimizer: Optimizer,
    problem: Problem,
    function: Function,
    trials: int,
    *,
    seed: int = 0,
    workers: int = 1,
) -> History:
    """What becomes of `trials` trials where `workers` run at once and the one that was started first ends first."""
    spec = StudySpec("play", problem, Named("play"), seed=seed)
    history = History(problem)
    pending: list[Trial] = []
    for number in range(trials):
        if len(pending) == workers:
            _end(optimizer, history, pending, function)
        proposal = optimizer.ask(tuple(pending), spec.rng(number))
        while proposal is None and pending:
            _end(optimizer, history, pending, function)
            proposal = optimizer.ask(tuple(pending), spec.rng(number))
        if proposal is None:
            break
        trial = Trial(
            number,
            proposal.params,
            State.RUNNING,
            1,
            fidelity=proposal.fidelity,
            parent=proposal.parent,
            tag=proposal.tag,
        )
        history.merge([trial], number + 1)
        pending.append(trial)
    while pending:
        _end(optimizer, history, pending, function)
    return history


def _end(optimizer: Optimizer, history: History, pending: list[Trial], function: Function) -> None:
    trial = pending.pop(0)
    metric = history.problem.objective.metric
    ended = trial.after(Completed({metric: function(trial.params)}), 1)
    optimizer.tell(history.merge([ended], history.cursor + 1))


def some_loss(params: Params) -> float:
    """A number that depends on all the parameters of any space, for where the values do not matter."""
    return sum(_number(value) * (i + 1) for i, value in enumerate(params.values()))


def _number(value: Scalar) -> float:
    return float(value) if isinstance(value, int | float) else float(len(str(value)))
