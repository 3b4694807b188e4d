"""What it means: how a study went, as tables and traces."""

from luthier.analysis.table import flat, rows, to_pandas, uncertainty
from luthier.analysis.trace import incumbent

__all__ = ["flat", "incumbent", "rows", "to_pandas", "uncertainty"]
