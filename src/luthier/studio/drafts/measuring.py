"""One fold of a study fitted at the defaults, in a process of its own: how long that takes, and how large the model is.

It reads a study file on stdin, and its path as the argument; on stdout is {"fit_seconds": ..., "model_bytes": ..., "folds": ...} or {"error": ...}.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
import tomllib
import warnings
from pathlib import Path
from timeit import default_timer
from typing import Any

MEMORY = 16 << 30


def measured(text: str, path: Path) -> dict[str, Any]:
    """What a fit at the defaults takes. Raises LuthierError for a study that cannot be."""
    from luthier.estimators.data import take_rows
    from luthier.objectives.crossval import CrossValidation
    from luthier.studyfile import from_given

    study = from_given(tomllib.loads(text), path)
    task = study.objective()
    assert isinstance(task, CrossValidation)  # only estimators are measured
    task = task.scored_by([*study.minimize, *study.maximize])
    space = study.space if study.space is not None else task.space()
    task.check(space)
    train, test = task.splits[0]
    X, y = take_rows(task.data.X, train), take_rows(task.data.y, train)
    model = task.build({})
    started = default_timer()
    model.fit(X, y)
    fitted = default_timer()
    model.predict(take_rows(task.data.X, test))
    predicted = default_timer()
    return {
        "fit_seconds": fitted - started,
        "score_seconds": predicted - fitted,
        "model_bytes": len(pickle.dumps(model, protocol=5)),
        "folds": task.folds,
    }


def main() -> None:
    """Measure once."""
    from luthier.errors import LuthierError

    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    warnings.simplefilter("ignore")
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    except (ImportError, ValueError, OSError):
        pass  # not every system has it
    try:
        told = measured(sys.stdin.read(), Path(sys.argv[1]))
    except LuthierError as error:
        told = {"error": str(error)}
    except MemoryError:
        told = {"error": "one fit needs more memory than there is"}
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        told = {"error": f"{type(error).__name__}: {lines[0]}"}
    out.write(json.dumps(told))
    out.flush()


if __name__ == "__main__":
    main()
