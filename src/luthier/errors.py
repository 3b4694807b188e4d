"""Everything that Luthier raises on purpose.

LuthierError
├── InvalidSpace          a space or parameter that contradicts itself          (ValueError)
├── InvalidParams         values that the space does not allow                  (ValueError)
├── InvalidStudy          a question that cannot be asked                       (ValueError)
├── InvalidFilter         a filter of trials that cannot be read                (ValueError)
├── StudyEnded            there is nothing left to ask for
├── UnknownName           no algorithm, policy or estimator goes by that name   (LookupError)
├── ObjectiveError        the objective cannot be imported, sent or understood
│   └── ObjectiveFailed   the first trials all failed in the same way
├── DataError             a table that cannot be read, or lacks a column        (ValueError)
├── ModelError            a model that cannot be saved, trusted or used
├── MissingExtra          an optional dependency is not installed               (ImportError)
└── StoreError            the store refused
    ├── StudyNotFound     no study of that name                                 (LookupError)
    ├── SpecMismatch      the name belongs to another question
    ├── StoreVersionError written by a newer Luthier, or not by Luthier at all
    └── StoreUnavailable  locked, read-only, full or out of reach

Every message is a sentence with the value, the reason and the remedy. `Stop` is not an error: it
is how a trial is told to end, and derives from BaseException so that `except Exception` in
an objective does not swallow it.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class LuthierError(Exception):
    """The root of every error Luthier raises on purpose."""


class InvalidSpace(LuthierError, ValueError):
    """A space or one of its parameters contradicts itself."""


class InvalidParams(LuthierError, ValueError):
    """Parameter values that the space does not allow."""


class InvalidStudy(LuthierError, ValueError):
    """A question that cannot be asked: no objective, an empty budget, an unknown key."""


class InvalidFilter(LuthierError, ValueError):
    """A filter of trials that cannot be read, or names what the study does not have."""


class StudyEnded(LuthierError):
    """There is nothing left to ask for: the budget is used up, or every point has been tried."""


class UnknownName(LuthierError, LookupError):
    """Nothing goes by that name."""


class ObjectiveError(LuthierError):
    """The objective cannot be imported, sent to a worker, or understood."""


class ObjectiveFailed(ObjectiveError):
    """The first trials all failed in the same way, so nothing more was tried."""


class DataError(LuthierError, ValueError):
    """Data that cannot be read, or lacks what was asked of it."""


class ModelError(LuthierError):
    """A model that cannot be saved, trusted or used."""


class MissingExtra(LuthierError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {package}. Install it with: pip install 'luthier[{extra}]'")


class StoreError(LuthierError):
    """The store refused."""


class StudyNotFound(StoreError, LookupError):
    """No study of that name."""


class SpecMismatch(StoreError):
    """The name belongs to a study that asks another question."""


class StoreVersionError(StoreError):
    """The store was written by a newer Luthier, or is no store of Luthier's."""


class StoreUnavailable(StoreError):
    """The store is locked, read-only, full or out of reach."""


class Stop(BaseException):
    """Raised by `trial.report` in an objective that has been told to end; let it pass."""


def did_you_mean(wrong: object, known: Iterable[object]) -> str:
    """`" Did you mean 'gamma'?"` when a known name is near, else the list of what there is."""
    names = [str(name) for name in known]
    near = get_close_matches(str(wrong), names, n=1, cutoff=0.6)
    if near:
        return f" Did you mean {near[0]!r}?"
    if 0 < len(names) <= 20:
        return f" There is: {', '.join(names)}."
    return ""
