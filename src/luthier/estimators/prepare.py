"""What is put between a table as people have it and an estimator that reads numbers.

Each column is taken for what it is (`kinds.py`), and each kind is brought into a form that the estimator learns well from.
Trees cut numbers where they like: they get them as they are, and categories as codes. What adds up or measures distances -
linear models, neighbours, support vectors, neural networks, Gaussian processes - gets indicators for categories, a note
where a number is missing, and all numbers on one scale. All of it is fitted on the training rows of each fold like the
estimator itself, so nothing leaks from the test rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from luthier.errors import DataError, InvalidStudy
from luthier.estimators.data import is_frame, is_sparse
from luthier.estimators.kinds import MANY, Column, columns_of, extent
from luthier.estimators.leaks import leaks
from luthier.estimators.named import library
from luthier.estimators.recommended import innermost

Preprocess = str | Mapping[str, str] | Any
"""What is to be put in front: "auto", "none", kinds for some columns and "auto" for the others, or a transformer."""

TREES = ("Tree", "Forest", "GradientBoosting", "XGB", "LGBM", "CatBoost")
SCALED = (
    "svm",
    "neighbors",
    "linear_model",
    "neural_network",
    "gaussian_process",
    "kernel_ridge",
    "semi_supervised",
)
"""The modules of scikit-learn whose estimators measure distances or penalise coefficients."""

Form = Literal["trees", "scaled", "plain"]
"""What an estimator wants to be given."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What happens to some columns, and why; `columns` are names, none for all of them."""

    columns: tuple[str, ...]
    kind: str
    done: str
    why: str

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Prepared:
        """From what `Preparation.to_json` made of it."""
        return cls(tuple(row["columns"]), row["kind"], row["done"], row["why"])

    def __str__(self) -> str:
        names = ", ".join(self.columns[:6]) + (
            f" and {len(self.columns) - 6} more" if len(self.columns) > 6 else ""
        )
        return f"{names or 'all columns'}: {self.done} ({self.why})"


@dataclass(frozen=True, slots=True)
class Preparation:
    """What is put in front of an estimator for one table. `step` is the unfitted transformer, or None; print it to see
    what happens to each column and why. `notes` are sentences that a person should read.
    """

    step: Any
    rows: tuple[Prepared, ...]
    notes: tuple[str, ...] = ()
    labels: bool = False

    def around(self, estimator: Any) -> Any:
        """The estimator behind what it needs, unfitted: a pipeline of "prepare" and "model", or the estimator itself."""
        from sklearn.base import clone
        from sklearn.pipeline import Pipeline

        made = estimator
        if self.step is not None:
            made = Pipeline([("prepare", clone(self.step)), ("model", estimator)])
        if self.labels:
            from luthier.estimators.labels import Labelled

            made = Labelled(made)
        return made

    def transformed(self, X: Any, y: Any = None) -> Any:
        """The rows as the estimator gets to see them."""
        from sklearn.base import clone

        return X if self.step is None else clone(self.step).fit_transform(X, y)

    def to_json(self) -> list[dict[str, Any]]:
        """For a manifest: one entry for all columns that are treated alike for the same reason."""
        return [{"columns": list(r.columns), "kind": r.kind, "done": r.done, "why": r.why} for r in self.rows]

    def __str__(self) -> str:
        lines = [str(row) for row in self.rows] or [
            "nothing is put in front: the estimator reads the table as it is"
        ]
        return "\n".join([*lines, *self.notes])


def preparation(
    estimator: Any, X: Any, y: Any = None, preprocess: Preprocess = "auto", *, notes: bool = True
) -> Preparation:
    """What to put in front of `estimator` for these rows; the same for all its parameters, so it is made once a study.

    `preprocess` is "auto", "none", a mapping of columns to kinds ("number", "date", "category", "many", "drop", ...), the
    others being found out, or a transformer, which is believed. Of a pipeline that brings a step of its own for columns (a
    ColumnTransformer, an encoder) nothing is asked: it gets the table. XGBoost, which reads only the classes 0, 1, 2, ...,
    is wrapped so that it takes and gives any labels.

    Without `notes` nobody looks for columns that give the target away, which takes a pass over the table. Raises DataError
    for columns of which nothing can be made, InvalidStudy for a `preprocess` that means nothing.
    """
    labels = y is not None and _needs_codes(estimator, y)
    said = tuple(leaks(X, y)) if notes else ()
    if isinstance(preprocess, Mapping) or (isinstance(preprocess, str) and preprocess == "auto"):
        given = preprocess if isinstance(preprocess, Mapping) else {}
        if given and not is_frame(X):
            raise InvalidStudy(
                "preprocess names columns, and X is an array, whose columns have no names. Give a data frame."
            )
        step, rows = _automatic(estimator, X, y, given)
        return Preparation(step, rows, said, labels)
    if isinstance(preprocess, str) and preprocess == "none":
        return Preparation(None, (), said, labels)
    if hasattr(preprocess, "fit") and hasattr(preprocess, "transform"):
        why = Prepared((), "", " ".join(repr(preprocess).split()), "as you said")
        return Preparation(preprocess, (why,), said, labels)
    raise InvalidStudy(
        f'preprocess is {preprocess!r}. Use "auto", "none", a mapping of columns to kinds, or a transformer.'
    )


def with_preprocessing(estimator: Any, X: Any, y: Any = None, preprocess: Preprocess = "auto") -> Any:
    """The estimator as it is where it can read X and y well, else behind the steps it needs (`preparation`); not fitted."""
    return preparation(estimator, X, y, preprocess, notes=False).around(estimator)


# --- what an estimator wants -------------------------------------------------------------------


def form_of(estimator: Any) -> Form:
    """What form of numbers suits the estimator, or the last step of a pipeline, or what is inside of a wrapper."""
    inner = innermost(estimator)[1]
    inside = [each for _, each in getattr(inner, "estimators", None) or () if hasattr(each, "fit")]
    if inside:
        forms = {form_of(each) for each in inside}
        return "scaled" if "scaled" in forms else forms.pop() if len(forms) == 1 else "plain"
    if any(word in type(inner).__name__ for word in TREES):
        return "trees"
    module = type(inner).__module__.split(".")
    return "scaled" if module[0] == "sklearn" and module[1] in SCALED else "plain"


def _has_steps(estimator: Any, *words: str) -> bool:
    """Whether a pipeline has a step of such a name before its last one."""
    steps = getattr(estimator, "steps", [])
    return any(word in type(step).__name__ for _, step in steps[:-1] for word in words)


def _reads_gaps(estimator: Any) -> bool:
    """Whether NaN may be passed: an imputer is among the steps, or the estimator says so in its tags."""
    from sklearn.utils import get_tags

    return _has_steps(estimator, "Imputer") or bool(get_tags(_last(estimator)).input_tags.allow_nan)


def _last(estimator: Any) -> Any:
    steps = getattr(estimator, "steps", None)
    return steps[-1][1] if steps else estimator


def _needs_codes(estimator: Any, y: Any) -> bool:
    from sklearn.base import is_classifier

    last = _last(estimator)
    if library(last) != "xgboost" or not is_classifier(last):
        return False
    labels = np.unique(np.asarray(y))
    return labels.dtype.kind not in "iu" or not np.array_equal(labels, np.arange(len(labels)))


# --- what to do --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Wants:
    """What an estimator wants, and how its categories are encoded."""

    form: Form
    scale: bool
    fill: bool
    targets: str | None
    """For `TargetEncoder`; None where there is no y to encode by."""


def _wants(estimator: Any, y: Any) -> _Wants:
    from sklearn.base import is_regressor

    form = form_of(estimator)
    # Who brings steps of his own has thought of scales.
    alone = not getattr(estimator, "steps", None) or len(estimator.steps) == 1
    real = y is not None and (is_regressor(estimator) or np.asarray(y).dtype.kind == "f")
    targets = None if y is None else "continuous" if real else "auto"
    return _Wants(form, form == "scaled" and alone, not _reads_gaps(estimator), targets)


def _automatic(estimator: Any, X: Any, y: Any, given: Mapping[str, str]) -> tuple[Any, tuple[Prepared, ...]]:
    if is_sparse(X) or _has_steps(
        estimator, "ColumnTransformer", "Encoder", "TableVectorizer", "FunctionTransformer"
    ):
        return None, ()
    wants = _wants(estimator, y)
    if not is_frame(X):
        return _for_array(X, wants)
    columns = columns_of(X, given)
    if all(column.kind == "number" and not column.converted for column in columns):
        return _for_array(X, wants)
    return _for_columns(X, columns, wants)


def _for_array(X: Any, wants: _Wants) -> tuple[Any, tuple[Prepared, ...]]:
    """Nothing but numbers, as they are."""
    found = extent(X)
    gaps = found.gaps > 0
    scale = wants.scale and not found.one_scale
    rows: list[Prepared] = []
    if wants.fill and gaps.any():
        names = tuple(str(X.columns[i]) if is_frame(X) else f"column {i}" for i in np.flatnonzero(gaps))
        rows.append(Prepared(names, "number", _filling(wants), _missing(found.gaps[gaps])))
    if scale:
        rows.append(Prepared((), "number", _SCALING, "they measure on different scales"))
    return _chain(_scaled(scale) + _filled(wants, bool(gaps.any()))), tuple(rows)


def _for_columns(X: Any, columns: list[Column], wants: _Wants) -> tuple[Any, tuple[Prepared, ...]]:
    from sklearn.compose import ColumnTransformer

    parts: list[tuple[str, Any, list[Any]]] = []
    rows: list[Prepared] = []
    extent(X, [column.name for column in columns if column.kind == "number" and not column.converted])
    for name, group in _groups(columns).items():
        done, steps = _treatment(group, X, wants)
        rows += _by_reason(group, done)
        if steps is not None:
            parts.append((name, _chain(steps) or "passthrough", [column.name for column in group]))
    if not parts:
        left_out = "\n".join(map(str, rows))
        raise DataError(
            f"every column is left out:\n{left_out}\n"
            f"Say what a column is to keep it: preprocess={{{columns[0].name!r}: 'number'}}."
        )
    return ColumnTransformer(parts), tuple(rows)


def _groups(columns: Iterable[Column]) -> dict[str, list[Column]]:
    """Columns that are treated alike, by a name for the step."""
    groups: dict[str, list[Column]] = {}
    for column in columns:
        gaps = column.kind == "number" and (column.gaps > 0 or column.converted)
        name = f"{column.kind}{'_converted' * column.converted}{'_with_gaps' * gaps}"
        groups.setdefault(name, []).append(column)
    return groups


def _by_reason(group: Iterable[Column], done: str) -> list[Prepared]:
    reasons: dict[tuple[str, bool], list[Column]] = {}
    for column in group:
        reasons.setdefault((column.why, 0 < column.gaps < 1), []).append(column)
    return [
        Prepared(
            tuple(str(column.name) for column in alike),
            alike[0].kind,
            done,
            f"{why}; {_missing([column.gaps for column in alike])}" if some_missing else why,
        )
        for (why, some_missing), alike in reasons.items()
    ]


def _missing(gaps: Any) -> str:
    low, high = (f"{100 * share:.2g}%" for share in (np.min(gaps), np.max(gaps)))
    return f"{low} missing" if low == high else f"{low} to {high} missing"


def _treatment(group: list[Column], X: Any, wants: _Wants) -> tuple[str, list[Any] | None]:
    """What is done, in words, and the steps that do it; None to leave the columns out."""
    from luthier.estimators.columns import Dates, Numbers

    gaps = any(column.gaps > 0 or column.converted for column in group)
    # A gap where there never was one is not filled: the model was not made for it, and says so. But what cannot be read
    # as a date, a number or a place in an order becomes a gap later.
    filled = _filled(wants, gaps or group[0].kind in ("date", "ordered"))
    filling = [_filling(wants)] * (gaps and wants.fill)
    more, words = [*_scaled(wants.scale), *filled], [*[_SCALING] * wants.scale, *filling]
    read = [Numbers()] if group[0].converted else []
    circular = wants.form != "trees"
    match group[0].kind:
        case "number":
            return _said(["read as numbers"] * len(read) + words), read + more
        case "truth":
            return _said(["as 0 and 1", *filling]), read + filled
        case "date":
            parts = "days since 2000, and the place in the year, the week and the day"
            return _said([parts + " on a circle" * circular, *words]), [Dates(circular=circular), *more]
        case "ordered":
            return _said(["numbered in their order", *words]), [_in_order(group, X), *more]
        case "category":
            return _categories(wants)
        case "many":
            return _many(wants)
        case _:
            return "left out", None


def _said(words: list[str]) -> str:
    return ", ".join(words) or "as it is"


_SCALING = "standardised"


def _filling(wants: _Wants) -> str:
    return "gaps filled with the median" + (", and marked" if wants.form != "trees" else "")


def _filled(wants: _Wants, gaps: bool) -> list[Any]:
    from sklearn.impute import SimpleImputer

    if not (gaps and wants.fill):
        return []
    # A column that is empty in one fold stays a column there, so that all folds fit the same table.
    return [SimpleImputer(strategy="median", keep_empty_features=True, add_indicator=wants.form != "trees")]


def _scaled(scale: bool) -> list[Any]:
    from sklearn.preprocessing import StandardScaler

    return [StandardScaler()] if scale else []


def _in_order(group: list[Column], X: Any) -> Any:
    from sklearn.preprocessing import OrdinalEncoder

    columns = [X[column.name] for column in group]
    known = [list(values.cat.categories) if hasattr(values, "cat") else None for values in columns]
    orders = "auto" if None in known else known
    return OrdinalEncoder(
        categories=orders,
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
        encoded_missing_value=np.nan,
    )


def _categories(wants: _Wants, many: bool = False) -> tuple[str, list[Any]]:
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

    if wants.form == "trees":
        return "numbered", [
            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)
        ]
    encoder = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MANY, sparse_output=False)
    return "an indicator for each" + f", the rarest of more than {MANY} sharing one" * many, [encoder]


def _many(wants: _Wants) -> tuple[str, list[Any]]:
    from sklearn.preprocessing import TargetEncoder

    if wants.targets is None:
        return _categories(wants, many=True)
    encoder = TargetEncoder(target_type=wants.targets, **_shuffled(TargetEncoder))
    done = "the mean target of each, shrunk, and of other rows than the row's own"
    return _said([done] + [_SCALING] * wants.scale), [encoder, *_scaled(wants.scale)]


def _shuffled(encoder: Any) -> dict[str, Any]:
    """Folds that are the same in every trial: by a splitter from scikit-learn 1.9 on, by a seed before."""
    from inspect import signature

    from sklearn.model_selection import KFold

    if signature(encoder).parameters["random_state"].default is None:
        return {"random_state": 0}
    return {"cv": KFold(5, shuffle=True, random_state=0)}


def _chain(steps: list[Any]) -> Any:
    """One transformer of several; None of none."""
    from sklearn.pipeline import make_pipeline

    return None if not steps else steps[0] if len(steps) == 1 else make_pipeline(*steps)
