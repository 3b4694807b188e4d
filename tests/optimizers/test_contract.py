from luthier.optimizers import Auto, Evolution, Grid, Random, Sobol
from luthier.testing.optimizers import OptimizerContract


class TestRandom(OptimizerContract):
    algorithms = (Random(),)
    replicates = True


class TestSobol(OptimizerContract):
    algorithms = (Sobol(),)
    replicates = True


class TestSobolUnscrambled(OptimizerContract):
    algorithms = (Sobol(scramble=False),)
    replicates = True
    seeded = False


class TestGrid(OptimizerContract):
    algorithms = (Grid(), Grid(levels=7))
    seeded = False


class TestEvolution(OptimizerContract):
    algorithms = (Evolution(), Evolution(population=20, sample=5))
    better_than_random = True
    replicates = True


class TestAuto(OptimizerContract):
    algorithms = (Auto(),)
    better_than_random = True
    replicates = True
