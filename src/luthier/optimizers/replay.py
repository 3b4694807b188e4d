"""Replay: one training by a schedule that is known, stretch by stretch from checkpoint to checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from luthier.errors import InvalidParams, InvalidStudy
from luthier.optimizers.base import Optimizer
from luthier.optimizers.population import resuming
from luthier.study import Problem, Proposal, State, Trial
from luthier.study.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Replay:
    """Trains once by a schedule, as the winner of another study was: `Replay(study.schedule())`, or what its `to_json` gives.

    Each stretch is a trial that goes on from the checkpoint of the one before. The study is exhausted when the last one ended, or
    when one failed.
    """

    schedule: Schedule | Sequence[Mapping[str, Any]] = field(hash=False)
    pauses: ClassVar[bool] = True

    def __post_init__(self) -> None:
        given = self.schedule
        schedule = given if isinstance(given, Schedule) else Schedule.from_json(given)
        object.__setattr__(self, "schedule", schedule.to_json())

    def total(self, problem: Problem) -> int:
        """How many trials it takes: one for each stretch."""
        return len(self.schedule)

    def start(self, problem: Problem) -> Optimizer:
        """An optimiser for a problem whose fidelity resumes and ends with the schedule; raises InvalidStudy for others, and where the
        parameters of a stretch are not in the space.
        """
        fidelity = resuming(problem, "replay")
        schedule = Schedule.from_json(self.schedule)
        if schedule.end != fidelity.high:
            raise InvalidStudy(
                f"the schedule ends at {schedule.end:g}, and a full training at {fidelity.high:g} {fidelity.name}. "
                f"Say Fidelity({fidelity.name!r}, {fidelity.low:g}, {schedule.end:g}, resumes=True)."
            )
        for stretch in schedule:
            try:
                problem.space.check(stretch.params)
            except InvalidParams as error:
                raise InvalidStudy(
                    f"the schedule cannot be replayed from {stretch.start:g} to {stretch.end:g}: {error} "
                    "Use the space of the study that it comes from."
                ) from None
        return _Replay(schedule)


class _Replay:
    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._trained: dict[int, int] = {}  # stretch -> the trial that it was
        self._over = False

    def tell(self, finished: Sequence[Trial]) -> None:
        for trial in finished:
            stretch = trial.tag.get("stretch")
            if isinstance(stretch, int):
                self._trained[stretch] = trial.number
                self._over |= trial.state is not State.COMPLETED

    def ask(self, pending: Sequence[Trial], rng: np.random.Generator) -> Proposal | None:
        place = len(self._trained)
        if self._over or place >= len(self._schedule) or any("stretch" in trial.tag for trial in pending):
            return None
        stretch = self._schedule[place]
        return Proposal(
            stretch.params,
            fidelity=stretch.end,
            parent=self._trained.get(place - 1),
            tag={"by": "replay", "stretch": place, "of": stretch.trial, "why": "the schedule"},
        )
