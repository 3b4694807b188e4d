"""What it means: how a study went, as tables and traces, which trials differ by more than noise, and which parameters mattered."""

from luthier.analysis.compare import Comparison, compare, plausible
from luthier.analysis.course import Distribution, Span, distribution, timeline
from luthier.analysis.ensemble import Ensemble, greedy, honest_greedy
from luthier.analysis.forest import Forest
from luthier.analysis.honest import Honest, honest_of
from luthier.analysis.importance import Importance, importance
from luthier.analysis.measures import measured
from luthier.analysis.surface import Contour, Observed, Slice, contour_of, slice_of
from luthier.analysis.table import flat, rows, to_pandas, uncertainty
from luthier.analysis.trace import incumbent

__all__ = [
    "Comparison",
    "Contour",
    "Distribution",
    "Ensemble",
    "Forest",
    "Honest",
    "Importance",
    "Observed",
    "Slice",
    "Span",
    "compare",
    "contour_of",
    "distribution",
    "flat",
    "greedy",
    "honest_greedy",
    "honest_of",
    "importance",
    "incumbent",
    "measured",
    "plausible",
    "rows",
    "slice_of",
    "timeline",
    "to_pandas",
    "uncertainty",
]
