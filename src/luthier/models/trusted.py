"""The types that a saved model may be made of, beyond those skops trusts by itself.

The list is here, in reviewed code, and never read from a model: a file that names its own trusted types protects
nobody. What is in it restores plain numbers and arrays, or hands bytes to a booster's own parser; none of it calls what
a file names. A type is added by a person who has read how it is restored.
"""

from __future__ import annotations

_SKLEARN = (
    # Compiled trees and neighbours' indices: arrays, checked for shape and type when restored.
    "sklearn.tree._tree.Tree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.metrics._dist_metrics.ChebyshevDistance64",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.metrics._dist_metrics.MinkowskiDistance64",
    # Trees, bins and losses of HistGradientBoosting; losses of the generalised linear models.
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn._loss.link.HalfLogitLink",
    "sklearn._loss.link.IdentityLink",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.link.LogLink",
    "sklearn._loss.link.MultinomialLogit",
    "sklearn._loss.loss.AbsoluteError",
    "sklearn._loss.loss.ExponentialLoss",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn._loss.loss.HalfGammaLoss",
    "sklearn._loss.loss.HalfMultinomialLoss",
    "sklearn._loss.loss.HalfPoissonLoss",
    "sklearn._loss.loss.HalfSquaredError",
    "sklearn._loss.loss.HalfTweedieLoss",
    "sklearn._loss.loss.HalfTweedieLossIdentity",
    "sklearn._loss.loss.HuberLoss",
    "sklearn._loss.loss.PinballLoss",
    # How a TargetEncoder splits its rows: three settings.
    "sklearn.model_selection._split.KFold",
    # Optimisers of the neural networks: learning rates and moments.
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    # Kernels of Gaussian processes: their hyperparameters.
    "sklearn.gaussian_process.kernels.ConstantKernel",
    "sklearn.gaussian_process.kernels.DotProduct",
    "sklearn.gaussian_process.kernels.Matern",
    "sklearn.gaussian_process.kernels.Product",
    "sklearn.gaussian_process.kernels.RBF",
    "sklearn.gaussian_process.kernels.RationalQuadratic",
    "sklearn.gaussian_process.kernels.Sum",
    "sklearn.gaussian_process.kernels.WhiteKernel",
)
_PLAIN = (
    "collections.OrderedDict",
    "numpy.dtype",  # restored as the dtype of an empty array
    # Restored by scipy.sparse.load_npz, which refuses pickled objects.
    "scipy.sparse._csc.csc_matrix",
    "scipy.sparse._csr.csr_array",
    "scipy.sparse._csr.csr_matrix",
)
_BOOSTING = (
    # Each keeps its trees as bytes or text in its library's own format, which is parsed and not run.
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
    "xgboost.sklearn.XGBRegressor",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
    "catboost.core.CatBoostClassifier",
    "catboost.core.CatBoostRegressor",
)
_LUTHIER = (
    # Settings, names of columns, and which of them have times.
    "luthier.estimators.columns.Dates",
    "luthier.estimators.columns.Numbers",
    "luthier.estimators.labels.Labelled",
)

TRUSTED = frozenset((*_SKLEARN, *_PLAIN, *_BOOSTING, *_LUTHIER))
