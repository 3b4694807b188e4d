"""Combinations of hyperparameters, tried out: whether an estimator takes them. Run as a process of its own, never in the studio's.

It reads a question on each line of stdin, as JSON, and answers it on a line of stdout:
{"estimator": "sklearn.svm:SVC", "params": {...}, "values": [[name, value], ...], "points": [[{...}, {...}], ...], "task": "classification",
"classes": 2, "seconds": 5} -> {"values": [null or why not, ...], "points": [null or why not, ...], "error": why no point was tried}.
A point is what is not a number, and the numbers that go with it. Answers end where the time does.
"""

from __future__ import annotations

import json
import os
import select
import sys
import tempfile
import warnings
from collections.abc import Mapping
from timeit import default_timer
from typing import Any

ROWS, COLUMNS = 30, 4
TREES = {"iterations", "n_estimators", "num_boost_round", "num_trees"}
QUICK = dict.fromkeys(TREES, 3) | {"max_iter": 20}
"""What makes a fit long says little of whether it is possible."""
MEMORY = 4 << 30
IDLE_SECONDS = 120.0
LETTERS = 300


def answer(question: Mapping[str, Any]) -> dict[str, Any]:
    """What the estimator says of the values and the points."""
    from luthier.errors import LuthierError
    from luthier.estimators import as_estimator, set_params

    ends = default_timer() + question["seconds"]
    try:
        base = set_params(as_estimator(question["estimator"]), question["params"])
    except LuthierError as error:
        return {"values": [], "points": [], "error": str(error)}
    values = [_refused(base, {name: value}) for name, value in question["values"]]
    if not question["points"]:
        return {"values": values, "points": [], "error": None}
    X, y = made_data(question["task"], question["classes"])
    if why := _failed(base, _quick(base, {}), X, y):
        return {"values": values, "points": [], "error": why}
    points: list[str | None] = []
    for words, numbers in question["points"]:
        if default_timer() > ends:
            break
        quick = _quick(base, {**words, **numbers})
        why = _failed(base, {**words, **numbers, **quick}, X, y)
        if why is not None and _failed(base, {**words, **quick}, X, y) is None:
            why = None  # with other numbers it goes, and these stand for many
        points.append(why)
    return {"values": values, "points": points, "error": None}


def _quick(base: Any, point: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a fit of this estimator short."""
    from luthier.estimators.params import signature

    known = {*signature(base), *base.get_params()}
    if known >= TREES:  # CatBoost has all of these names for one thing, and takes one of them
        said = [name for name in (*point, *base.get_params()) if name in TREES]
        known -= TREES - set(said[:1] or ["iterations"])
    return {name: value for name, value in QUICK.items() if name in known}


def made_data(task: str, classes: int) -> tuple[Any, Any]:
    """A few rows that every estimator can read: nothing is negative, no class is rare."""
    import numpy as np

    rng = np.random.default_rng(0)
    rows = max(ROWS, 10 * min(classes, 20))
    X = rng.uniform(0.1, 1.0, (rows, COLUMNS))
    if task == "classification":
        y = np.arange(rows) % classes
        X[:, 0] += y
        return X, y
    return X, 1.0 + X[:, 0] + rng.uniform(0.0, 0.1, rows)


def _refused(base: Any, params: Mapping[str, Any]) -> str | None:
    """What scikit-learn's own checks say against these values; they look at each by itself."""
    from luthier.errors import LuthierError
    from luthier.estimators import set_params

    try:
        made = set_params(base, params)
        if hasattr(made, "_parameter_constraints"):  # some derive from scikit-learn's classes and have none
            made._validate_params()
    except Exception as error:
        if isinstance(error, LuthierError) or type(error).__name__ == "InvalidParameterError":
            return _sentence(error)
    return None


def _failed(base: Any, params: Mapping[str, Any], X: Any, y: Any) -> str | None:
    """Why no fit goes with these values, on any table."""
    from luthier.estimators import set_params

    why = None
    for columns in (X.shape[1], 2):  # some go with few columns only
        try:
            set_params(base, params).fit(X[:, :columns], y)
        except Exception as error:
            why = why or _sentence(error)
        else:
            return None
    return why


def _sentence(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:LETTERS]


def _limit() -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, ValueError, OSError):
        pass  # not every system has it


def main() -> None:
    """Answer until nobody asks any more."""
    _limit()
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # some estimators print
    warnings.simplefilter("ignore")
    import sklearn.model_selection  # noqa: F401 - ahead of the first question

    import luthier.estimators  # noqa: F401

    with tempfile.TemporaryDirectory(prefix="luthier-") as folder:
        os.chdir(folder)  # some write files wherever they are
        while select.select([sys.stdin], [], [], IDLE_SECONDS)[0]:
            line = sys.stdin.readline()
            if not line:
                break
            out.write(json.dumps(answer(json.loads(line))) + "\n")
            out.flush()
        os.chdir(os.sep)


if __name__ == "__main__":
    main()
