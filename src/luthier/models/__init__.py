"""Models kept: saved as versions that load without running code, with where they come from and what they read."""

from luthier.models.predict import Predictions, predict
from luthier.models.registry import ModelVersion, list_models, load_model, save_model, show_model

__all__ = ["ModelVersion", "Predictions", "list_models", "load_model", "predict", "save_model", "show_model"]
