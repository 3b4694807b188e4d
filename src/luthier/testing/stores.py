"""What every store promises, as tests. Inherit, and say how yours is made:

    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self, clock):
            store = MyStore(clock=clock)
            yield store
            store.close()

Time is a VirtualClock, so that leases run out when a test says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier, Event
from typing import Any

import pytest

from luthier.clock import VirtualClock
from luthier.errors import SpecMismatch, StudyNotFound, UnknownName
from luthier.space import Choice, Const, Float, Int, Scalar, Space
from luthier.store.base import Store
from luthier.study import (
    Budget,
    Completed,
    Constraint,
    Failed,
    Fidelity,
    Lost,
    Named,
    Objective,
    Outcome,
    Problem,
    Proposal,
    Record,
    Report,
    State,
    Stopped,
    StudySpec,
    Trial,
)

START = 1_700_000_000.0
LEASE = 60.0


def a_spec(name: str = "first", **changes: Any) -> StudySpec:
    """A question to ask."""
    space = Space(x=Float(0.0, 1.0), n=Int(1, 1000), kind=Choice("a", "b"))
    spec = StudySpec(name, Problem(space, (Objective("loss", "min"),)), Named("random"))
    return replace(spec, **changes)


def points(n: int) -> list[Proposal]:
    """`n` different proposals."""
    return [Proposal({"x": i / 7, "n": i + 1, "kind": "a"}) for i in range(n)]


class StoreContract:
    """Override the fixture `store`; every test begins with an empty one."""

    @pytest.fixture
    def clock(self) -> VirtualClock:
        return VirtualClock(START)

    @pytest.fixture
    def store(self, clock: VirtualClock) -> Iterator[Store]:
        pytest.fail("give a fixture `store` that yields an empty store on `clock`")

    @pytest.fixture
    def study(self, store: Store) -> str:
        store.create(a_spec())
        return "first"

    # --- studies --------------------------------------------------------------------------------------------

    def test_a_study_is_read_back_as_it_was_made(self, store: Store) -> None:
        spec = StudySpec(
            "größer 東京",
            Problem(
                Space(
                    lr=Float(1e-5, 1e-1, log=True),
                    layers=Int(1, 6),
                    optimizer=Choice("adam", "sgd", None, True, 1, 1.0),
                    momentum=Float(0.0, 0.99, when={"optimizer": "sgd"}),
                    fixed=Const(math.inf),
                ),
                (Objective("loss", "min"), Objective("score", "max")),
                (Constraint("size", high=10.0),),
                Fidelity("epochs", 1, 81),
            ),
            Named("tpe", {"n_startup": 20}),
            Named("median", {"grace": 5}),
            Budget(trials=10, seconds=2.5, failures=3, target=-math.inf),
            seed=7,
            batch=4,
            start=(Proposal({"lr": 1e-3, "layers": 2, "optimizer": "adam"}, tag={"by": "start"}),),
            about={"data": "sha256:0", "splits": [1, 2]},
        )
        assert store.create(spec) is True
        assert store.spec(spec.name) == spec

    def test_the_same_question_is_the_same_study(self, store: Store) -> None:
        assert store.create(a_spec()) is True
        assert store.create(a_spec()) is False
        assert len(store.studies()) == 1

    def test_the_budget_is_no_part_of_the_question(self, store: Store) -> None:
        store.create(a_spec(budget=Budget(trials=10)))
        assert store.create(a_spec(budget=Budget(trials=20))) is False
        assert store.spec("first").budget == Budget(trials=10)

    def test_another_question_under_the_same_name_is_refused_with_the_difference(self, store: Store) -> None:
        store.create(a_spec())
        other = a_spec(problem=Problem(a_spec().problem.space, (Objective("accuracy", "max"),)))
        with pytest.raises(SpecMismatch, match="minimize loss there, maximize accuracy here") as caught:
            store.create(other)
        assert "first" in str(caught.value)
        assert store.spec("first") == a_spec()

    def test_a_new_budget_replaces_the_old(self, store: Store, study: str) -> None:
        cursor = store.changed(study).cursor
        store.set_budget(study, Budget(trials=7, target=0.5))
        changes = store.changed(study, cursor)
        assert changes.budget == store.spec(study).budget == Budget(trials=7, target=0.5)
        assert changes.cursor > cursor
        assert "budget changed" in events(store, study)

    def test_studies_are_listed_the_latest_first(self, store: Store, clock: VirtualClock) -> None:
        for name in ("a", "c", "b"):
            store.create(a_spec(name))
            clock.sleep(1)
        assert [row.name for row in store.studies()] == ["b", "c", "a"]
        assert [row.created for row in store.studies()] == [START + 2, START + 1, START]

    def test_the_line_of_a_study_counts_its_trials(self, store: Store, study: str) -> None:
        store.create(a_spec("empty"))
        store.propose(study, points(6))
        store.claim(study, "w", 4, LEASE)
        said: list[Outcome] = [Completed({"loss": 1.0}), Stopped("slow"), Failed("oops")]
        store.record(study, [Record(i, 1, outcome) for i, outcome in enumerate(said)])
        counts = dict.fromkeys(State, 1) | {State.WAITING: 2}
        assert store.study(study).counts == counts
        assert store.study("empty").counts == dict.fromkeys(State, 0)
        assert store.studies() == [store.study(row.name) for row in store.studies()]

    def test_what_is_not_there_is_said_so_with_the_nearest_name(self, store: Store, study: str) -> None:
        calls: list[Callable[[str], object]] = [
            store.study,
            store.spec,
            store.facts,
            store.changed,
            store.log,
            store.workers,
            store.delete,
            lambda name: store.propose(name, points(1)),
            lambda name: store.propose(name, points(1), expect=3),
            lambda name: store.claim(name, "w", 1, LEASE),
            lambda name: store.record(name, [Record(0, 1, Stopped("x"))]),
            lambda name: store.renew(name, "w", LEASE),
            lambda name: store.reap(name, attempts=1),
            lambda name: store.begin(name, "w"),
            lambda name: store.end(name, "w", "x"),
            lambda name: store.request_stop(name, None, "x"),
            lambda name: store.request_stop(name, 0, "x"),
            lambda name: store.set_budget(name, Budget()),
            lambda name: store.remember(name, {"a": 1}),
        ]
        for call in calls:
            with pytest.raises(StudyNotFound, match="Did you mean 'first'"):
                call("frist")
        assert [row.name for row in store.studies()] == [study]

    def test_studies_do_not_mix(self, store: Store, study: str) -> None:
        store.create(a_spec("second"))
        store.propose(study, points(3), claim=("w", LEASE))
        store.propose("second", points(1))
        store.remember(study, {"a": 1})
        assert [t.number for t in store.changed("second").trials] == [0]
        assert store.claim("second", "v", 10, LEASE)[0].number == 0
        assert store.workers("second") == ["v"]
        assert store.facts("second") == {}
        assert events(store, "second") == ["created"]
        cursor = store.changed("second").cursor
        store.record(study, [Record(0, 1, Completed({"loss": 1.0}))])
        assert store.changed("second", cursor).cursor == cursor

    def test_a_deleted_study_is_gone_with_all_that_belongs_to_it(self, store: Store, study: str) -> None:
        store.create(a_spec("kept"))
        store.propose("kept", points(1), claim=("w", LEASE))
        store.begin(study, "w")
        store.propose(study, points(2), claim=("w", LEASE))
        store.record(study, [Record(0, 1, Report(1, {"loss": 1.0}))])
        store.remember(study, {"a": 1})
        store.delete(study)
        with pytest.raises(StudyNotFound):
            store.study(study)
        assert len(store.changed("kept").trials) == 1
        assert store.create(a_spec()) is True
        assert (store.facts(study), store.workers(study), events(store, study)) == ({}, [], ["created"])
        (trial,) = store.propose(study, points(1), expect=0)
        assert trial.number == 0
        assert store.changed(study).trials == [trial]

    # --- proposing ------------------------------------------------------------------------------------------

    def test_trials_are_numbered_on_and_read_back_as_proposed(
        self, store: Store, study: str, clock: VirtualClock
    ) -> None:
        params = {
            "f": 0.1, "whole": 1.0, "i": 2**70, "t": True, "none": None, "text": "größer 'x' \0 \ud800", "inf": -math.inf,
        }  # fmt: skip
        first = store.propose(study, [Proposal(params), Proposal({})], seen=3)
        clock.sleep(5)
        tag: dict[str, Scalar] = {"rung": 1, "id": "é", "score": math.inf}
        second = store.propose(study, [Proposal({"x": 0.5}, fidelity=9.0, parent=1, tag=tag)])
        assert [t.number for t in (*first, *second)] == [0, 1, 2]
        assert store.changed(study).trials == [*first, *second]
        read = store.changed(study).trials
        assert {name: type(value) for name, value in read[0].params.items()} == {
            name: type(value) for name, value in params.items()
        }
        assert read[0] == Trial(0, params, seen=3, created=START)
        assert read[2] == Trial(2, {"x": 0.5}, fidelity=9.0, parent=1, tag=tag, created=START + 5)

    def test_nan_in_params_and_tags_stays_nan(self, store: Store, study: str) -> None:
        store.propose(study, [Proposal({"x": math.nan}, tag={"y": math.nan})])
        (trial,) = store.changed(study).trials
        assert is_nan(trial.params["x"])
        assert is_nan(trial.tag["y"])

    def test_no_proposals_are_no_trials(self, store: Store, study: str) -> None:
        assert store.propose(study, []) == []
        assert store.changed(study).trials == []

    def test_of_two_proposers_who_saw_the_same_one_is_sent_back(self, store: Store, study: str) -> None:
        assert len(store.propose(study, points(2), expect=0)) == 2
        cursor = store.changed(study).cursor
        assert store.propose(study, points(3), expect=0) == []
        assert store.propose(study, points(3), expect=3) == []
        assert store.changed(study, cursor).trials == []
        assert [t.number for t in store.propose(study, points(1), expect=2)] == [2]

    def test_proposed_and_claimed_at_once(self, store: Store, study: str, clock: VirtualClock) -> None:
        trials = store.propose(study, points(2), claim=("me", LEASE))
        assert store.changed(study).trials == trials
        for trial in trials:
            assert (trial.state, trial.attempt, trial.worker) == (State.RUNNING, 1, "me")
            assert trial.created == trial.started == START
        assert store.claim(study, "you", 5, LEASE) == []
        clock.sleep(LEASE + 1)
        assert store.reap(study, attempts=2) == 2

    # --- claiming -------------------------------------------------------------------------------------------

    def test_the_lowest_numbers_are_claimed_first(
        self, store: Store, study: str, clock: VirtualClock
    ) -> None:
        store.propose(study, points(5))
        clock.sleep(2)
        first = store.claim(study, "a", 2, LEASE)
        assert [t.number for t in first] == [0, 1]
        assert [t.number for t in store.claim(study, "b", 10, LEASE)] == [2, 3, 4]
        assert store.claim(study, "b", 10, LEASE) == []
        assert store.claim(study, "b", 0, LEASE) == []
        assert (first[0].state, first[0].attempt, first[0].worker) == (State.RUNNING, 1, "a")
        assert (first[0].created, first[0].started) == (START, START + 2)
        assert store.workers(study) == ["a", "b"]
        assert by_number(store, study)[0] == first[0]

    def test_claiming_nothing_changes_nothing(self, store: Store, study: str) -> None:
        cursor = store.changed(study).cursor
        assert store.claim(study, "a", 2, LEASE) == []
        assert store.changed(study, cursor).cursor == cursor

    def test_eight_threads_claim_every_trial_exactly_once(self, store: Store, study: str) -> None:
        store.propose(study, points(120))

        def claim_all(worker: int) -> list[int]:
            mine: list[int] = []
            while trials := store.claim(study, f"w{worker}", 3, LEASE):
                mine += [t.number for t in trials]
                store.record(study, [Record(t.number, 1, Completed({"loss": 1.0})) for t in trials])
            return mine

        with ThreadPoolExecutor(8) as pool:
            claimed = [number for mine in pool.map(claim_all, range(8)) for number in mine]
        assert sorted(claimed) == list(range(120))
        assert store.study(study).counts[State.COMPLETED] == 120

    def test_eight_threads_that_propose_leave_no_gap_and_no_double(self, store: Store, study: str) -> None:
        start = Barrier(8)

        def propose(_: int) -> list[int]:
            start.wait()
            return [t.number for _ in range(10) for t in store.propose(study, points(2))]

        def propose_fenced(_: int) -> int:
            start.wait()
            return len(store.propose(study, points(1), expect=160))

        with ThreadPoolExecutor(8) as pool:
            numbers = [number for mine in pool.map(propose, range(8)) for number in mine]
            assert sum(pool.map(propose_fenced, range(8))) == 1
        assert sorted(numbers) == list(range(160))
        assert len(store.changed(study).trials) == 161

    # --- recording ------------------------------------------------------------------------------------------

    def test_a_completed_trial_keeps_its_metrics_reports_and_times(
        self, store: Store, study: str, clock: VirtualClock
    ) -> None:
        store.propose(study, points(1), claim=("w", LEASE))
        clock.sleep(3)
        said = (
            Report(2, {"loss": 0.5}),
            Report(1, {"loss": 0.7, "ö": 1.0}),
            Completed({"loss": 0.1, "size": 3.0}),
        )
        store.record(study, [Record(0, 1, word) for word in said])
        trial = by_number(store, study)[0]
        assert trial.state is State.COMPLETED
        assert trial.metrics == {"loss": 0.1, "size": 3.0}
        assert trial.reports == (Report(1, {"loss": 0.7, "ö": 1.0}), Report(2, {"loss": 0.5}))
        assert (trial.started, trial.ended, trial.seconds) == (START, START + 3, 3.0)
        assert (trial.worker, trial.stop, trial.reason, trial.traceback) == (None, None, None, None)
        assert store.workers(study) == []

    def test_nan_and_infinities_are_kept_as_they_are(self, store: Store, study: str) -> None:
        store.propose(study, points(1), claim=("w", LEASE))
        odd = {"nan": math.nan, "inf": math.inf, "low": -math.inf, "tiny": 5e-324, "third": 1 / 3}
        store.record(study, [Record(0, 1, Report(-(2**40), odd)), Record(0, 1, Completed(odd))])
        trial = by_number(store, study)[0]
        assert trial.reports[0].step == -(2**40)
        for read in (trial.metrics, trial.reports[0].metrics):
            assert is_nan(read["nan"])
            assert {name: repr(float(value)) for name, value in read.items()} == {
                name: repr(value) for name, value in odd.items()
            }

    def test_a_failed_trial_keeps_its_error_and_traceback(self, store: Store, study: str) -> None:
        store.propose(study, points(2), claim=("w", LEASE))
        store.record(study, [Record(0, 1, Failed("ValueError: ö", "Traceback ...\n  ö"))])
        odd = "file \udcff and \0 zero"
        store.record(study, [Record(1, 1, Failed(odd, odd))])
        first, second = by_number(store, study)
        assert (first.state, first.reason, first.traceback) == (
            State.FAILED,
            "ValueError: ö",
            "Traceback ...\n  ö",
        )
        assert second.reason is not None
        assert second.reason.startswith("file ")
        assert "failed" in events(store, study)

    def test_a_stopped_trial_keeps_its_reason_and_reports(self, store: Store, study: str) -> None:
        store.propose(study, points(1), claim=("w", LEASE))
        store.record(
            study, [Record(0, 1, Report(1, {"loss": 2.0})), Record(0, 1, Stopped("worse than the median"))]
        )
        (trial,) = by_number(store, study)
        assert (trial.state, trial.reason, trial.worker) == (State.STOPPED, "worse than the median", None)
        assert trial.reports == (Report(1, {"loss": 2.0}),)
        assert trial.metrics == {}

    def test_a_report_stamps_its_trial_and_no_other(self, store: Store, study: str) -> None:
        store.propose(study, points(3), claim=("w", LEASE))
        cursor = store.changed(study).cursor
        store.record(study, [Record(1, 1, Report(1, {"loss": 2.0}))])
        changes = store.changed(study, cursor)
        assert [t.number for t in changes.trials] == [1]
        assert changes.trials[0].state is State.RUNNING
        assert changes.trials[0].reports == (Report(1, {"loss": 2.0}),)

    def test_a_step_reported_again_has_the_later_value(self, store: Store, study: str) -> None:
        store.propose(study, points(1), claim=("w", LEASE))
        store.record(
            study, [Record(0, 1, Report(1, {"a": 1.0, "b": 1.0})), Record(0, 1, Report(1, {"a": 2.0}))]
        )
        store.record(study, [Record(0, 1, Report(2, {"a": 3.0})), Record(0, 1, Lost("gone"))], attempts=2)
        store.claim(study, "v", 1, LEASE)
        store.record(study, [Record(0, 2, Report(2, {"a": math.inf}))])
        (trial,) = by_number(store, study)
        assert trial.reports == (Report(1, {"a": 2.0, "b": 1.0}), Report(2, {"a": math.inf}))

    def test_words_of_an_attempt_that_lost_its_trial_change_nothing(self, store: Store, study: str) -> None:
        store.propose(study, points(1), claim=("a", LEASE))
        store.reap(study, attempts=3, gone=["a"])
        store.claim(study, "b", 1, LEASE)
        before = by_number(store, study)
        late = [Record(0, 1, Report(1, {"loss": 9.0})), Record(0, 1, Completed({"loss": 9.0}))]
        store.record(
            study, [*late, Record(0, 3, Failed("from the future")), Record(5, 1, Stopped("no such trial"))]
        )
        assert by_number(store, study) == before
        assert events(store, study).count("late") == 4
        store.record(study, [Record(0, 2, Completed({"loss": 1.0}))])
        store.record(study, [Record(0, 2, Completed({"loss": 2.0})), Record(0, 2, Lost("x"))], attempts=9)
        assert by_number(store, study)[0].metrics == {"loss": 1.0}
        assert events(store, study).count("late") == 6

    def test_what_follows_an_outcome_in_one_batch_is_late(self, store: Store, study: str) -> None:
        store.propose(study, points(1), claim=("a", LEASE))
        after = [Record(0, 1, Report(1, {"loss": 9.0})), Record(0, 1, Failed("no"))]
        store.record(study, [Record(0, 1, Completed({"loss": 1.0})), *after])
        (trial,) = by_number(store, study)
        assert (trial.state, trial.metrics, trial.reports) == (State.COMPLETED, {"loss": 1.0}, ())
        assert events(store, study).count("late") == 2

    def test_a_waiting_trial_takes_no_words(self, store: Store, study: str) -> None:
        store.propose(study, points(1))
        store.record(study, [Record(0, 0, Completed({"loss": 1.0})), Record(0, 1, Completed({"loss": 1.0}))])
        assert by_number(store, study)[0].state is State.WAITING

    def test_a_lost_trial_waits_again_until_its_last_attempt(self, store: Store, study: str) -> None:
        store.propose(study, points(1), claim=("a", LEASE))
        store.record(study, [Record(0, 1, Lost("the worker died"))], attempts=2)
        (trial,) = by_number(store, study)
        assert (trial.state, trial.attempt, trial.worker) == (State.WAITING, 1, None)
        assert (trial.reason, trial.ended) == ("the worker died", None)
        (again,) = store.claim(study, "b", 1, LEASE)
        assert (again.attempt, again.worker) == (2, "b")
        store.record(study, [Record(0, 2, Lost("the worker died"))], attempts=2)
        (trial,) = by_number(store, study)
        assert (trial.state, trial.reason) == (State.FAILED, "the worker died (attempt 2 of 2)")
        assert events(store, study) == ["created", "lost", "claimed", "failed"]

    def test_a_lost_trial_that_completes_has_no_reason(self, store: Store, study: str) -> None:
        store.propose(study, points(1), claim=("a", LEASE))
        store.record(study, [Record(0, 1, Lost("the worker died"))], attempts=2)
        store.claim(study, "b", 1, LEASE)
        store.record(study, [Record(0, 2, Completed({"loss": 1.0}))])
        assert by_number(store, study)[0].reason is None

    def test_no_records_are_no_change(self, store: Store, study: str) -> None:
        cursor = store.changed(study).cursor
        store.record(study, [])
        assert store.changed(study, cursor).cursor == cursor

    def test_many_trials_are_recorded_at_once(self, store: Store, study: str) -> None:
        store.propose(study, points(50), claim=("w", LEASE))
        words = [
            Record(i, 1, word)
            for i in range(50)
            for word in (Report(1, {"l": i / 3}), Completed({"loss": i / 7}))
        ]
        store.record(study, words)
        trials = by_number(store, study)
        assert [t.metrics["loss"] for t in trials] == [i / 7 for i in range(50)]
        assert [t.reports for t in trials] == [(Report(1, {"l": i / 3}),) for i in range(50)]

    # --- the cursor -----------------------------------------------------------------------------------------

    def test_nothing_new_is_nothing(self, store: Store, study: str) -> None:
        store.propose(study, points(2))
        changes = store.changed(study)
        again = store.changed(study, changes.cursor)
        assert (again.trials, again.cursor) == ([], changes.cursor)

    def test_changes_come_in_the_order_of_the_last_change(self, store: Store, study: str) -> None:
        store.propose(study, points(4), claim=("w", LEASE))
        store.record(study, [Record(2, 1, Completed({"loss": 1.0}))])
        store.record(study, [Record(1, 1, Completed({"loss": 1.0})), Record(0, 1, Completed({"loss": 1.0}))])
        assert [t.number for t in store.changed(study).trials] == [3, 2, 0, 1]

    def test_every_verb_that_writes_moves_the_study_on(self, store: Store, study: str) -> None:
        verbs: list[Callable[[], object]] = [
            lambda: store.begin(study, "w"),
            lambda: store.set_budget(study, Budget(trials=3)),
            lambda: store.remember(study, {"a": 1}),
            lambda: store.propose(study, points(3)),
            lambda: store.claim(study, "w", 2, LEASE),
            lambda: store.record(study, [Record(0, 1, Completed({"loss": 1.0}))]),
            lambda: store.renew(study, "w", LEASE),
            lambda: store.request_stop(study, 1, "enough"),
            lambda: store.reap(study, attempts=1, gone=["w"]),
            lambda: store.request_stop(study, None, "enough"),
            lambda: store.end(study, "w", "enough"),
        ]
        for verb in verbs:
            before = store.changed(study).cursor
            verb()
            assert store.changed(study, before).cursor == before + 1 == store.study(study).seq

    def test_trials_are_read_by_number_whole_and_in_the_order_asked_for(
        self, store: Store, study: str
    ) -> None:
        store.propose(study, points(120), claim=("w", LEASE))
        store.record(
            study, [Record(70, 1, Report(0, {"loss": 0.5})), Record(70, 1, Completed({"loss": 0.5}))]
        )
        every = {trial.number: trial for trial in store.changed(study).trials}
        asked = [70, 3, *range(119, 20, -1)]
        assert store.trials(study, asked) == [every[number] for number in asked]
        assert store.trials(study, [500, 3]) == [every[3]]
        assert store.trials(study, []) == []

    def test_in_brief_there_is_what_changed_by_number(self, store: Store, study: str) -> None:
        store.propose(study, points(5), claim=("w", LEASE))
        cursor = store.changed(study).cursor
        store.record(study, [Record(3, 1, Completed({"loss": math.nan})), Record(1, 1, Failed("no"))])
        whole = {trial.number: trial for trial in store.changed(study).trials}
        brief = store.brief(study)
        assert [b.number for b in brief] == [0, 1, 2, 3, 4]
        for b in brief:
            trial = whole[b.number]
            assert (b.seq, b.state, b.started, b.ended) == (
                trial.seq,
                trial.state,
                trial.started,
                trial.ended,
            )
        assert math.isnan(brief[3].metrics["loss"])
        assert [b.number for b in store.brief(study, cursor)] == [1, 3]
        assert [b.number for b in store.brief(study, low=2, high=4)] == [2, 3]
        assert [b.number for b in store.brief(study, cursor, 2)] == [3]

    def test_parameters_of_many_are_read_by_number(self, store: Store, study: str) -> None:
        made = store.propose(study, [*points(4), Proposal({"x": math.inf}), Proposal({"x": 0.5})])
        every = [trial.params for trial in made]
        assert store.params(study) == every
        assert store.params(study, 2, 5) == every[2:5]
        assert store.params(study, 5) == every[5:]
        assert store.params(study, 6, 9) == []
        with pytest.raises(StudyNotFound):
            store.params("nowhere")

    def test_cursors_are_those_of_every_study(self, store: Store, study: str) -> None:
        store.create(a_spec("second"))
        before = store.cursors()
        store.propose("second", points(1))
        after = store.cursors()
        assert after == {name: store.changed(name).cursor for name in (study, "second")}
        assert [name for name in after if after[name] != before[name]] == ["second"]

    def test_a_reader_beside_busy_writers_misses_nothing(self, store: Store, study: str) -> None:
        finished = Event()

        def write(worker: str) -> None:
            for _ in range(15):
                trials = store.propose(study, points(2), claim=(worker, LEASE))
                store.record(study, [Record(t.number, 1, Report(1, {"loss": 1.0})) for t in trials])
                store.record(study, [Record(t.number, 1, Completed({"loss": t.number})) for t in trials])

        def read() -> dict[int, Trial]:
            seen: dict[int, Trial] = {}
            cursor, last = 0, False
            while True:
                changes = store.changed(study, cursor)
                assert changes.cursor >= cursor
                cursor = changes.cursor
                for trial in changes.trials:
                    assert trial.number not in seen or not seen[trial.number].state.ended
                    if trial.state is State.COMPLETED:
                        assert trial.reports == (Report(1, {"loss": 1.0}),)
                    seen[trial.number] = trial
                if last:
                    return seen
                last = finished.is_set()

        with ThreadPoolExecutor(6) as pool:
            readers = [pool.submit(read) for _ in range(2)]
            try:
                list(pool.map(write, ["a", "b", "c", "d"]))
            finally:
                finished.set()
            for reader in readers:
                seen = reader.result()
                assert sorted(seen) == list(range(120))
                assert [seen[i].metrics for i in range(120)] == [{"loss": i} for i in range(120)]

    # --- leases and time ------------------------------------------------------------------------------------

    def test_a_lease_that_ran_out_is_given_to_the_next(
        self, store: Store, study: str, clock: VirtualClock
    ) -> None:
        store.propose(study, points(2))
        store.claim(study, "dead", 1, 10.0)
        store.claim(study, "alive", 1, 100.0)
        clock.sleep(10)
        cursor = store.changed(study).cursor
        assert store.reap(study, attempts=2) == 0
        assert store.changed(study, cursor).cursor == cursor
        clock.sleep(0.5)
        assert store.reap(study, attempts=2) == 1
        first, second = by_number(store, study)
        assert (first.state, first.worker, first.attempt) == (State.WAITING, None, 1)
        assert "dead" in (first.reason or "")
        assert second.state is State.RUNNING
        (trial,) = store.claim(study, "alive", 1, 10.0)
        assert (trial.number, trial.attempt) == (0, 2)
        clock.sleep(11)
        assert store.reap(study, attempts=2) == 1
        first = by_number(store, study)[0]
        assert (first.state, first.ended) == (State.FAILED, clock.now())
        assert "attempt 2 of 2" in (first.reason or "")
        assert events(store, study) == ["created", "lost", "claimed", "failed"]

    def test_a_renewed_lease_holds_on(self, store: Store, study: str, clock: VirtualClock) -> None:
        store.propose(study, points(2))
        store.claim(study, "a", 1, 10.0)
        store.claim(study, "b", 1, 10.0)
        clock.sleep(9)
        store.renew(study, "a", 10.0)
        clock.sleep(9)
        assert store.reap(study, attempts=2) == 1
        assert store.workers(study) == ["a"]

    def test_who_is_gone_loses_its_trials_at_once(self, store: Store, study: str) -> None:
        store.propose(study, points(3))
        for worker in ("a", "b", "c"):
            store.claim(study, worker, 1, LEASE)
        assert store.reap(study, attempts=2, gone=iter(["a", "c", "stranger"])) == 2
        assert store.workers(study) == ["b"]
        assert [t.state for t in by_number(store, study)] == [State.WAITING, State.RUNNING, State.WAITING]

    def test_a_lost_trial_that_was_asked_to_stop_is_stopped(self, store: Store, study: str) -> None:
        store.propose(study, points(3), claim=("w", LEASE))
        for number in range(3):
            store.request_stop(study, number, "enough")
        store.record(study, [Record(0, 1, Lost("x"))], attempts=5)
        store.reap(study, attempts=5, gone=["w"])
        assert [(t.state, t.reason) for t in by_number(store, study)] == [(State.STOPPED, "enough")] * 3
        assert store.claim(study, "v", 5, LEASE) == []

    def test_seconds_are_counted_while_an_engine_works(
        self, store: Store, study: str, clock: VirtualClock
    ) -> None:
        clock.sleep(100)
        store.begin(study, "a")
        clock.sleep(5)
        store.renew(study, "a", LEASE)
        clock.sleep(2)
        store.renew(study, "a", LEASE)
        assert store.study(study).seconds == store.changed(study).seconds == 7.0
        assert store.study(study).active == clock.now()
        clock.sleep(1)
        store.end(study, "a", "done")
        assert store.study(study).seconds == 8.0
        clock.sleep(1000)
        store.begin(study, "b")
        clock.sleep(1)
        store.renew(study, "b", LEASE)
        assert store.study(study).seconds == 9.0

    def test_seconds_of_two_engines_at_once_are_counted_once(
        self, store: Store, study: str, clock: VirtualClock
    ) -> None:
        store.begin(study, "a")
        clock.sleep(2)
        store.begin(study, "b")
        for worker in ("a", "b", "a", "b"):
            clock.sleep(1)
            store.renew(study, worker, LEASE)
        assert store.study(study).seconds == 6.0

    # --- beginning, stopping, ending ------------------------------------------------------------------------

    def test_a_request_to_stop_the_study_is_seen_until_the_next_beginning(
        self, store: Store, study: str
    ) -> None:
        store.begin(study, "a")
        cursor = store.changed(study).cursor
        store.request_stop(study, None, "the user said so")
        changes = store.changed(study, cursor)
        assert changes.stop == store.study(study).stop == "the user said so"
        store.begin(study, "b")
        assert store.changed(study).stop is None

    def test_a_request_to_stop_stays_until_every_engine_has_obeyed(self, store: Store, study: str) -> None:
        store.begin(study, "a")
        store.begin(study, "b")
        store.request_stop(study, None, "the user said so")
        store.end(study, "a", "stopped")
        assert store.changed(study).stop == "the user said so"
        store.end(study, "b", "stopped")
        assert store.changed(study).stop is None

    def test_an_engine_that_ends_says_why_and_gives_its_trials_back(self, store: Store, study: str) -> None:
        store.begin(study, "a")
        assert store.study(study).ended is None
        store.propose(study, points(3))
        store.claim(study, "a", 2, LEASE)
        store.claim(study, "b", 1, LEASE)
        store.request_stop(study, 1, "enough")
        store.end(study, "a", "interrupted")
        assert store.study(study).ended == "interrupted"
        assert [t.state for t in by_number(store, study)] == [State.WAITING, State.STOPPED, State.RUNNING]
        assert store.workers(study) == ["b"]
        store.begin(study, "a")
        assert store.study(study).ended is None
        assert store.claim(study, "a", 2, LEASE)[0].attempt == 2

    def test_a_running_trial_is_asked_to_stop(self, store: Store, study: str) -> None:
        store.propose(study, points(2), claim=("w", LEASE))
        cursor = store.changed(study).cursor
        store.request_stop(study, 1, "enough")
        (trial,) = store.changed(study, cursor).trials
        assert (trial.number, trial.state, trial.stop) == (1, State.RUNNING, "enough")
        store.record(study, [Record(1, 1, Stopped("enough"))])
        trial = by_number(store, study)[1]
        assert (trial.state, trial.reason, trial.stop) == (State.STOPPED, "enough", None)

    def test_a_waiting_trial_is_stopped_at_once(self, store: Store, study: str, clock: VirtualClock) -> None:
        store.propose(study, points(2))
        clock.sleep(1)
        store.request_stop(study, 0, "enough")
        first, second = by_number(store, study)
        assert (first.state, first.reason, first.ended) == (State.STOPPED, "enough", START + 1)
        assert second.state is State.WAITING
        assert [t.number for t in store.claim(study, "w", 5, LEASE)] == [1]
        assert events(store, study) == ["created", "stopped"]

    def test_a_trial_that_ended_cannot_be_stopped(self, store: Store, study: str) -> None:
        store.propose(study, points(1), claim=("w", LEASE))
        store.record(study, [Record(0, 1, Completed({"loss": 1.0}))])
        before = by_number(store, study)
        store.request_stop(study, 0, "enough")
        assert by_number(store, study) == before

    def test_to_stop_a_trial_that_is_not_there_is_an_error(self, store: Store, study: str) -> None:
        with pytest.raises(UnknownName, match="no trial 3"):
            store.request_stop(study, 3, "enough")

    # --- facts and log --------------------------------------------------------------------------------------

    def test_facts_are_kept_over_older_ones(self, store: Store, study: str) -> None:
        assert store.facts(study) == {}
        store.remember(study, {"splits": {"folds": [1, 2]}, "größe": None})
        store.remember(study, {"splits": "ab", "more": 1.5})
        store.remember(study, {})
        assert store.facts(study) == {"splits": "ab", "größe": None, "more": 1.5}

    def test_the_log_tells_what_happened(self, store: Store, study: str, clock: VirtualClock) -> None:
        store.begin(study, "me")
        store.propose(study, points(2), claim=("me", LEASE))
        store.record(study, [Record(0, 1, Completed({"loss": 1.0}))])
        clock.sleep(4)
        store.record(study, [Record(1, 1, Failed("ValueError: x"))])
        store.request_stop(study, None, "the user")
        store.end(study, "me", "stopped by the user")
        rows = store.log(study)
        assert [row.event for row in rows] == ["created", "begun", "failed", "stop requested", "ended"]
        failed = rows[2]
        assert (failed.number, failed.time, failed.text) == (1, START + 4, "ValueError: x")
        assert rows[-1].text == "stopped by the user"
        assert [row.id for row in rows] == sorted({row.id for row in rows})
        assert store.log(study, rows[2].id) == rows[3:]

    def test_a_closed_store_refuses(self, store: Store, study: str) -> None:
        from luthier.errors import StoreUnavailable

        store.close()
        store.close()
        with pytest.raises(StoreUnavailable, match="closed"):
            store.study(study)


def by_number(store: Store, study: str) -> list[Trial]:
    """All trials of a study."""
    return sorted(store.changed(study).trials, key=lambda trial: trial.number)


def events(store: Store, study: str) -> list[str]:
    """What the log says happened."""
    return [row.event for row in store.log(study)]


def is_nan(value: object) -> bool:
    """Whether it is a float that is not a number."""
    return isinstance(value, float) and math.isnan(value)
