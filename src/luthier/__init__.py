"""Luthier tunes the hyperparameters of any machine-learning model.

    import luthier as lt

    space = lt.Space(lr=lt.Float(1e-5, 1e-1, log=True), layers=lt.Int(1, 6))
    study = lt.tune(train, space, minimize="loss", trials=100, workers=4, name="first")
    study.best.params

The space is here at once; everything else is imported when it is first used, so that `import luthier` costs
numpy and little more.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from luthier.errors import LuthierError, Stop
from luthier.space import Choice, Const, Float, Int, LogNormal, Normal, Space

if TYPE_CHECKING:
    from luthier.api import Study, load, tune
    from luthier.estimators.describe import describe
    from luthier.executors import Inline, Processes
    from luthier.files import Files
    from luthier.objectives.command import Command
    from luthier.objectives.context import Context
    from luthier.objectives.crossval import CrossValidation
    from luthier.objectives.metrics import Json, MLflow, Pattern, TensorBoard
    from luthier.objectives.script import params, report
    from luthier.stopping import Race
    from luthier.study import Fidelity, Trial

__version__ = "0.1.0"

__all__ = [
    "Choice",
    "Command",
    "Const",
    "Context",
    "CrossValidation",
    "Fidelity",
    "Files",
    "Float",
    "Inline",
    "Int",
    "Json",
    "LogNormal",
    "LuthierError",
    "MLflow",
    "Normal",
    "Pattern",
    "Processes",
    "Race",
    "Space",
    "Stop",
    "Study",
    "TensorBoard",
    "Trial",
    "describe",
    "load",
    "params",
    "report",
    "tune",
]

_LATER = {
    "Command": "luthier.objectives.command",
    "Context": "luthier.objectives.context",
    "CrossValidation": "luthier.objectives.crossval",
    "Fidelity": "luthier.study",
    "Files": "luthier.files",
    "Inline": "luthier.executors",
    "Json": "luthier.objectives.metrics",
    "MLflow": "luthier.objectives.metrics",
    "Pattern": "luthier.objectives.metrics",
    "Processes": "luthier.executors",
    "Race": "luthier.stopping",
    "Study": "luthier.api",
    "TensorBoard": "luthier.objectives.metrics",
    "Trial": "luthier.study",
    "describe": "luthier.estimators.describe",
    "load": "luthier.api",
    "params": "luthier.objectives.script",
    "report": "luthier.objectives.script",
    "tune": "luthier.api",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'luthier' has no attribute {name!r}")
    value = getattr(import_module(_LATER[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
