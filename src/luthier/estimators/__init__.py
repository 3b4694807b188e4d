"""What is known of an estimator before it is tuned: its parameters, the space worth searching, the data it can read."""

from luthier.estimators.data import BUNDLED, Data, load_data
from luthier.estimators.describe import Description, Hyperparameter, describe
from luthier.estimators.named import as_estimator, estimator_path, load_estimator
from luthier.estimators.params import set_params
from luthier.estimators.prepare import Preparation, preparation, with_preprocessing
from luthier.estimators.recommended import recommended_space

__all__ = [
    "BUNDLED",
    "Data",
    "Preparation",
    "Description",
    "Hyperparameter",
    "as_estimator",
    "describe",
    "estimator_path",
    "load_data",
    "load_estimator",
    "recommended_space",
    "set_params",
    "preparation",
    "with_preprocessing",
]
