"""Schedule: with which parameters a training was led from its beginning to where a trial ended."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from luthier.errors import InvalidStudy
from luthier.space import Params
from luthier.study.trial import Trial


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a training, from `start` to `end` in units of the fidelity, and the trial that it was, if it is known."""

    start: float
    end: float
    params: Params
    trial: int | None = None


@dataclass(frozen=True, slots=True)
class Schedule(Sequence[Stretch]):
    """The stretches of a training in their order, each from where the one before ended: `study.schedule()`.

    `Replay(schedule)` trains by it again, `params_at(step)` says which parameters a step belongs to.
    """

    stretches: tuple[Stretch, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "stretches", tuple(self.stretches))
        if not self.stretches:
            raise InvalidStudy("the schedule is empty. It needs one stretch or more, the first from 0.")
        at = 0.0
        for stretch in self.stretches:
            if stretch.start != at or not stretch.end > stretch.start:
                raise InvalidStudy(
                    f"the schedule has a stretch from {stretch.start:g} to {stretch.end:g} where one from {at:g} on is due. "
                    "Let each begin where the one before ends, and the first at 0."
                )
            at = stretch.end

    @property
    def end(self) -> float:
        """How far the training goes."""
        return self.stretches[-1].end

    def params_at(self, step: float) -> Params:
        """The parameters with which the training gets to `step`: those of the stretch (start, end] that it is in."""
        return next((s.params for s in self.stretches if step <= s.end), self.stretches[-1].params)

    def to_json(self) -> list[dict[str, Any]]:
        """As a list of {"from", "to", "params", "trial"}."""
        return [{"from": s.start, "to": s.end, "params": dict(s.params), "trial": s.trial} for s in self]

    @classmethod
    def from_json(cls, given: Any) -> Schedule:
        """From what `to_json` gives; raises InvalidStudy for anything else."""
        if not isinstance(given, Sequence) or isinstance(given, str):
            raise InvalidStudy(
                f"the schedule is {given!r}. Use a list of stretches, as `luthier schedule NAME --json` prints them."
            )
        return cls(tuple(_stretch(entry) for entry in given))

    def to_csv(self) -> str:
        """As a table with the columns from, to, trial and one for each parameter; empty where a parameter does not exist."""
        names = list(dict.fromkeys(name for stretch in self for name in stretch.params))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["from", "to", "trial", *names])
        for s in self:
            writer.writerow([s.start, s.end, s.trial, *(s.params.get(name) for name in names)])
        return text.getvalue()

    def __len__(self) -> int:
        return len(self.stretches)

    def __iter__(self) -> Iterator[Stretch]:
        return iter(self.stretches)

    @overload
    def __getitem__(self, index: int) -> Stretch: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Stretch, ...]: ...
    def __getitem__(self, index: int | slice) -> Stretch | tuple[Stretch, ...]:
        return self.stretches[index]


def _stretch(entry: Any) -> Stretch:
    match entry:
        case {"from": int() | float() as start, "to": int() | float() as end, "params": Mapping() as params}:
            return Stretch(start, end, dict(params), entry.get("trial"))
        case _:
            raise InvalidStudy(
                f'the schedule has the stretch {entry!r}. Write {{"from": 0, "to": 10, "params": {{"lr": 0.1}}}}.'
            )


def _short(amount: float) -> float:
    """A whole number as such."""
    return int(amount) if float(amount).is_integer() else amount


def schedule_of(trials: Sequence[Trial], number: int, full: float) -> Schedule:
    """What led to trial `number`, by its parents; `full` is how far a trial without a fidelity of its own went.

    A trial that was trained in one go is a schedule of one stretch.
    """
    found: list[Stretch] = []
    at: int | None = number
    while at is not None:
        trial = trials[at]
        end = _short(full if trial.fidelity is None else trial.fidelity)
        if found:
            found[0] = Stretch(end, found[0].end, found[0].params, found[0].trial)
        found.insert(0, Stretch(0, end, dict(trial.params), at))
        at = trial.parent
    return Schedule(tuple(found))
