"""scikit-learn: `estimator.set_callbacks(Report(trial, X, y))` where an estimator takes callbacks (1.9: LogisticRegression), and loops
around those that learn a bit at a time.

    for epoch, model in epochs(trial, SGDClassifier(alpha=alpha), X, y, total=50):       # partial_fit
        trial.report(epoch, accuracy=model.score(X_val, y_val))

    for n, model in stages(trial, RandomForestClassifier(), X, y, n_estimators=range(10, 201, 10)):      # warm_start
        trial.report(n, accuracy=model.score(X_val, y_val))

Both hand over a checkpoint after each report and go on from the one there is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from luthier.callbacks.reporting import Reporter, Reporting
from luthier.errors import InvalidStudy

E = TypeVar("E")
FILE = "model.joblib"


class Report:
    """Reports scores on rows `X`, `y` after every iteration that scikit-learn tells of. `scoring` is what scikit-learn
    takes; one score without a name is called "score".
    """

    def __init__(
        self,
        trial: Reporting,
        X: Any,
        y: Any,
        *,
        scoring: Any = None,
        names: Mapping[str, str] | None = None,
    ) -> None:
        self._reporter = Reporter(trial, None, names)
        self._rows = X, y
        self._scoring = [scoring] if isinstance(scoring, str) else scoring
        self._step = 0

    def setup(self, estimator: Any, context: Any) -> None:
        """Called by scikit-learn."""
        from sklearn.metrics import check_scoring

        self._scorer = check_scoring(estimator, self._scoring)

    def teardown(self, estimator: Any, context: Any) -> None:
        """Called by scikit-learn."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Called by scikit-learn."""

    def on_fit_task_end(self, estimator: Any, context: Any, *, fitted_estimator: Any = None) -> bool:
        """Called by scikit-learn: at the end of every iteration, and of the whole, which is reported already."""
        if fitted_estimator is not None and context.parent is not None:
            self._step += 1
            found = self._scorer(fitted_estimator, *self._rows)
            self._reporter.report(self._step, found if isinstance(found, Mapping) else {"score": found})
        return False


def epochs(
    trial: Reporting, estimator: E, X: Any, y: Any = None, *, total: int, every: int = 1, **fit: Any
) -> Iterator[tuple[int, E]]:
    """Goes over all rows `total` times by `partial_fit(X, y, **fit)`, and yields the epoch, from 1, and the estimator after
    each. A checkpoint is taken when the next one is asked for, after every `every` and the last.

    A classifier is told the classes in `y`, unless `classes=` says them.
    """
    estimator, reporter = _restored(trial, estimator, "partial_fit", every)
    if _is_classifier(estimator):
        fit.setdefault("classes", np.unique(y))
    if reporter.step >= total:  # the attempt that was lost had come to its end
        yield reporter.step, estimator
    for epoch in range(reporter.step + 1, total + 1):
        estimator.partial_fit(X, y, **fit)  # type: ignore[attr-defined]
        yield epoch, estimator
        _keep(reporter, estimator, epoch, last=epoch == total)


def stages(
    trial: Reporting, estimator: E, X: Any, y: Any = None, *, every: int = 1, **grows: Sequence[int]
) -> Iterator[tuple[int, E]]:
    """Fits an estimator with `warm_start` again and again while one of its parameters grows (`n_estimators=range(10, 101, 10)`,
    `max_iter=...`), and yields the value and the estimator after each. A checkpoint is taken after every `every` stages and the last.
    """
    if len(grows) != 1:
        raise InvalidStudy(
            f"{list(grows) or 'nothing'} is to grow. Name one parameter, as n_estimators=range(10, 101, 10)."
        )
    ((name, values),) = grows.items()
    estimator, reporter = _restored(trial, estimator, "warm_start", every)
    if values and reporter.step >= values[-1]:
        yield reporter.step, estimator
    for value in values:
        if value > reporter.step:
            estimator.set_params(**{name: value, "warm_start": True})  # type: ignore[attr-defined]
            estimator.fit(X, y)  # type: ignore[attr-defined]
            yield value, estimator
            _keep(reporter, estimator, value, last=value == values[-1])


def _restored(trial: Reporting, estimator: E, needs: str, every: int) -> tuple[E, Reporter]:
    """The estimator of the checkpoint, if there is one, else the one given."""
    if not hasattr(estimator, needs):
        raise InvalidStudy(
            f"{type(estimator).__name__} has no {needs}, so it cannot go on with what it has learned. Use another estimator."
        )
    reporter = Reporter(trial, every, None)
    if trial.restored is None:
        return estimator, reporter
    import joblib

    return joblib.load(trial.restored), reporter  # a file of our own


def _keep(reporter: Reporter, estimator: Any, step: int, *, last: bool) -> None:
    import joblib

    reporter.step = step
    reporter.keep(FILE, lambda path: joblib.dump(estimator, path), last=last)


def _is_classifier(estimator: Any) -> bool:
    from sklearn.base import is_classifier

    return bool(is_classifier(estimator))
