"""What users write, as mypy --strict sees it; checked by `make check`, never run."""

from collections.abc import Mapping

import luthier as lt
from luthier.optimizers import PBT, Replay

space = lt.Space(
    lr=lt.Float(1e-5, 1e-1, log=True),
    decay=lt.Float(0.9, 0.9999, log="reverse"),
    width=lt.Int(8, 512, log=True),
    dropout=lt.Float(prior=lt.Normal(0.2, 0.1)),
    optimizer=lt.Choice("adam", "sgd", weights=[2, 1]),
    momentum=lt.Float(0.0, 0.99, when={"optimizer": "sgd"}),
    nesterov=lt.Choice(True, False, when={"optimizer": ["sgd"]}),
    model=lt.Choice({"svm": {"C": lt.Float(0.1, 10)}, "tree": {"depth": lt.Int(1, 9)}}),
    epochs=10,
)


def of_a_trial(trial: lt.Context) -> Mapping[str, float]:
    lr = trial.params["lr"]
    assert isinstance(lr, float)
    trial.report(0, loss=lr)
    return {"loss": lr}


def by_name(lr: float, width: int, momentum: float | None = None) -> float:
    return lr * width


study: lt.Study = lt.tune(of_a_trial, space, minimize="loss", trials=10, workers=2, name="x", seed=1)
lt.tune(by_name, {"lr": lt.Float(0, 1), "width": [1, 2]}, minimize=["loss", "size"], seconds=10)
lt.tune(lambda trial: 0.0, space, maximize="score", target=0.5, executor=lt.Processes(4), deterministic=True)

epochs = lt.Fidelity("epochs", 1, 50, resumes=True)
grown = lt.tune(of_a_trial, space, minimize="loss", fidelity=epochs, algorithm=PBT(factors=(0.5, 2.0)))
lt.tune(of_a_trial, space, minimize="loss", fidelity=epochs, algorithm=Replay(grown.schedule()))
led_by: Mapping[str, object] = grown.schedule(grown.best).params_at(7)

best: lt.Trial = study.best
value: float = best.metrics["loss"]
trials: list[lt.Trial] = study.trials

difference: float = study.compare(best, 3, margin=0.01).difference
likely: list[lt.Trial] = study.plausible(alpha=0.1)

again = lt.load("x", readonly=False)
asked = again.ask()
again.tell(asked, 0.5)
again.tell(asked.number, {"loss": 0.5})
again.tell(asked, error="no luck")
with again.trial() as open_trial:
    open_trial.result = 0.3

described: str | None = lt.describe("sklearn.svm:SVC")["C"].scale
as_json: dict[str, object] = lt.describe("sklearn.svm:SVC").to_json()
