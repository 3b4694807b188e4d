"""A classifier that knows only the classes 0, 1, 2, ... (XGBoost's), for labels of any kind."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone


class Labelled(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]
    """Numbers the labels for `classifier`, and gives labels back."""

    def __init__(self, classifier: Any) -> None:
        self.classifier = classifier

    def fit(self, X: Any, y: Any) -> Labelled:
        """Fit a clone of the classifier on the labels' numbers."""
        self.classes_, codes = np.unique(np.asarray(y), return_inverse=True)
        self.classifier_ = clone(self.classifier).fit(X, codes)
        return self

    def predict(self, X: Any) -> Any:
        """The labels, one per row."""
        return self.classes_[np.asarray(self.classifier_.predict(X), dtype=int)]

    def predict_proba(self, X: Any) -> Any:
        """Shape (rows, classes), in the order of `classes_`."""
        return self.classifier_.predict_proba(X)

    @property
    def n_features_in_(self) -> int:
        """How many columns it was fitted on."""
        return int(self.classifier_.n_features_in_)
