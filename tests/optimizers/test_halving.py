"""The halving family, by worked examples; what is common to all algorithms is in the contract."""

from luthier.optimizers import ASHA, BOHB, DEHB, FreezeThaw, Hyperband
from luthier.study import Fidelity
from luthier.testing.optimizers import OptimizerContract
from luthier.testing.problems import SPACES

PASSES = Fidelity("passes", 1, 9)
MODELLED = {name: SPACES[name] for name in ("one float", "small with conditions", "one value")}


class TestASHA(OptimizerContract):
    algorithms = (ASHA(), ASHA(brackets=3, by="tpe"))
    fidelity = PASSES
    replicates = True


class TestHyperband(OptimizerContract):
    algorithms = (Hyperband(), Hyperband(factor=2, by="sobol"))
    fidelity = PASSES
    replicates = True


class TestDEHB(OptimizerContract):
    algorithms = (DEHB(),)
    fidelity = PASSES
    replicates = True


class TestModelled(OptimizerContract):
    algorithms = (ASHA(by="auto"), BOHB(), FreezeThaw(initial=3))
    fidelity = PASSES
    spaces = MODELLED
    replicates = True
