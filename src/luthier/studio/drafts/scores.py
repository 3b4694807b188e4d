"""The scores to choose from, by what there is to predict; which way is better; and the ways to search."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from luthier import plugins


@dataclass(frozen=True, slots=True)
class Score:
    """A score by the name that a study file gives it, and whether less of it is better."""

    name: str
    less: bool = False

    @property
    def goal(self) -> str:
        """Which way is better: "min" or "max"."""
        return "min" if self.less else "max"


CLASSES = ("accuracy", "balanced_accuracy", "matthews_corrcoef")
TWO = ("f1", "roc_auc", "precision", "recall", "average_precision")
MORE = ("f1_macro", "f1_weighted", "roc_auc_ovr", "precision_macro", "recall_macro")
LOSSES = ("log_loss",)
NUMBERS = ("r2", "explained_variance")
DISTANCES = (
    "root_mean_squared_error",
    "mean_absolute_error",
    "median_absolute_error",
    "mean_absolute_percentage_error",
)
USUAL = 6
"""So many scores are shown at once, the others below them."""


@cache
def scores_for(kind: str, binary: bool) -> tuple[Score, ...]:
    """The scores that fit a "classifier" or a "regressor", the usual ones first; `binary` where there are two classes."""
    if kind == "regressor":
        own = [*(Score(name) for name in NUMBERS), *(Score(name, less=True) for name in DISTANCES)]
    else:
        own = [Score(name) for name in (*CLASSES, *(TWO if binary else MORE))]
        own[3:3] = [Score(name, less=True) for name in LOSSES]
    known = {score.name for score in own} | {f"neg_{score.name}" for score in own}
    return (*own, *(score for score in _others(kind, binary) if score.name not in known))


def _others(kind: str, binary: bool) -> Iterator[Score]:
    """What else scikit-learn has for the same."""
    from sklearn.metrics import get_scorer, get_scorer_names

    for name in get_scorer_names():
        takes = get_scorer(name)._score_func.__module__.rpartition(".")[2]
        if (kind == "regressor") != (takes == "_regression") or takes == "_supervised":
            continue
        averaged = name.endswith(
            ("_macro", "_micro", "_weighted", "_samples", "_ovr", "_ovo", "_ovr_weighted", "_ovo_weighted")
        )
        if kind != "regressor" and (name.endswith("_samples") or binary == averaged):
            continue
        if name in ("f1", "precision", "recall", "jaccard", "roc_auc") and not binary:
            continue
        yield Score(name.removeprefix("neg_"), less=True) if name.startswith("neg_") else Score(name)


# --- ways to search ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Strategy:
    """A way to search: its field's value, the algorithm, and whether trials begin with a part of the rows."""

    name: str
    algorithm: str
    deepens: bool = False
    own: bool = False

    @property
    def word(self) -> str:
        """The key of its name."""
        return f"drafts.strategy.{self.name}"


STRATEGIES = (
    Strategy("auto", "auto"),
    Strategy("grid", "grid"),
    Strategy("random", "random"),
    Strategy("de", "de"),
    Strategy("cmaes", "cmaes"),
    Strategy("hyperband", "hyperband", deepens=True),
    Strategy("asha", "asha", deepens=True),
)


@cache
def strategies() -> tuple[Strategy, ...]:
    """Those offered: the built-in ones of each kind, and those of installed packages."""
    others = [name for name in plugins.ALGORITHMS.names() if name not in plugins.ALGORITHMS.builtin]
    return (*STRATEGIES, *(Strategy(name, name, own=True) for name in sorted(others)))


def strategy(name: str) -> Strategy:
    """A way to search by its name; the default where there is none of that name."""
    return next((one for one in strategies() if one.name == name), STRATEGIES[0])
