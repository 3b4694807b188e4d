"""What to try next: algorithms as settings, and the optimisers that are started from them."""

from luthier.optimizers.auto import Auto
from luthier.optimizers.base import Algorithm, Optimizer, pauses, total
from luthier.optimizers.cmaes import CMAES
from luthier.optimizers.de import DE
from luthier.optimizers.dehb import DEHB
from luthier.optimizers.evolution import Evolution
from luthier.optimizers.gp import GP
from luthier.optimizers.grid import Grid
from luthier.optimizers.halving import ASHA, BOHB, Hyperband
from luthier.optimizers.pb2 import PB2
from luthier.optimizers.population import PBT
from luthier.optimizers.quasirandom import Sobol
from luthier.optimizers.random import Random
from luthier.optimizers.replay import Replay
from luthier.optimizers.thaw import FreezeThaw
from luthier.optimizers.tpe import TPE
from luthier.optimizers.wrap import merit, unique, usable

__all__ = [
    "ASHA",
    "BOHB",
    "CMAES",
    "DE",
    "DEHB",
    "GP",
    "Algorithm",
    "Auto",
    "Evolution",
    "FreezeThaw",
    "Grid",
    "Hyperband",
    "Optimizer",
    "PB2",
    "PBT",
    "Random",
    "Replay",
    "Sobol",
    "TPE",
    "merit",
    "pauses",
    "total",
    "unique",
    "usable",
]
