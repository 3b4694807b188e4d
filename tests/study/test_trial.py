from dataclasses import replace

import pytest

from luthier.study import Completed, Failed, Lost, Outcome, State, Stopped, Trial

RUNNING = Trial(3, {"x": 1}, State.RUNNING, attempt=1, started=10.0)
OUTCOMES: list[tuple[Outcome, State]] = [
    (Completed({"loss": 1.0}), State.COMPLETED),
    (Stopped("slow"), State.STOPPED),
    (Failed("ValueError: no", "Traceback"), State.FAILED),
    (Lost("the worker died"), State.FAILED),
]


@pytest.mark.parametrize(("outcome", "state"), OUTCOMES, ids=repr)
def test_a_running_trial_may_end_in_every_way(outcome: Outcome, state: State) -> None:
    after = RUNNING.after(outcome, attempts=1)
    assert after.state is state
    assert after.state.ended
    assert (after.number, after.params, after.attempt) == (3, {"x": 1}, 1)


@pytest.mark.parametrize("state", [State.COMPLETED, State.STOPPED, State.FAILED])
@pytest.mark.parametrize(("outcome", "_"), OUTCOMES, ids=repr)
def test_nothing_changes_a_trial_that_ended(outcome: Outcome, _: State, state: State) -> None:
    with pytest.raises(ValueError, match=f"trial 3 is {state}"):
        replace(RUNNING, state=state).after(outcome, attempts=5)


def test_a_waiting_trial_can_only_be_stopped() -> None:
    waiting = Trial(3, {"x": 1})
    assert waiting.after(Stopped("not wanted"), 1).state is State.STOPPED
    for outcome in (Completed({}), Failed("no"), Lost("gone")):
        with pytest.raises(ValueError, match="waiting"):
            waiting.after(outcome, 2)


def test_a_lost_trial_waits_again_until_its_last_attempt() -> None:
    lost = RUNNING.after(Lost("the worker died"), attempts=2)
    assert (lost.state, lost.reason) == (State.WAITING, "the worker died")
    last = replace(lost, state=State.RUNNING, attempt=2).after(Lost("the worker died"), attempts=2)
    assert (last.state, last.reason) == (State.FAILED, "the worker died (attempt 2 of 2)")


def test_a_trial_that_completes_at_the_second_attempt_has_no_reason() -> None:
    lost = replace(RUNNING.after(Lost("gone"), 2), state=State.RUNNING, attempt=2)
    assert lost.after(Completed({"loss": 1.0}), 2).reason is None


def test_seconds_are_those_of_the_last_attempt() -> None:
    assert RUNNING.seconds is None
    assert replace(RUNNING, ended=12.5).seconds == 2.5


def test_the_words_of_the_states_are_for_ever() -> None:
    assert [str(state) for state in State] == ["waiting", "running", "completed", "stopped", "failed"]
