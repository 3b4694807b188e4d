"""A Gaussian process that learns from every trial which point to try next."""

from luthier.optimizers.gp.optimizer import GP

__all__ = ["GP"]
