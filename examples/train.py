"""A training loop of one's own: a polynomial fitted by gradient descent, with a report after every few steps."""

import numpy as np


def train(trial, lr, degree, optimizer, momentum=0.0):
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(-1, 1, 120))
    y = np.sin(3 * x) + rng.normal(0, 0.1, len(x))
    features = np.polynomial.chebyshev.chebvander(x, degree)
    fit, held_out = np.arange(len(x)) % 3 > 0, np.arange(len(x)) % 3 == 0

    weights = np.zeros(degree + 1)
    velocity = np.zeros(degree + 1)
    loss = np.inf
    for step in range(500):
        error = features[fit] @ weights - y[fit]
        velocity = momentum * velocity - lr * features[fit].T @ error / fit.sum()
        weights = weights + velocity
        if step % 50 == 49:
            loss = float(np.mean((features[held_out] @ weights - y[held_out]) ** 2))
            trial.report(step, loss=loss)
    return {"loss": loss}
