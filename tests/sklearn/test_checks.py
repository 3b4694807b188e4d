"""scikit-learn's checks of what calls itself an estimator."""

import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.utils.estimator_checks import parametrize_with_checks

from luthier.sklearn import LuthierSearchCV

pytestmark = pytest.mark.filterwarnings("default")


@parametrize_with_checks(
    [
        LuthierSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, trials=2, cv=2, error_score="raise"),
        LuthierSearchCV(Ridge(), trials=3, cv=3, error_score="raise"),
    ]
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)
