"""What is kept to themselves by libraries, as written down, against the libraries themselves."""

import math
import warnings

import pytest
import sklearn
from sklearn.datasets import make_classification
from sklearn.experimental import enable_halving_search_cv, enable_iterative_imputer  # noqa: F401 - all of them
from sklearn.svm import SVC
from sklearn.utils import all_estimators

from luthier.estimators import describe
from luthier.estimators.domain import (
    Kind,
    Options,
    Range,
    domain_from_json,
    domain_text,
    domain_to_json,
    live_domains,
)
from luthier.estimators.snapshots import domains, snapshot_domains

WRITTEN_FOR = "1.9"


@pytest.mark.skipif(not sklearn.__version__.startswith(WRITTEN_FOR + "."), reason="another scikit-learn")
def test_the_snapshot_of_scikit_learn_is_what_it_checks():
    for name, cls in all_estimators():
        if hasattr(cls, "_parameter_constraints"):
            live = {p: domain_to_json(d) for p, d in live_domains(cls).items()}
            kept = {p: domain_to_json(d) for p, d in snapshot_domains(cls).items()}
            assert kept == live, f"{name}: run tools/snapshot_estimators.py"


@pytest.mark.parametrize("changed", [None, {"C": 3}, {"C": [object]}.values()])
def test_where_the_private_checks_are_not_what_they_were_the_snapshot_is_taken(changed):
    class Later(SVC):
        _parameter_constraints = changed

    assert domains(Later) == snapshot_domains(SVC)
    assert describe(Later)["C"].allowed == "float > 0"


def test_a_domain_is_itself_again_after_json():
    domain = (
        Range("int", 1),
        Range("float", 0, 1, "right"),
        Range("float", high=2.5),
        Options(("a", True, None, math.inf)),
        Kind("callable"),
    )
    assert domain_from_json(domain_to_json(domain)) == domain
    assert domain_text(domain) == "int >= 1, float in (0, 1], float <= 2.5, 'a', True, None, inf or callable"
    assert domain_text(()) == ""


# --- the boosting libraries --------------------------------------------------------------------

QUIET = {
    "xgboost:XGBClassifier": {"n_estimators": 2, "n_jobs": 1},
    "lightgbm:LGBMClassifier": {"n_estimators": 2, "n_jobs": 1, "verbose": -1},
    "catboost:CatBoostClassifier": {
        "iterations": 2,
        "thread_count": 1,
        "logging_level": "Silent",
        "allow_writing_files": False,
        "task_type": "CPU",
    },
}
# What a value needs beside it; None where it is not tried: it needs a GPU, or shouts for the rest of the process.
BESIDE = {
    ("lightgbm", "subsample"): {"subsample_freq": 1},
    ("lightgbm", "boosting_type", "rf"): {"subsample_freq": 1, "subsample": 0.5},
    ("catboost", "subsample"): {"bootstrap_type": "Bernoulli"},
    ("catboost", "bagging_temperature"): {"bootstrap_type": "Bayesian"},
    ("catboost", "max_leaves"): {"grow_policy": "Lossguide"},
    ("catboost", "min_data_in_leaf"): {"grow_policy": "Depthwise"},
    ("catboost", "bootstrap_type", "Poisson"): None,
    ("catboost", "score_function", "NewtonL2"): None,
    ("catboost", "score_function", "NewtonCosine"): None,
    ("catboost", "leaf_estimation_method", "Exact"): None,  # for some losses only
    ("catboost", "leaf_estimation_backtracking", "Armijo"): None,
    ("catboost", "od_pval"): None,  # for studies with an evaluation set
    ("catboost", "od_type"): None,
    ("catboost", "od_wait"): None,
    ("catboost", "logging_level"): None,
    ("xgboost", "verbosity"): None,
    ("xgboost", "early_stopping_rounds"): None,
}
# Beyond their documented range, but taken without a word.
LENIENT = {
    ("xgboost", "subsample"),
    ("xgboost", "colsample_bytree"),
    ("xgboost", "colsample_bylevel"),
    ("xgboost", "colsample_bynode"),
    ("xgboost", "n_estimators"),
    ("xgboost", "importance_type"),
    ("xgboost", "max_cat_to_onehot"),
    ("lightgbm", "importance_type"),
}


def beside(package, name, value):
    return BESIDE.get((package, name, value), BESIDE.get((package, name), {}))


@pytest.mark.parametrize("path", QUIET)
def test_models_are_fitted_at_the_ends_of_every_range_and_with_every_option(path):
    package = path.partition(":")[0]
    pytest.importorskip(package)
    tried = 0
    for parameter in describe(path):
        for value in _inside(parameter.domain):
            if beside(package, parameter.name, value) is not None:
                _fit(path, parameter.name, value)
                tried += 1
    assert tried > 15


@pytest.mark.parametrize("path", ["xgboost:XGBClassifier", "lightgbm:LGBMClassifier"])
def test_beyond_its_range_a_parameter_is_refused(path):
    package = path.partition(":")[0]
    pytest.importorskip(package)
    refused = 0
    for parameter in describe(path):
        if beside(package, parameter.name, None) is None or (package, parameter.name) in LENIENT:
            continue
        for value in _outside(parameter.domain):
            with pytest.raises(Exception, match=r"."):
                _fit(path, parameter.name, value)
            refused += 1
    assert refused > 10


def _inside(domain):
    for part in domain:
        if isinstance(part, Options):
            yield from (v for v in part.values if v is not None)
        elif isinstance(part, Range):
            yield from (
                end
                for end, shut in zip((part.low, part.high), _shut(part), strict=True)
                if end is not None and shut
            )


def _outside(domain):
    for part in domain:
        if isinstance(part, Range):
            if part.low is not None:
                yield part.low - 1 if _shut(part)[0] else part.low
            if part.high is not None:
                yield part.high + 1
        elif isinstance(part, Options) and any(isinstance(v, str) for v in part.values):
            yield "no such thing"


def _shut(part):
    return part.closed in ("both", "left"), part.closed in ("both", "right")


def _fit(path, name, value):
    from luthier.estimators import load_estimator

    X, y = make_classification(40, 4, n_informative=3, n_redundant=0, random_state=0)
    settings = {**QUIET[path], **beside(path.partition(":")[0], name, value), name: value}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        load_estimator(path)(**settings).fit(X, y)
