"""A study in the place of scikit-learn's searches."""

from luthier.errors import MissingExtra

try:
    from luthier.sklearn.search import LuthierSearchCV
except ModuleNotFoundError as error:
    if error.name not in ("sklearn", "joblib"):
        raise
    raise MissingExtra("scikit-learn", "sklearn", "LuthierSearchCV") from None

__all__ = ["LuthierSearchCV"]
