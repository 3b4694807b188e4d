"""SQLStore: the verbs of a store on SQLite or PostgreSQL, each one transaction.

A transaction that writes begins by moving the study's `seq` on by one, which locks the study's row until
it commits. So `seq` follows the order of commits, and who has read up to `seq` has missed nothing. (A plain serial
number would not do: PostgreSQL can show row 8 before row 7 is committed.)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from sys import intern
from typing import Any

from luthier.clock import Clock
from luthier.errors import SpecMismatch, StoreError, StudyNotFound, UnknownName, did_you_mean
from luthier.space import Params
from luthier.space.codec import rows_from_texts, scalars_from_text, scalars_to_text
from luthier.store import migrate
from luthier.store.base import Brief, Changes, Json, LogRow, StudyRow
from luthier.store.connections import Connections
from luthier.store.dialects import Connection, Dialect
from luthier.store.statements import SOME, statements
from luthier.study import (
    Budget,
    Lost,
    Outcome,
    Proposal,
    Record,
    Report,
    State,
    Stopped,
    StudySpec,
    Trial,
)
from luthier.study.codec import budget_from_text, budget_to_text, differences, spec_from_json, spec_to_json
from luthier.study.trial import NOTHING


@dataclass(frozen=True, slots=True)
class Turn:
    """One transaction that writes to one study: its number, its time, its connection."""

    study: str
    seq: int
    now: float
    connection: Connection

    def each(self, sql: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Execute once per row."""
        if len(rows) == 1:
            self.connection.execute(sql, rows[0])
        elif rows:
            self.connection.cursor().executemany(sql, rows)


class SQLStore:
    """Studies in a database. May be used from several threads; another process opens its own."""

    def __init__(self, dialect: Dialect, clock: Clock) -> None:
        self._clock = clock
        self._sql = statements(dialect.compiler)
        self._connections = Connections(dialect)
        try:
            migrate.prepare(self._connections, self._sql)
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"SQLStore({self._connections.dialect.place!r})"

    def close(self) -> None:
        """Let go of connections; the store cannot be used afterwards."""
        self._connections.close()

    # --- looking --------------------------------------------------------------------------------------------

    def studies(self) -> list[StudyRow]:
        """Every study, the latest first."""
        counts: dict[str, dict[State, int]] = {}
        with self._connections.read() as connection:
            rows = connection.execute(self._sql.studies).fetchall()
            for study, state, count in connection.execute(self._sql.counts).fetchall():
                counts.setdefault(study, {})[State(state)] = count
        return [_study_row(row, counts.get(row[0], {})) for row in rows]

    def study(self, study: str) -> StudyRow:
        """One study's line; raises StudyNotFound."""
        with self._connections.read() as connection:
            row = connection.execute(self._sql.study, {"in_study": study}).fetchone()
            if row is None:
                raise self._missing(connection, study)
            counts = connection.execute(self._sql.count, {"in_study": study}).fetchall()
        return _study_row(row, {State(state): count for state, count in counts})

    def spec(self, study: str) -> StudySpec:
        """The question, with the budget as it is now; raises StudyNotFound."""
        ((spec, budget),) = self._look(self._sql.spec, study)
        return spec_from_json(json.loads(spec), budget_from_text(budget))

    def facts(self, study: str) -> dict[str, Json]:
        """What was found out about the study besides its trials."""
        with self._reading(study) as connection:
            rows = connection.execute(self._sql.facts, {"in_study": study}).fetchall()
        return {key: json.loads(value) for key, value in rows}

    def changed(self, study: str, since: int = 0) -> Changes:
        """What changed after cursor `since`. Costs next to nothing where nothing did."""
        with self._connections.read() as connection:  # one view: the cursor must not run ahead of the trials
            row = connection.execute(self._sql.glance, {"in_study": study}).fetchone()
            if row is None:
                raise self._missing(connection, study)
            seq, stop, seconds, budget = row
            trials = [] if seq == since else self._trials(connection, study, since)
        return Changes(trials, seq, stop, seconds, budget_from_text(budget))

    def cursors(self) -> dict[str, int]:
        """The cursor of every study."""
        return dict(self._connections.look(self._sql.cursors, {}))

    def trials(self, study: str, numbers: Sequence[int]) -> list[Trial]:
        """Those of the trials that there are, whole, in the order asked for."""
        found: dict[int, Trial] = {}
        with self._reading(study) as connection:
            for asked in (numbers[i : i + SOME] for i in range(0, len(numbers), SOME)):
                values = {f"n{i}": asked[min(i, len(asked) - 1)] for i in range(SOME)} | {"in_study": study}
                rows = connection.execute(self._sql.some_trials, values).fetchall()
                reports = _grouped(connection.execute(self._sql.some_reports, values).fetchall())
                found |= {row[0]: _trial(row, reports.get(row[0], ())) for row in rows}
        return [found[number] for number in numbers if number in found]

    def brief(self, study: str, since: int = 0, low: int = 0, high: int | None = None) -> list[Brief]:
        """Trials `low` to `high` that changed after cursor `since`, in brief, by number."""
        sql = (
            self._sql.brief_changes if since else self._sql.brief
        )  # without a cursor by number, not by change
        values: dict[str, Any] = {"in_study": study, "low": low, "high": LAST if high is None else high}
        with self._reading(study) as connection:
            rows = connection.execute(sql, values | ({"since": since} if since else {})).fetchall()
        metrics = rows_from_texts([row[3] or "{}" for row in rows])
        return [
            Brief(number, seq, STATES[state], found or NOTHING, fidelity, started, ended)
            for (number, seq, state, _, fidelity, started, ended), found in zip(rows, metrics, strict=True)
        ]

    def params(self, study: str, low: int = 0, high: int | None = None) -> Sequence[Params]:
        """The parameters of trials `low` to `high`, by number."""
        values = {"in_study": study, "low": low, "high": LAST if high is None else high}
        with self._reading(study) as connection:
            rows = connection.execute(self._sql.params, values).fetchall()
        return rows_from_texts([text for (text,) in rows])

    def log(self, study: str, since: int = 0) -> list[LogRow]:
        """What happened after log row `since`."""
        with self._reading(study) as connection:
            rows = connection.execute(self._sql.log, {"in_study": study, "since": since}).fetchall()
        return [LogRow(*row) for row in rows]

    def workers(self, study: str) -> list[str]:
        """Who holds leases."""
        with self._reading(study) as connection:
            return [name for (name,) in connection.execute(self._sql.workers, {"in_study": study}).fetchall()]

    # --- intents --------------------------------------------------------------------------------------------

    def propose(
        self,
        study: str,
        proposals: Sequence[Proposal],
        *,
        expect: int | None = None,
        seen: int = 0,
        claim: tuple[str, float] | None = None,
    ) -> list[Trial]:
        """Add trials, numbered on from the last; [] and nothing added if there are not exactly `expect` trials."""
        if not proposals:
            return []
        worker, lease = claim or (None, 0.0)
        with self._connections.write() as connection:
            values = {"in_study": study, "expect": expect, "more": len(proposals)}
            row = connection.execute(self._sql.grow, values).fetchone()
            if row is None:
                if connection.execute(self._sql.glance, {"in_study": study}).fetchone() is None:
                    raise self._missing(connection, study)
                return []
            turn = Turn(study, row[0], self._clock.now(), connection)
            first = row[1] - len(proposals)
            trials = [
                Trial(
                    number=number,
                    params=proposal.params,
                    state=State.WAITING if worker is None else State.RUNNING,
                    attempt=0 if worker is None else 1,
                    fidelity=proposal.fidelity,
                    parent=proposal.parent,
                    tag=proposal.tag,
                    seen=seen,
                    worker=worker,
                    created=turn.now,
                    started=None if worker is None else turn.now,
                    seq=turn.seq,
                )
                for number, proposal in enumerate(proposals, start=first)
            ]
            until = None if worker is None else turn.now + lease
            turn.each(self._sql.propose, [_proposed(turn, trial, until) for trial in trials])
        return trials

    def request_stop(self, study: str, number: int | None, reason: str) -> None:
        """Ask a trial, or with None the study, to end. A waiting trial is stopped at once, an ended one left alone."""
        reason = storable(reason)
        if number is None:
            with self._turn(study, self._sql.set_stop, because=reason) as turn:
                self._note(turn, None, "stop requested", reason)
            return
        with self._turn(study) as turn:
            key = {"in_study": study, "of_number": number}
            row = turn.connection.execute(self._sql.trial_state, key).fetchone()
            if row is None:
                raise UnknownName(
                    f"study {study!r} has no trial {number}. See them with: luthier trials {study}"
                )
            trial = Trial(number, NOTHING, State(row[0]))
            if trial.state is State.WAITING:
                self._settle(turn, [self._after(turn, trial, Stopped(reason), attempts=1)])
            elif trial.state is State.RUNNING:
                turn.connection.execute(self._sql.ask_to_stop, key | {"new_seq": turn.seq, "because": reason})
                self._note(turn, number, "stop requested", reason)

    # --- the engine's verbs ---------------------------------------------------------------------------------

    def create(self, spec: StudySpec) -> bool:
        """Make the study and say True; False if it exists and asks the same question, SpecMismatch if another."""
        there = self._existing(spec.name)
        if there is None:
            with self._connections.write() as connection:
                row: dict[str, Any] = {
                    "name": spec.name,
                    "spec": json.dumps(spec_to_json(spec)),
                    "budget": budget_to_text(spec.budget),
                    "seq": 1,
                    "trials": 0,
                    "created": self._clock.now(),
                    "seconds": 0.0,
                    "active": None,
                    "stop": None,
                    "ended": None,
                }
                if connection.execute(self._sql.create, row).rowcount == 1:
                    self._note(Turn(spec.name, 1, row["created"], connection), None, "created", "")
                    return True
            there = self.spec(spec.name)  # somebody else made it meanwhile
        differ = differences(there, spec)
        if differ:
            raise SpecMismatch(
                f"study {spec.name!r} exists with another question: {'; '.join(differ)}. "
                f"Use another name, or `luthier delete {spec.name}` to start over."
            )
        return False

    def set_budget(self, study: str, budget: Budget) -> None:
        """Replace the budget."""
        text = budget_to_text(budget)
        with self._turn(study, self._sql.set_budget, new_budget=text) as turn:
            self._note(turn, None, "budget changed", text)

    def remember(self, study: str, facts: Mapping[str, Json]) -> None:
        """Keep facts, over older ones of the same name."""
        rows = [{"study": study, "key": key, "value": _fact(key, value)} for key, value in facts.items()]
        with self._turn(study) as turn:
            turn.each(self._sql.remember, rows)

    def claim(self, study: str, worker: str, n: int, seconds: float) -> list[Trial]:
        """Take up to `n` waiting trials, lowest numbers first, for the next attempt, on a lease of `seconds`."""
        ((_, waiting),) = self._look(self._sql.any_waiting, study)
        if not waiting or n < 1:
            return []
        with self._turn(study) as turn:
            values = {"in_study": study, "new_seq": turn.seq, "by_worker": worker, "n": n}
            turn.connection.execute(self._sql.claim, values | {"until": turn.now + seconds, "now": turn.now})
            trials = self._trials(turn.connection, study, turn.seq - 1)
            for trial in trials:
                if trial.attempt > 1:
                    self._note(turn, trial.number, "claimed", f"attempt {trial.attempt} by {worker}")
        return trials

    def record(self, study: str, records: Sequence[Record], *, attempts: int = 1) -> None:
        """Write down what attempts say, in order; what comes late is logged and changes nothing."""
        if not records:
            return
        numbers = [record.number for record in records]
        with self._turn(study) as turn:
            held = self._held(turn.connection, study, min(numbers), max(numbers))
            reports: list[dict[str, Any]] = []
            settled: dict[int, Trial] = {}
            for record in records:
                trial = held.get(record.number)
                if trial is None or trial.attempt != record.attempt:
                    self._note(turn, record.number, "late", _late(record))
                elif isinstance(record.said, Report):
                    reports += _reported(study, record.number, record.said)
                else:
                    settled[record.number] = self._after(turn, trial, record.said, attempts)
                    del held[record.number]
            turn.each(self._sql.report, reports)
            self._settle(turn, list(settled.values()))
            touched = {report["number"] for report in reports} - settled.keys()
            turn.each(
                self._sql.touch,
                [{"in_study": study, "of_number": number, "new_seq": turn.seq} for number in sorted(touched)],
            )

    def renew(self, study: str, worker: str, seconds: float) -> None:
        """Extend the leases `worker` holds, and count the time since it was last here as worked.

        Leases are no part of a Trial, so no trial is stamped.
        """
        with self._turn(study) as turn:
            self._count_work(turn, worker)
            turn.connection.execute(
                self._sql.extend, {"in_study": study, "by_worker": worker, "until": turn.now + seconds}
            )

    def reap(self, study: str, *, attempts: int, gone: Iterable[str] = ()) -> int:
        """Trials whose lease ran out, or whose worker is `gone`, wait again, or fail after their last attempt."""
        dead = frozenset(gone)
        with self._reading(study) as connection:
            if not self._orphans(connection, study, dead, self._clock.now()):
                return 0
        with self._turn(study) as turn:
            orphans = self._orphans(turn.connection, study, dead, turn.now)
            found = [self._after(turn, trial, _lost(trial, dead), attempts) for trial in orphans]
            self._settle(turn, found)
            for worker in dead:
                turn.connection.execute(self._sql.leave, {"in_study": study, "by_worker": worker})
        return len(orphans)

    def begin(self, study: str, worker: str) -> None:
        """An engine starts to work: old requests to stop the study and reasons for its end are cleared."""
        with self._turn(study, self._sql.begin) as turn:
            turn.connection.execute(self._sql.here, {"study": study, "worker": worker, "here": turn.now})
            self._note(turn, None, "begun", f"by {worker}")

    def end(self, study: str, worker: str, reason: str) -> None:
        """An engine stops working on the study, and says why; trials it still holds wait again.

        A request to stop the study is obeyed, and so cleared, once no other engine is at work.
        """
        reason = storable(reason)
        with self._turn(study) as turn:
            self._count_work(turn, worker)
            turn.connection.execute(self._sql.leave, {"in_study": study, "by_worker": worker})
            turn.connection.execute(self._sql.end, {"in_study": study, "because": reason})
            held = [t for t in self._held(turn.connection, study).values() if t.worker == worker]
            given_up = Lost(f"worker {worker} ended")
            self._settle(turn, [self._after(turn, t, given_up, attempts=t.attempt + 1) for t in held])
            self._note(turn, None, "ended", reason)

    def delete(self, study: str) -> None:
        """Remove the study and all that belongs to it; raises StudyNotFound."""
        with self._turn(study) as turn:
            for statement in self._sql.delete:
                turn.connection.execute(statement, {"in_study": study})
            turn.connection.execute(self._sql.delete_study, {"in_study": study})

    # --- inside a transaction -------------------------------------------------------------------------------

    @contextmanager
    def _turn(self, study: str, move: str | None = None, **values: Any) -> Iterator[Turn]:
        """A transaction that writes, begun by `move`, which moves the study's `seq` on."""
        with self._connections.write() as connection:
            row = connection.execute(move or self._sql.move, {"in_study": study, **values}).fetchone()
            if row is None:
                raise self._missing(connection, study)
            yield Turn(study, row[0], self._clock.now(), connection)

    @contextmanager
    def _reading(self, study: str) -> Iterator[Connection]:
        """A transaction that reads; raises StudyNotFound."""
        with self._connections.read() as connection:
            if connection.execute(self._sql.glance, {"in_study": study}).fetchone() is None:
                raise self._missing(connection, study)
            yield connection

    def _look(self, sql: str, study: str) -> list[Any]:
        rows = self._connections.look(sql, {"in_study": study})
        if not rows:
            with self._connections.read() as connection:
                raise self._missing(connection, study)
        return rows

    def _missing(self, connection: Connection, study: str) -> StudyNotFound:
        names = [name for (name,) in connection.execute(self._sql.names).fetchall()]
        hint = did_you_mean(study, names) or (
            " See what there is with: luthier list" if names else " It has none yet."
        )
        return StudyNotFound(f"there is no study {study!r} in {self._connections.dialect.place}.{hint}")

    def _existing(self, study: str) -> StudySpec | None:
        for spec, budget in self._connections.look(self._sql.spec, {"in_study": study}):
            return spec_from_json(json.loads(spec), budget_from_text(budget))
        return None

    def _trials(self, connection: Connection, study: str, since: int) -> list[Trial]:
        values = {"in_study": study, "since": since}
        rows = connection.execute(self._sql.trials, values).fetchall()
        if not rows:
            return []
        reports = _grouped(connection.execute(self._sql.reports, values).fetchall())
        return [_trial(row, reports.get(row[0], ())) for row in rows]

    def _held(
        self, connection: Connection, study: str, low: int | None = None, high: int | None = None
    ) -> dict[int, Trial]:
        """Running trials by number, as far as `after` needs them."""
        if low is None:
            rows = connection.execute(self._sql.held, {"in_study": study}).fetchall()
        else:
            rows = connection.execute(
                self._sql.held_between, {"in_study": study, "low": low, "high": high}
            ).fetchall()
        return {
            number: Trial(number, NOTHING, State.RUNNING, attempt, stop=stop, worker=worker)
            for number, attempt, stop, worker, _ in rows
        }

    def _orphans(self, connection: Connection, study: str, dead: frozenset[str], now: float) -> list[Trial]:
        return [
            Trial(number, NOTHING, State.RUNNING, attempt, stop=stop, worker=worker)
            for number, attempt, stop, worker, lease in connection.execute(
                self._sql.held, {"in_study": study}
            ).fetchall()
            if lease < now or worker in dead
        ]

    def _after(self, turn: Turn, trial: Trial, outcome: Outcome, attempts: int) -> Trial:
        """The trial after `outcome`. One that was asked to stop does not wait for another attempt."""
        after = trial.after(outcome, attempts)
        if after.state is State.WAITING:
            self._note(turn, trial.number, "lost", after.reason or "")
            if trial.stop is not None:
                return self._after(turn, after, Stopped(trial.stop), attempts)
        elif after.state is not State.COMPLETED:
            self._note(turn, trial.number, after.state.value, after.reason or "")
        return after

    def _settle(self, turn: Turn, trials: Sequence[Trial]) -> None:
        """Write trials that nobody works on any more: they ended, or wait again."""
        turn.each(self._sql.settle, [_settled(turn, trial) for trial in trials])

    def _count_work(self, turn: Turn, worker: str) -> None:
        """Add the time since `worker` was last here, but none that another engine has counted already."""
        key = {"in_study": turn.study, "by_worker": worker}
        row = turn.connection.execute(self._sql.last_here, key).fetchone()
        here, active = row or (turn.now, None)
        worked = max(0.0, turn.now - max(here, active if active is not None else here))
        turn.connection.execute(self._sql.work, {"in_study": turn.study, "more": worked, "now": turn.now})
        turn.connection.execute(self._sql.here, {"study": turn.study, "worker": worker, "here": turn.now})

    def _note(self, turn: Turn, number: int | None, event: str, text: str) -> None:
        row = {
            "study": turn.study,
            "time": turn.now,
            "number": number,
            "event": event,
            "text": storable(text),
        }
        turn.connection.execute(self._sql.note, row)


# --- rows ---------------------------------------------------------------------------------------------------

LAST = 2**31 - 1  # more trials than a number has room for
STATES = {state.value: state for state in State}  # a tenth of the cost of State(text)


def storable(text: str) -> str:
    """The text without what databases refuse: half characters, as in odd file names, and zero bytes (PostgreSQL)."""
    if text.isascii():
        return text.replace("\0", "\\x00")
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\x00")


def _json(values: Mapping[str, Any]) -> str:
    text = scalars_to_text(values)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:  # half characters: JSON can spell them out
            return json.dumps(json.loads(text))
    return text


def _fact(key: str, value: Json) -> str:
    try:
        return json.dumps(value)
    except (TypeError, ValueError) as error:
        raise StoreError(
            f"the fact {key!r} cannot be kept as JSON: {error}. Use numbers, texts, lists and dicts."
        ) from error


def _study_row(row: Any, counts: Mapping[State, int]) -> StudyRow:
    name, seq, created, seconds, active, stop, ended = row
    every = {state: counts.get(state, 0) for state in State}
    return StudyRow(name, seq, created, seconds, active, stop, ended, every)


def _proposed(turn: Turn, trial: Trial, until: float | None) -> dict[str, Any]:
    return {
        "study": turn.study,
        "number": trial.number,
        "seq": turn.seq,
        "seen": trial.seen,
        "state": trial.state.value,
        "attempt": trial.attempt,
        "params": _json(trial.params),
        "tag": _json(trial.tag) if trial.tag else None,
        "fidelity": trial.fidelity,
        "parent": trial.parent,
        "worker": trial.worker,
        "lease": until,
        "created": trial.created,
        "started": trial.started,
    }


def _settled(turn: Turn, trial: Trial) -> dict[str, Any]:
    return {
        "in_study": turn.study,
        "of_number": trial.number,
        "new_seq": turn.seq,
        "new_state": trial.state.value,
        "new_metrics": _json(trial.metrics) if trial.metrics else None,
        "because": None if trial.reason is None else storable(trial.reason),
        "trace": None if trial.traceback is None else storable(trial.traceback),
        "now": turn.now if trial.state.ended else None,
    }


def _reported(study: str, number: int, report: Report) -> list[dict[str, Any]]:
    return [
        {
            "study": study,
            "number": number,
            "step": report.step,
            "metric": metric,
            "value": None if value != value else float(value),
        }
        for metric, value in report.metrics.items()
    ]


def _trial(row: Any, reports: tuple[Report, ...]) -> Trial:
    (
        number, params, state, attempt, fidelity, parent, tag, seen, seq, metrics,
        reason, traceback, stop, worker, created, started, ended,
    ) = row  # fmt: skip
    return Trial(
        number=number,
        params=scalars_from_text(params),
        state=STATES[state],
        attempt=attempt,
        fidelity=fidelity,
        parent=parent,
        tag=NOTHING if tag is None else scalars_from_text(tag),
        seen=seen,
        reports=reports,
        metrics=NOTHING if metrics is None else scalars_from_text(metrics),
        reason=reason,
        traceback=traceback,
        stop=stop,
        worker=worker,
        created=created,
        started=started,
        ended=ended,
        seq=seq,
    )


def _grouped(rows: Sequence[Any]) -> dict[int, tuple[Report, ...]]:
    """Rows of (number, step, metric, value), in that order, as each trial's reports."""
    steps: dict[int, dict[int, dict[str, float]]] = {}
    for number, step, metric, value in rows:
        metrics = steps.setdefault(number, {}).setdefault(step, {})
        metrics[intern(metric)] = float("nan") if value is None else value
    return {
        number: tuple(Report(step, metrics) for step, metrics in of_trial.items())
        for number, of_trial in steps.items()
    }


def _lost(trial: Trial, dead: frozenset[str]) -> Lost:
    why = "is gone" if trial.worker in dead else "was not heard from in time"
    return Lost(f"worker {trial.worker} {why}")


def _late(record: Record) -> str:
    said = record.said
    word = f"report step {said.step}" if isinstance(said, Report) else type(said).__name__.lower()
    return f"attempt {record.attempt} no longer holds the trial, and says: {word}"
