"""A trial becomes a model because somebody asked: `luthier models save` in a process of its own, which a studio that is closed does not
end.
"""

from __future__ import annotations

import subprocess
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
        version = int(one["version"])
        if (
            one["trial"] == trial.number
            and (shelf.home / "models" / model_name(shown.name) / str(version)).is_dir()
        ):
            return {
                "model": {"href": address(model_name(shown.name), version), "version": version},
                "savable": False,
            }
    able = trial.state is State.COMPLETED and shown.spec.about.get("estimator") is not None
    return {"model": None, "savable": able and kept(shelf.home, shown.name) is not None}


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
