"""Spaces worth searching for the estimators that people tune most: ranges, scales, and which parameters matter most.

What `importance` says of which parameters matter is after

- J. N. van Rijn and F. Hutter, "Hyperparameter importance across datasets", KDD 2018: functional ANOVA of scikit-learn's
  estimators over 100 data sets. SVM: gamma, then C. Random forest: min_samples_leaf, then max_features. AdaBoost: the
  depth of its trees, then the learning rate.
- P. Probst, A.-L. Boulesteix and B. Bischl, "Tunability: importance of hyperparameters of machine learning
  algorithms", JMLR 20 (2019): what tuning gains over good defaults on 38 data sets. Boosting: the learning rate. Elastic
  net: the strength of the penalty, then its mix. Trees: the sizes of leaves and splits. Neighbours: their number.
- P. Probst, M. N. Wright and A.-L. Boulesteix, "Hyperparameters and tuning strategies for random forest", WIREs 9 (2019):
  after the features tried at a split, the rows that a tree sees.
- R. G. Mantovani et al., "An empirical study on hyperparameter tuning of decision trees" (2018): leaf sizes first.
- J. Bergstra and Y. Bengio, "Random search for hyper-parameter optimization", JMLR 13 (2012): of neural networks the
  learning rate, then the number of hidden units.

Where they differ (of random forests, say) the one that varied scikit-learn's estimator over ranges like ours goes first. What
none of them says has no rank, wherever it stands in a space. Ranks are about many data sets: on four small ones, and over the ranges
here, our own `study.importance()` has the learning rate of neural networks first everywhere (0.6 of the variance) and that
of LightGBM first or second, but C of an SVM a little before gamma, the depth of a tree beside its leaf size, and
min_child_weight of XGBoost before all, presumably because its upper end leaves few rows nothing to split.

Ranges start from those of Probst et al. and of the `rbv2_*` scenarios of YAHPO Gym (F. Pfisterer et al., 2022), made
narrower where their ends never win or cost hours. An estimator's own defaults lie inside, so that they can be the
first trial. Where a default is 0 or None and the range is logarithmic, an ordered choice holds both.

What is not here on purpose: numbers of trees of forests (more is better, Probst et al. 2018, "To tune or not to tune
the number of trees"), kernels of the SVM but the one it was made with (a polynomial one may take hours to fit).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np

from luthier.errors import InvalidStudy
from luthier.estimators.named import estimator_path, library
from luthier.estimators.params import as_scalar, default_params
from luthier.space import Choice, Const, Float, Int, Parameter, Scalar, Space, When
from luthier.space.space import replace_when

Parameters = dict[str, Parameter]
ENOUGH_VALUES, ENOUGH_ROWS = 5_000_000, 1000


def recommended_space(estimator: Any, X: Any = None) -> Space:
    """The space to search for an estimator, or for the last step of a pipeline (`svc__C`) where that has one.

    With the rows `X` that will be trained on, ranges that depend on data follow them: gamma of an SVM spans three
    decades to both sides of its default "scale", and neighbours are no more than there are rows. Raises InvalidStudy
    for an estimator that has no recommended space.
    """
    prefix, inner = innermost(estimator)
    make = _SPACES.get((library(inner), type(inner).__name__))
    if make is None:
        path = estimator_path(inner)
        raise InvalidStudy(
            f"there is no recommended space for {path}. Say what to search with space=; "
            f"`luthier describe {path}` lists its parameters."
        )
    return Space(
        {
            prefix + name: _under(prefix, parameter)
            for name, parameter in make(inner, before(estimator, X)).items()
        }
    )


def some(rows: Any, columns: int) -> Any:
    """Every so many of these rows of a large table: enough to take ranges from, without another copy of it."""
    step = min(len(rows) * columns // ENOUGH_VALUES, len(rows) // ENOUGH_ROWS)
    return rows[:: max(1, step)]


def own_point(estimator: Any, space: Space, rows: Callable[[], Any] = lambda: None) -> dict[str, Scalar]:
    """The estimator's own values of the parameters of the space, whether or not the space allows them.

    Constants have the value that the space gives them; what is no scalar is left out. gamma="scale" of an SVM becomes the number
    that it stands for on the `rows` that it will see.
    """
    values = default_params(estimator)
    point: dict[str, Scalar] = {}
    for name in space.order:
        if not space.exists(name, point):
            continue
        parameter = space[name]
        if isinstance(parameter, Const):
            point[name] = parameter.value
        elif name in values:
            value = _own(estimator, name, values[name], parameter, rows)
            if value is None or isinstance(value, bool | int | float | str):
                point[name] = value
    return {name: point[name] for name in space if name in point}


def _own(estimator: Any, name: str, value: Any, parameter: Parameter, rows: Callable[[], Any]) -> Any:
    """The value as the parameter of the space would have it."""
    value = as_scalar(name, value.item() if isinstance(value, np.generic) else value)
    prefix, inner = innermost(estimator)
    if name == f"{prefix}gamma" and type(inner).__name__ in ("SVC", "SVR") and isinstance(parameter, Float):
        seen = rows()
        value = (None if seen is None else svm_gamma(value, before(estimator, seen))) or value
    if isinstance(parameter, Float) and type(value) is int:
        return float(value)
    if isinstance(parameter, Int) and type(value) is float and value.is_integer():
        return int(value)
    for allowed in getattr(parameter, "values", ()):
        if allowed == value and type(allowed) in (int, float) and type(value) in (int, float):
            return allowed
    return value


def _under(prefix: str, parameter: Parameter) -> Parameter:
    """The parameter with conditions on what is called by its full name."""
    conditions = cast("tuple[When, ...]", parameter.when)
    return replace_when(parameter, tuple(When(prefix + w.parent, w.values) for w in conditions))


def importance(estimator: Any) -> tuple[str, ...]:
    """The parameters known to matter, by full name, the most important first: see above for the studies.

    They are those of the outermost estimator that is known; of what has a recommended space, only what is searched.
    """
    for prefix, inner in _inward(estimator):
        known = _IMPORTANCE.get((library(inner), _family(inner)))
        if known:
            make = _SPACES.get((library(inner), type(inner).__name__))
            there = inner.get_params(deep=True) if make is None else make(inner, None)
            return tuple(prefix + name for name in known if name in there)
    return ()


def innermost(estimator: Any) -> tuple[str, Any]:
    """What is to be tuned, and the prefix of its parameters: the last step of pipelines, the inside of a wrapper."""
    found = "", estimator
    for found in _inward(estimator):
        if (library(found[1]), type(found[1]).__name__) in _SPACES:
            break
    return found


def _inward(estimator: Any) -> Iterator[tuple[str, Any]]:
    """The estimator, the last of its steps or what it wraps, and so on, with the prefix of the parameters of each."""
    prefix = ""
    while hasattr(estimator, "get_params"):
        yield prefix, estimator
        steps = getattr(estimator, "steps", None)
        if steps:
            name, inner = steps[-1]
        else:
            name = next((n for n in ("estimator", "regressor") if hasattr(estimator, n)), "")
            inner = getattr(estimator, name, None)
        prefix, estimator = f"{prefix}{name}__", inner


def _family(estimator: Any) -> str:
    return type(estimator).__name__.removesuffix("Classifier").removesuffix("Regressor")


def before(estimator: Any, X: Any) -> Any:
    """The rows as the innermost estimator will see them: through the steps of a pipeline that come before it."""
    from sklearn.base import clone

    steps = getattr(estimator, "steps", None)
    if X is None or not steps or len(steps) == 1:
        return X
    try:
        return clone(estimator[:-1]).fit_transform(X)
    except (
        Exception
    ):  # a step that needs y, or cannot read X: the trial will say so, here nothing depends on it
        return None


def svm_gamma(value: Any, X: Any) -> float | None:
    """The number that gamma="scale" or "auto" stands for on the rows X; None where that cannot be said."""
    if X is None or value not in ("scale", "auto"):
        return None
    try:
        variance = (
            1.0
            if value == "auto"
            else float(np.var(X.toarray() if hasattr(X, "tocsr") else np.asarray(X, float)))
        )
    except (TypeError, ValueError):
        return None
    gamma = 1.0 / (X.shape[1] * variance) if variance > 0 else 1.0
    return gamma if math.isfinite(gamma) else None


# --- pieces that several estimators share ------------------------------------------------------


def _log(low: float, high: float) -> Float:
    return Float(low, high, log=True)


def _or_zero(*values: float) -> Choice:
    """0 and a few orders of magnitude: a penalty that may be absent."""
    return Choice(0.0, *values, ordered=True)


_BALANCE: Parameters = {"class_weight": Choice(None, "balanced")}
_INTERCEPT: Parameters = {"fit_intercept": Choice(True, False)}


def _if_classifier(estimator: Any, parameters: Parameters) -> Parameters:
    return parameters if type(estimator).__name__.endswith("Classifier") else {}


# --- linear models -----------------------------------------------------------------------------


def _logistic_regression(estimator: Any, X: Any) -> Parameters:
    return {"C": _log(1e-4, 1e4), **_BALANCE, **_INTERCEPT}


def _ridge(estimator: Any, X: Any) -> Parameters:
    return {"alpha": _log(1e-4, 1e4), **_if_classifier(estimator, _BALANCE), **_INTERCEPT}


def _lasso(estimator: Any, X: Any) -> Parameters:
    return {"alpha": _log(1e-4, 1e2), **_INTERCEPT}


def _elastic_net(estimator: Any, X: Any) -> Parameters:
    # Coordinate descent without an L1 part is slow and warns; Ridge is for that.
    return {"alpha": _log(1e-4, 1e2), "l1_ratio": Float(0.05, 1.0), **_INTERCEPT}


def _sgd(estimator: Any, X: Any) -> Parameters:
    classifier = bool(_if_classifier(estimator, _BALANCE))
    losses = (
        ("hinge", "log_loss", "modified_huber")
        if classifier
        else ("squared_error", "huber", "epsilon_insensitive")
    )
    schedules = ("optimal", "invscaling", "constant", "adaptive")
    return {
        "alpha": _log(1e-7, 1e-1),
        "learning_rate": Choice(*schedules),
        "eta0": Float(1e-4, 1e-1, log=True, when={"learning_rate": schedules[1:]}),
        "loss": Choice(*losses),
        "penalty": Choice("l2", "l1", "elasticnet"),
        "l1_ratio": Float(0.0, 1.0, when={"penalty": "elasticnet"}),
        "average": Choice(False, True),
        **_if_classifier(estimator, _BALANCE),
    }


# --- support vectors and neighbours ------------------------------------------------------------


def _svm(estimator: Any, X: Any) -> Parameters:
    kernel = estimator.kernel
    found: Parameters = {}
    if kernel in ("rbf", "poly", "sigmoid"):
        found["gamma"] = _gamma(X)
    found["C"] = _log(1e-3, 1e3)
    if kernel == "poly":
        found["degree"] = Int(2, 5)
    if kernel in ("poly", "sigmoid"):
        found["coef0"] = Float(-1.0, 1.0)
    if type(estimator).__name__ == "SVR":
        return {**found, "epsilon": _log(1e-3, 1.0)}
    return {**found, **_BALANCE, "shrinking": Choice(True, False)}


def _gamma(X: Any) -> Float:
    centre = svm_gamma("scale", X)
    if centre is None:
        return _log(3e-5, 8.0)  # for standardised columns
    return _log(float(f"{centre / 1e3:.1g}"), float(f"{centre * 1e3:.1g}"))


def _linear_svm(estimator: Any, X: Any) -> Parameters:
    if type(estimator).__name__ == "LinearSVR":
        losses = Choice("epsilon_insensitive", "squared_epsilon_insensitive")
        return {"C": _log(1e-4, 1e3), "epsilon": _or_zero(1e-3, 1e-2, 0.1, 1.0), "loss": losses, **_INTERCEPT}
    return {"C": _log(1e-4, 1e3), "loss": Choice("squared_hinge", "hinge"), **_BALANCE, **_INTERCEPT}


def _neighbors(estimator: Any, X: Any) -> Parameters:
    most = 50 if X is None else max(1, min(50, X.shape[0]))
    return {
        "n_neighbors": Int(1, most, log=True),
        "weights": Choice("uniform", "distance"),
        "p": Choice(1, 2),
    }


# --- trees -------------------------------------------------------------------------------------


def _tree(estimator: Any, X: Any) -> Parameters:
    return {
        "min_samples_leaf": Int(1, 60, log=True),
        "ccp_alpha": _or_zero(1e-4, 1e-3, 3e-3, 1e-2, 3e-2),
        "max_depth": Choice(1, 2, 3, 4, 6, 8, 12, 20, None, ordered=True),
        "min_samples_split": Int(2, 60, log=True),
        **_if_classifier(estimator, {"criterion": Choice("gini", "entropy"), **_BALANCE}),
    }


def _forest(estimator: Any, X: Any) -> Parameters:
    return {
        "min_samples_leaf": Int(1, 20, log=True),
        "max_features": Choice("log2", "sqrt", 0.2, 0.35, 0.5, 0.75, 1.0, ordered=True),
        "bootstrap": Choice(True, False),
        "max_samples": Choice(0.3, 0.5, 0.7, 0.9, None, ordered=True, when={"bootstrap": True}),
        "min_samples_split": Int(2, 20, log=True),
        **_if_classifier(estimator, {"criterion": Choice("gini", "entropy"), **_BALANCE}),
    }


def _hist_boosting(estimator: Any, X: Any) -> Parameters:
    return {
        "learning_rate": _log(0.01, 0.5),
        "max_leaf_nodes": Int(3, 127, log=True),
        "max_iter": Int(50, 500, log=True),
        "min_samples_leaf": Int(2, 100, log=True),
        "l2_regularization": _or_zero(1e-3, 1e-2, 0.1, 1.0, 10.0),
        "max_features": Float(0.2, 1.0),
    }


def _gradient_boosting(estimator: Any, X: Any) -> Parameters:
    return {
        "learning_rate": _log(0.01, 0.5),
        "max_depth": Int(1, 10),
        "n_estimators": Int(50, 500, log=True),
        "subsample": Float(0.4, 1.0),
        "max_features": Choice("log2", "sqrt", 0.3, 0.5, 0.7, None, ordered=True),
        "min_samples_leaf": Int(1, 50, log=True),
    }


# --- neural networks ---------------------------------------------------------------------------

_LAYERS = ("25", "50", "100", "200", "50,50", "100,100", "200,100", "100,100,100")


def _mlp(estimator: Any, X: Any) -> Parameters:
    by_gradient = estimator.solver in ("adam", "sgd")
    rate: Parameters = {"learning_rate_init": _log(1e-4, 1e-1)} if by_gradient else {}
    return {
        **rate,
        "hidden_layer_sizes": Choice(*_LAYERS),
        "alpha": _log(1e-7, 1.0),
        "activation": Choice("relu", "tanh"),
    }


# --- boosting libraries ------------------------------------------------------------------------


def _xgboost(estimator: Any, X: Any) -> Parameters:
    return {
        "learning_rate": _log(0.005, 0.5),
        "max_depth": Int(2, 12),
        "n_estimators": Int(50, 1000, log=True),
        "min_child_weight": _log(0.1, 100.0),
        "subsample": Float(0.4, 1.0),
        "colsample_bytree": Float(0.2, 1.0),
        "reg_lambda": _log(1e-3, 1e3),
        "reg_alpha": _or_zero(1e-3, 1e-2, 0.1, 1.0, 10.0),
        "gamma": _or_zero(1e-3, 1e-2, 0.1, 1.0),
    }


def _lightgbm(estimator: Any, X: Any) -> Parameters:
    return {
        "learning_rate": _log(0.005, 0.5),
        "num_leaves": Int(7, 255, log=True),
        "n_estimators": Int(50, 1000, log=True),
        "min_child_samples": Int(2, 100, log=True),
        "colsample_bytree": Float(0.2, 1.0),
        "subsample_freq": Choice(0, 1),  # 0 turns subsample off
        "subsample": Float(0.4, 1.0, when={"subsample_freq": 1}),
        "reg_lambda": _or_zero(1e-3, 1e-2, 0.1, 1.0, 10.0),
        "reg_alpha": _or_zero(1e-3, 1e-2, 0.1, 1.0, 10.0),
    }


def _catboost(estimator: Any, X: Any) -> Parameters:
    return {
        "learning_rate": _log(0.01, 0.3),
        "depth": Int(2, 10),
        "iterations": Int(100, 1000, log=True),
        "l2_leaf_reg": _log(0.5, 50.0),
        "random_strength": _log(0.1, 10.0),
        "rsm": Float(0.3, 1.0),
    }


_SPACES: dict[tuple[str, str], Callable[[Any, Any], Parameters]] = {
    ("sklearn", "LogisticRegression"): _logistic_regression,
    ("sklearn", "Ridge"): _ridge,
    ("sklearn", "RidgeClassifier"): _ridge,
    ("sklearn", "Lasso"): _lasso,
    ("sklearn", "ElasticNet"): _elastic_net,
    ("sklearn", "SVC"): _svm,
    ("sklearn", "SVR"): _svm,
    ("sklearn", "LinearSVC"): _linear_svm,
    ("sklearn", "LinearSVR"): _linear_svm,
    ("xgboost", "XGBClassifier"): _xgboost,
    ("xgboost", "XGBRegressor"): _xgboost,
    ("lightgbm", "LGBMClassifier"): _lightgbm,
    ("lightgbm", "LGBMRegressor"): _lightgbm,
    ("catboost", "CatBoostClassifier"): _catboost,
    ("catboost", "CatBoostRegressor"): _catboost,
    **{
        ("sklearn", family + kind): make
        for family, make in {
            "SGD": _sgd,
            "KNeighbors": _neighbors,
            "DecisionTree": _tree,
            "RandomForest": _forest,
            "ExtraTrees": _forest,
            "HistGradientBoosting": _hist_boosting,
            "GradientBoosting": _gradient_boosting,
            "MLP": _mlp,
        }.items()
        for kind in ("Classifier", "Regressor")
    },
}

KNOWN = tuple(sorted(_SPACES))
"""The estimators that have a recommended space, as (library, class name)."""

_FOREST = ("min_samples_leaf", "max_features", "max_samples")
_IMPORTANCE: dict[tuple[str, str], tuple[str, ...]] = {
    ("sklearn", "LogisticRegression"): ("C",),
    ("sklearn", "Ridge"): ("alpha",),
    ("sklearn", "Lasso"): ("alpha",),
    ("sklearn", "ElasticNet"): ("alpha", "l1_ratio"),
    ("sklearn", "SVC"): ("gamma", "C"),
    ("sklearn", "SVR"): ("gamma", "C"),
    ("sklearn", "LinearSVC"): ("C",),
    ("sklearn", "LinearSVR"): ("C",),
    ("sklearn", "KNeighbors"): ("n_neighbors",),
    ("sklearn", "DecisionTree"): ("min_samples_leaf", "min_samples_split"),
    ("sklearn", "RandomForest"): _FOREST,
    ("sklearn", "ExtraTrees"): _FOREST,
    ("sklearn", "AdaBoost"): ("estimator__max_depth", "learning_rate", "n_estimators"),
    ("sklearn", "GradientBoosting"): ("learning_rate",),
    ("sklearn", "HistGradientBoosting"): ("learning_rate",),
    ("sklearn", "MLP"): ("learning_rate_init", "hidden_layer_sizes"),
    ("xgboost", "XGB"): ("learning_rate",),
    ("lightgbm", "LGBM"): ("learning_rate",),
    ("catboost", "CatBoost"): ("learning_rate",),
}
