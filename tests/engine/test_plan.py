"""Every decision of the engine, as data in and data out."""

from dataclasses import replace

import pytest

from luthier.engine.plan import End, Situation, broken, decide
from luthier.study import Budget, Objective, State, Trial

QUIET = Situation(
    budget=Budget(trials=10),
    objective=Objective("loss", "min"),
    total=0,
    ended=0,
    failed=0,
    waiting=0,
    running=0,
    slots=4,
    seconds=0.0,
)


def completed(loss: float) -> Trial:
    return Trial(3, {}, State.COMPLETED, metrics={"loss": loss})


def test_it_fills_free_slots_with_waiting_trials_before_new_ones() -> None:
    plan = decide(replace(QUIET, total=5, ended=2, waiting=1, running=1))
    assert (plan.claim, plan.propose, plan.end) == (1, 2, None)


@pytest.mark.parametrize("total", range(7, 11))
def test_it_never_proposes_past_the_budget(total: int) -> None:
    plan = decide(replace(QUIET, total=total, ended=6, running=0))
    assert plan.propose == min(4, 10 - total)


def test_it_proposes_no_more_than_there_are_slots() -> None:
    assert decide(replace(QUIET, budget=Budget(seconds=5))).propose == 4


def test_where_thinking_takes_long_one_trial_is_thought_of_while_all_workers_are_busy() -> None:
    busy = replace(QUIET, total=6, ended=2, running=4, slow=True)
    assert (decide(busy).propose, decide(busy).ahead) == (1, True)
    assert decide(replace(busy, slow=False)).propose == 0
    assert decide(replace(busy, waiting=1, total=7)).propose == 0
    assert decide(replace(busy, total=10, ended=6)).propose == 0, "never past the budget"
    assert decide(replace(busy, batch=4)).propose == 0
    assert decide(replace(busy, slots=1, running=1)).propose == 0
    free = decide(replace(busy, running=3, waiting=1, total=7))
    assert (free.claim, free.propose, free.ahead) == (1, 0, False)


def test_a_batch_is_proposed_whole_and_only_when_the_one_before_has_ended() -> None:
    batch = replace(QUIET, batch=3, slots=2)
    assert decide(batch).propose == 3
    assert decide(replace(batch, total=3, ended=2, running=1)).propose == 0
    assert decide(replace(batch, total=3, ended=3)).propose == 3
    assert decide(replace(batch, total=9, ended=9)).propose == 1


def test_it_ends_when_all_trials_of_the_budget_have_ended_and_not_before() -> None:
    assert decide(replace(QUIET, total=10, ended=9, running=1)).end is None
    end = decide(replace(QUIET, total=10, ended=10)).end
    assert end == End("complete", "10 of 10 trials are done")


@pytest.mark.parametrize(
    ("goal", "value", "target", "reached"),
    [("min", 0.1, 0.2, True), ("min", 0.2, 0.2, True), ("min", 0.3, 0.2, False), ("max", 0.3, 0.2, True)],
)
def test_a_target_ends_the_study_in_the_direction_of_the_objective(
    goal: str, value: float, target: float, reached: bool
) -> None:
    objective = Objective("loss", "min" if goal == "min" else "max")
    end = decide(replace(QUIET, objective=objective, budget=Budget(target=target), best=completed(value))).end
    assert (end is not None) is reached


@pytest.mark.parametrize(
    ("change", "word", "abrupt"),
    [
        ({"budget": Budget(failures=2), "failed": 2}, "complete", True),
        ({"budget": Budget(seconds=5), "seconds": 5.0}, "complete", True),
        ({"exhausted": True, "total": 3, "ended": 3}, "exhausted", False),
        ({"stop": "enough"}, "stopped", True),
        ({"stop": "paused"}, "stopped", False),
        ({"interrupted": True}, "interrupted", False),
        ({"broken": "all failed"}, "failed", True),
    ],
)
def test_every_way_to_end_has_its_word(change: dict[str, object], word: str, abrupt: bool) -> None:
    end = decide(replace(QUIET, **change)).end  # type: ignore[arg-type]
    assert end is not None
    assert (end.word, end.abrupt) == (word, abrupt)
    assert end.answered is (word in ("complete", "exhausted"))


def test_an_exhausted_space_waits_for_its_last_trials() -> None:
    plan = decide(replace(QUIET, exhausted=True, total=3, ended=2, running=1))
    assert (plan.end, plan.propose) == (None, 0)


def failed(number: int, error: str, line: int | None = None) -> Trial:
    traceback = None if line is None else f'  File "train.py", line {line}, in train\n{error}'
    return Trial(number, {}, State.FAILED, reason=error, traceback=traceback)


def test_failures_at_one_line_are_the_same_failure_whatever_they_say() -> None:
    same = [failed(i, f"ValueError: x is {i}", line=41) for i in range(5)]
    assert "first 5 trials failed in the same way" in (broken(same, 5) or "")
    assert broken(same[:4], 5) is None
    assert broken([*same[:4], failed(4, "ValueError: x is 4", line=50)], 5) is None


def test_failures_without_a_traceback_are_told_apart_by_what_they_say() -> None:
    assert broken([failed(i, "worker died") for i in range(5)], 5) is not None
    assert broken([failed(i, f"ran out of {i}") for i in range(5)], 5) is None
