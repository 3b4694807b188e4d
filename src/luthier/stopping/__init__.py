"""Which trials to give up."""

from luthier.stopping.base import StoppingPolicy

__all__ = ["StoppingPolicy"]
