"""A population of classifiers, trained and tuned at the same time: python examples/population.py"""

import pickle

from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

import luthier as lt
from luthier.optimizers import PBT, Replay

X, X_valid, y, y_valid = train_test_split(*load_digits(return_X_y=True), random_state=0)
SPACE = lt.Space(eta0=lt.Float(1e-5, 1e-1, log=True), alpha=lt.Float(1e-6, 1e-1, log=True))


def train(trial, eta0, alpha):
    if trial.restored:  # the checkpoint of this member, or of a better one
        model, epoch = pickle.loads(trial.restored.read_bytes())
    else:
        model, epoch = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=eta0, random_state=0), 0
    model.set_params(eta0=eta0, alpha=alpha)
    while epoch < trial.fidelity:
        model.partial_fit(X / 16, y, classes=range(10))
        epoch += 1
        loss = log_loss(y_valid, model.predict_proba(X_valid / 16))
        trial.report(epoch, loss=loss)
    path = trial.workdir / "model.pickle"
    path.write_bytes(pickle.dumps((model, epoch)))
    trial.checkpoint(path)
    return loss


if __name__ == "__main__":
    epochs = lt.Fidelity("epochs", 1, 20, resumes=True)
    study = lt.tune(
        train, SPACE, minimize="loss", fidelity=epochs, algorithm=PBT(population=6), name="digits"
    )
    print(study.schedule().to_csv())

    # The winner's training once more, from the beginning.
    replay = Replay(study.schedule())
    again = lt.tune(train, SPACE, minimize="loss", fidelity=epochs, algorithm=replay, name="digits-again")
    print(study.best.metrics["loss"], again.best.metrics["loss"])
