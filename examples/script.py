"""A script with the two lines. By hand, `python script.py`, it trains with its own defaults and prints its reports."""

import numpy as np

import luthier

p = luthier.params(lr=0.1, degree=3)

rng = np.random.default_rng(0)
x = np.sort(rng.uniform(-1, 1, 120))
y = np.sin(3 * x) + rng.normal(0, 0.1, len(x))
features = np.polynomial.chebyshev.chebvander(x, p.degree)
fit, held_out = np.arange(len(x)) % 3 > 0, np.arange(len(x)) % 3 == 0

weights = np.zeros(p.degree + 1)
for step in range(1, 301):
    error = features[fit] @ weights - y[fit]
    weights = weights - p.lr * features[fit].T @ error / fit.sum()
    if step % 50 == 0:
        luthier.report(step, loss=np.mean((features[held_out] @ weights - y[held_out]) ** 2))
