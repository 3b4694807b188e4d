"""Which trials to give up."""

from luthier.stopping.bandit import Bandit
from luthier.stopping.base import Checking, Foreseeing, StoppingPolicy
from luthier.stopping.combine import AllOf, AnyOf, Patience, after, all_of, any_of
from luthier.stopping.curve import Curve
from luthier.stopping.halving import Halving, mild
from luthier.stopping.median import MedianStopping
from luthier.stopping.percentile import Percentile
from luthier.stopping.plateau import Plateau
from luthier.stopping.race import Race
from luthier.stopping.threshold import Threshold
from luthier.stopping.truncation import Truncation
from luthier.stopping.wilcoxon import Wilcoxon

__all__ = [
    "AllOf",
    "AnyOf",
    "Bandit",
    "Checking",
    "Curve",
    "Foreseeing",
    "Halving",
    "MedianStopping",
    "Patience",
    "Percentile",
    "Plateau",
    "Race",
    "StoppingPolicy",
    "Threshold",
    "Truncation",
    "Wilcoxon",
    "after",
    "all_of",
    "any_of",
    "mild",
]
