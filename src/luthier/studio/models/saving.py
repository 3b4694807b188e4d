"""A trial becomes a model because somebody asked: `luthier models save` in a process of its own, which a studio that is closed does not
end.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from typing import Any

from luthier.errors import ModelError
from luthier.models.registry import model_name
from luthier.studio.commands import command, complaint, environment
from luthier.studio.looking import Shelf, Shown
from luthier.studio.models.views import address
from luthier.study import State, Trial
from luthier.studyfile import kept


def of_trial(shelf: Shelf, shown: Shown, trial: Trial) -> dict[str, Any]:
    """The version that was made of a trial, as `model`, or whether one can be made of it here: there must be a copy of the study's file."""
    models: Any = shown.facts().get("models") or []
    for one in models:
        if one["trial"] == trial.number and (model := _version(shelf, shown, one)):
            return {"model": model, "savable": False}
    able = trial.state is State.COMPLETED and shown.spec.about.get("estimator") is not None
    return {"model": None, "savable": able and kept(shelf.home, shown.name, ours=True) is not None}


def of_study(shelf: Shelf, shown: Shown) -> dict[str, Any]:
    """What came of a study of an estimator, once it is over: the version of its best trial as `model`, or why none was kept."""
    none = {"model": None, "no_model": None}
    if shown.spec.about.get("estimator") is None or shown.standing.word == "running":
        return none
    facts: Any = shown.facts()
    if facts.get("model"):
        return none | {"model": _version(shelf, shown, facts["model"])}
    why = next(iter((facts.get("not_kept") or {}).items()), None)
    return none if why is None or facts.get("models") else none | {"no_model": why}


def _version(shelf: Shelf, shown: Shown, said: Mapping[str, Any]) -> dict[str, Any] | None:
    """Where a version of the study's model is, unless it was deleted."""
    name, version = model_name(shown.name), int(said["version"])
    if not (shelf.home / "models" / name / str(version)).is_dir():
        return None
    return {"href": address(name, version), "version": version, "trial": said["trial"]}


def save(store: str | None, study: str, number: int) -> None:
    """Fit it to all rows and save it; returns when that is done. Raises ModelError with what the process said."""
    child = subprocess.run(
        command("models", "save", "--json", "--", study, str(number)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        start_new_session=True,
        env=environment(store),
    )
    if child.returncode:
        printed = child.stderr.decode(errors="replace").strip()
        raise ModelError(complaint(printed) or (printed.splitlines() or ["it said nothing."])[-1])
