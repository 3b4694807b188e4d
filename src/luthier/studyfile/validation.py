"""`cv` and `holdout` in study files: how rows are split."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from luthier.errors import InvalidStudy, did_you_mean
from luthier.estimators.data import Data, is_frame
from luthier.studyfile.tables import Table, is_number, only, say

EXAMPLES = (
    "a number of folds, as in cv = 5, or a table: { share = 0.2 } to keep 20% of the rows back once, "
    '{ folds = 5, shuffle = false }, { folds = 5, groups = "column" }, { folds = 5, time = true }'
)


@dataclass(frozen=True, slots=True)
class Validation:
    """How rows are split, apart from a plain number of folds: `cv = { folds = 5, groups = "customer" }`.

    Either `folds`, or the `share` of the rows that one split keeps back. `groups` names a column whose rows stay together; it is no
    feature. With `time` rows are in order of time: every fold trains on what came before. None leaves it to the estimator:
    classifiers are `stratified`, rows are in random order (`shuffle`).
    """

    folds: int | None = None
    share: float | None = None
    shuffle: bool | None = None
    stratified: bool | None = None
    groups: str | None = None
    time: bool = False

    def splitter(self, estimator: Any, seed: int) -> Any:
        """What `CrossValidation` takes as cv. Raises InvalidStudy for classes of an estimator that has none."""
        from sklearn import model_selection as known
        from sklearn.base import is_classifier

        if self.stratified and not is_classifier(estimator):
            raise InvalidStudy(
                "cv.stratified is true, and the estimator is no classifier: there are no classes to keep the shares of. "
                "Leave it out."
            )
        stratified = is_classifier(estimator) if self.stratified is None else self.stratified
        if self.share is not None:
            if self.groups is not None:
                kind = known.GroupShuffleSplit
            else:
                kind = known.StratifiedShuffleSplit if stratified else known.ShuffleSplit
            return kind(1, test_size=self.share, random_state=seed)
        assert self.folds is not None  # validation_of saw to it
        if self.time:
            return known.TimeSeriesSplit(self.folds)
        names = {
            (False, False): known.KFold,
            (False, True): known.StratifiedKFold,
            (True, False): known.GroupKFold,
            (True, True): known.StratifiedGroupKFold,
        }
        shuffle = self.shuffle is not False
        if shuffle and stratified == is_classifier(estimator):
            return self.folds  # which is what CrossValidation makes of a number
        kind = names[self.groups is not None, stratified]
        return kind(self.folds, shuffle=shuffle, random_state=seed if shuffle else None)

    def apart(self, data: Data) -> tuple[Data, Any]:
        """The data without the column of groups, and the groups. Raises InvalidStudy where there is no such column."""
        if self.groups is None:
            return data, None
        if not is_frame(data.X):
            raise InvalidStudy(
                f"cv.groups is {say(self.groups)}, and the columns of {data.name} have no names. Groups need a CSV or Parquet file."
            )
        columns = [str(column) for column in data.X.columns]
        if self.groups not in columns:
            near = did_you_mean(self.groups, columns) or f" There is: {', '.join(columns[:20])}."
            raise InvalidStudy(f"cv.groups is {say(self.groups)}, which is no column of {data.name}.{near}")
        column = data.X[data.X.columns[columns.index(self.groups)]]
        if column.isna().any():
            raise InvalidStudy(
                f"cv.groups is {say(self.groups)}, and that column is empty in {int(column.isna().sum())} rows. Every row needs a group."
            )
        rest = data.X.drop(columns=column.name)
        if not len(rest.columns):
            raise InvalidStudy(
                f"{data.name} has no column besides the target and the groups; there is nothing to learn from."
            )
        made = Data.of(rest, data.y, name=data.name, target=data.target, dropped=data.dropped)
        return made, np.unique(column.to_numpy(), return_inverse=True)[1]


def validation_of(value: Any) -> int | Validation:
    """What `cv` says."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 2:
        return value
    if not isinstance(value, dict):
        raise InvalidStudy(f"cv is {say(value)}. Use {EXAMPLES}.")
    value = {key: one for key, one in value.items() if one is not None}
    only("cv.", value, [f.name for f in fields(Validation)])
    table = Table("cv.", value)
    found = Validation(
        folds=table.whole("folds", at_least=2),
        share=share_of(table, "share"),
        shuffle=table.truth("shuffle") if "shuffle" in value else None,
        stratified=table.truth("stratified") if "stratified" in value else None,
        groups=table.text("groups"),
        time=table.truth("time"),
    )
    if (found.folds is None) == (found.share is None):
        said = "both folds and share" if found.folds else "neither folds nor share"
        raise InvalidStudy(f"cv has {said}. Use {EXAMPLES}.")
    against = [
        key for key in ("share", "groups", "stratified", "shuffle") if found.time and getattr(found, key)
    ]
    if against:
        raise InvalidStudy(
            f"cv.time keeps rows in their order, which cv.{against[0]} does not. Leave one of them out."
        )
    if found.share is not None and found.shuffle is False:
        raise InvalidStudy(
            "cv.shuffle is false, and a share of the rows is always drawn at random. Leave it out, or use folds."
        )
    if found.share is not None and found.groups is not None and found.stratified:
        raise InvalidStudy("cv keeps whole groups back, so it cannot be stratified. Leave stratified out.")
    return found.folds if found.folds is not None and found == Validation(found.folds) else found


def share_of(table: Table, key: str) -> float | None:
    """A share of the rows, more than none and less than all."""
    value = table.given.get(key)
    if value is None or (is_number(value) and 0 < value < 1):
        return value
    raise table.wrong(
        key, f"the share of the rows to keep back, more than 0 and less than 1, as in {key} = 0.2"
    )
