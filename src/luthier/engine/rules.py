"""Rules: how whoever works on a study deals with trouble."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rules:
    """Settings for leases, attempts and ends.

    `lease` seconds after its engine's last sign of life a trial is given to another; `attempts` is how often a trial is
    started before it counts as failed; `grace` seconds are left to running trials after an interrupt; `same_failures`
    trials failing alike from the start end the study.
    """

    lease: float = 60.0
    attempts: int = 3
    grace: float = 10.0
    same_failures: int = 5
