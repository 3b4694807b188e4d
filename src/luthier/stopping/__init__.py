"""Which trials to give up."""

from luthier.stopping.base import Foreseeing, StoppingPolicy
from luthier.stopping.race import Race

__all__ = ["Foreseeing", "Race", "StoppingPolicy"]
