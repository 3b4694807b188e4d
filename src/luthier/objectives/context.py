"""Context: the trial as an objective sees it, and Task: the one shape every objective is brought into."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from luthier.space import Scalar


class Context(Protocol):
    """The `trial` that an objective receives.

    `workdir` is a folder of this attempt's own, made on first use.
    """

    @property
    def number(self) -> int:
        """The trial's number in its study."""
        ...

    @property
    def attempt(self) -> int:
        """1 for the first attempt, more where an earlier one was lost."""
        ...

    @property
    def params(self) -> Mapping[str, Scalar]:
        """The values to use."""
        ...

    @property
    def fidelity(self) -> float | None:
        """How much of a full training to spend; None where the study knows no fidelity."""
        ...

    @property
    def seed(self) -> int:
        """A seed of this trial's own, the same on every attempt."""
        ...

    @property
    def earlier(self) -> Mapping[int, Mapping[str, float]]:
        """What attempts that came to nothing had reported, by step; an objective that goes on from there saves the work."""
        ...

    @property
    def workdir(self) -> Path:
        """A folder of this attempt's own."""
        ...

    @property
    def told(self) -> str | None:
        """Why the trial has been told to end; None while it may go on. For those who wait on something, and cannot report."""
        ...

    @property
    def restored(self) -> Path | None:
        """The checkpoint to go on from, as the file or folder it was: that of an earlier attempt at this trial, else the one
        of the trial that this one continues. None: start from the beginning.
        """
        ...

    @property
    def restored_step(self) -> int | None:
        """The step that `restored` is as of; None where there is nothing to go on from, or nothing had been reported."""
        ...

    def checkpoint(
        self, path: str | os.PathLike[str], *, step: int | None = None, move: bool = False
    ) -> None:
        """Hand over a file or folder from which the training can go on, as of `step`, by default that of the latest report.

        It is copied, or with `move` moved, completely or not at all: killed at any moment, the one before is still the
        last. Raises ObjectiveError where it is not there, or the disk is full.
        """
        ...

    def save(self, name: str, path: str | os.PathLike[str], *, move: bool = False) -> None:
        """Keep a file or folder with the trial, under `name`; a copy, or with `move` the thing itself."""
        ...

    def report(self, step: int, metrics: Mapping[str, float] | None = None, /, **more: float) -> None:
        """Say how it is going. Never waits; raises Stop (let it pass) when the trial has been told to end."""
        ...


Task = Callable[[Context], Any]
"""Runs one trial. Returns its metrics: a mapping of names to numbers, or one number for the objective."""
