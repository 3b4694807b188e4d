"""Failed trials once more, with the same parameters."""

from __future__ import annotations

from dataclasses import replace

from starlette.exceptions import HTTPException

from luthier.studio.looking import Shelf, Shown
from luthier.studio.views import failure_groups
from luthier.studio.words import say
from luthier.study import Proposal
from luthier.summary import is_at_work

MOST = 1_000


def why_not(shown: Shown) -> str | None:
    """Why trials cannot be put in by hand, where they cannot."""
    if shown.spec.batch is not None:
        return say("retry.batch")
    if shown.spec.problem.fidelity is not None:
        return say("retry.fidelity")
    return None


def retry(shelf: Shelf, shown: Shown, first: int) -> str:
    """Put the parameters of all trials of a group of failures in again, that of which `first` is the first, and make room for them in the
    budget; the key of what to say then.
    """
    if problem := why_not(shown):
        raise HTTPException(422, problem)
    numbers = next((group.numbers for group in failure_groups(shown)[0] if group.numbers[0] == first), ())
    if not numbers:
        raise HTTPException(422, say("retry.gone", number=first))
    again = [
        Proposal(trial.params, tag={"by": "retry", "of": trial.number})
        for trial in shown.trials(numbers[-MOST:])
    ]
    with shelf.writing() as store:
        store.propose(shown.name, again)
        budget = store.spec(shown.name).budget
        if budget.trials is not None:
            store.set_budget(shown.name, replace(budget, trials=budget.trials + len(again)))
    return "retried" if is_at_work(shown.row, shelf.clock.now()) else "retried.idle"
