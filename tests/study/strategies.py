"""Studies that might have happened, as the feed a store gives of them."""

import numpy as np

from luthier.space import Float, Space
from luthier.study import (
    Completed,
    Constraint,
    Failed,
    Lost,
    Objective,
    Outcome,
    Problem,
    Report,
    State,
    Stopped,
    Trial,
)

PROBLEM = Problem(
    Space(x=Float(0, 1)),
    (Objective("loss", "min"), Objective("size", "max")),
    (Constraint("size", high=5.0),),
)


def feed(trials: int, seed: int) -> list[Trial]:
    """Every version of every trial, in an order in which they could have happened."""
    rng = np.random.default_rng(seed)
    versions = [_life(number, rng) for number in range(trials)]
    order, proposed = [], 0
    while any(versions):
        # The next number is proposed before anything happens to it; else chance says whose turn it is.
        alive = [v for v in versions[:proposed] if v]
        if proposed < trials and (not alive or rng.random() < 0.4):
            order.append(versions[proposed].pop(0))
            proposed += 1
        else:
            order.append(alive[int(rng.integers(len(alive)))].pop(0))
    return order


def _life(number: int, rng: np.random.Generator) -> list[Trial]:
    waiting = Trial(number, {"x": float(rng.random())})
    running = Trial(number, waiting.params, State.RUNNING, 1)
    reported = Trial(number, waiting.params, State.RUNNING, 1, reports=(Report(0, {"loss": 1.0}),))
    life = [waiting, running, reported, reported.after(_outcome(rng), attempts=1)]
    return life[: int(rng.integers(1, 5))]


def _outcome(rng: np.random.Generator) -> Outcome:
    loss = float(
        rng.choice([0.0, 0.25, 0.5, 1.0, np.nan, np.inf, -np.inf], p=[0.1, 0.2, 0.2, 0.2, 0.1, 0.1, 0.1])
    )
    outcomes: list[Outcome] = [
        Completed({"loss": loss, "size": float(rng.integers(3, 8))}),
        Completed({"loss": loss}),
        Completed({}),
        Stopped("slow"),
        Failed("ValueError: no", "Traceback ..."),
        Lost("the worker died"),
    ]
    return outcomes[int(rng.choice(len(outcomes), p=[0.5, 0.1, 0.1, 0.1, 0.1, 0.1]))]
