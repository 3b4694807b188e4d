"""What may be chosen: parameters, conditions, and their places in the unit cube."""

from luthier.space.encoding import Encoding
from luthier.space.grid import Points, size
from luthier.space.parameters import (
    Choice,
    Const,
    Float,
    Int,
    LogNormal,
    Normal,
    Parameter,
    Scalar,
    When,
    same,
)
from luthier.space.space import Params, Space

__all__ = [
    "Choice",
    "Const",
    "Encoding",
    "Float",
    "Points",
    "Int",
    "LogNormal",
    "Normal",
    "Parameter",
    "Params",
    "Scalar",
    "Space",
    "When",
    "same",
    "size",
]
