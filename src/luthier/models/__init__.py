"""Models kept: saved as versions that load without running code, with where they come from and what they read."""

from luthier.models.champions import Verdict, challenge, promote, rollback
from luthier.models.export import export_model
from luthier.models.keep import Chosen, Keep, Kept, chosen, keep_models, keep_trial
from luthier.models.log import Event
from luthier.models.looks import Look, looks_at, score_model
from luthier.models.notes import note
from luthier.models.predict import Predictions, predict
from luthier.models.registry import (
    ModelVersion,
    delete_model,
    history_of,
    list_models,
    load_model,
    save_model,
    show_model,
    versions_of,
)

__all__ = [
    "Chosen",
    "Event",
    "Keep",
    "Kept",
    "Look",
    "ModelVersion",
    "Predictions",
    "Verdict",
    "challenge",
    "chosen",
    "delete_model",
    "export_model",
    "history_of",
    "keep_models",
    "keep_trial",
    "note",
    "list_models",
    "load_model",
    "looks_at",
    "predict",
    "promote",
    "rollback",
    "save_model",
    "show_model",
    "versions_of",
    "score_model",
]
