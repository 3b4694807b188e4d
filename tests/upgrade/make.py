"""Makes the frozen database file of this version of the schema: `python -m tests.upgrade.make`.

Run once per version, before it is released; files of older versions are never made again.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

from luthier.clock import VirtualClock
from luthier.space import Choice, Float, Int, Scalar, Space
from luthier.store.migrate import VERSION
from luthier.store.url import open_store
from luthier.study import (
    Budget,
    Completed,
    Constraint,
    Failed,
    Fidelity,
    Lost,
    Named,
    Objective,
    Problem,
    Proposal,
    Record,
    Report,
    Stopped,
    StudySpec,
)

FOLDER = Path(__file__).parent


def first() -> StudySpec:
    space = Space(
        lr=Float(1e-5, 1e-1, log=True),
        layers=Int(1, 6),
        optimizer=Choice("adam", "sgd"),
        momentum=Float(0.0, 0.99, when={"optimizer": "sgd"}),
    )
    problem = Problem(
        space,
        (Objective("loss", "min"),),
        (Constraint("size", high=10.0),),
        Fidelity("epochs", 1, 81, log=False),
    )
    return StudySpec(
        "first",
        problem,
        Named("tpe", {"n_startup": 20}),
        Named("median", {"grace": 5}),
        Budget(trials=100, target=-math.inf),
        seed=7,
        about={"function": "train:train"},
    )


def second() -> StudySpec:
    return StudySpec("größer", Problem(Space(x=Float(0, 1)), (Objective("score", "max"),)), Named("random"))


def make(path: Path) -> None:
    clock = VirtualClock(1_700_000_000.0)
    store = open_store(str(path), clock=clock)
    store.create(first())
    store.begin("first", "engine")
    adam: dict[str, Scalar] = {"lr": 0.001, "layers": 2, "optimizer": "adam"}
    sgd: dict[str, Scalar] = {"lr": 0.01, "layers": 3, "optimizer": "sgd", "momentum": 0.5}
    proposals = [Proposal(adam, 27.0), Proposal(sgd, parent=0, tag={"rung": 1}), *[Proposal(adam)] * 5]
    store.propose("first", proposals, seen=1)
    store.claim("first", "engine", 6, 60.0)
    clock.sleep(2)
    words = (
        (0, Report(1, {"loss": 0.5, "größe": math.inf})),
        (0, Report(2, {"loss": math.nan})),
        (0, Completed({"loss": 0.25, "size": math.nan, "best": -math.inf})),
        (1, Report(1, {"loss": 0.75})),
        (1, Stopped("worse than the median")),
        (2, Failed("ValueError: no", "Traceback (most recent call last): ...")),
        (3, Lost("the worker died")),
        (4, Report(1, {"loss": 0.125})),
    )
    store.record("first", [Record(number, 1, said) for number, said in words], attempts=2)
    store.claim("first", "other", 1, 60.0)
    store.request_stop("first", 4, "enough")
    store.remember("first", {"splits": {"folds": [0, 1, 1]}})
    store.renew("first", "engine", 60.0)
    clock.sleep(1)
    store.create(second())
    store.close()


if __name__ == "__main__":
    target = FOLDER / f"v{VERSION}.db"
    if target.exists():
        sys.exit(f"{target} is frozen.")
    make(target)
