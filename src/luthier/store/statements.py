"""Every statement a store executes, written with SQLAlchemy Core and compiled once per dialect.

The drivers run the compiled text themselves: Core's own execution costs more than SQLite's work for statements
as small as these. A trial is about twelve of them.
"""

from __future__ import annotations

from functools import cache

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Double,
    Integer,
    Table,
    Text,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import ClauseElement

from luthier.store.tables import engines, facts, log, reports, schema_version, studies, trials

# Constants stay in the text, so that what is bound is what the caller says.
ZERO, ONE = literal_column("0", Integer), literal_column("1", Integer)
WAITING, RUNNING = literal_column("'waiting'", Text), literal_column("'running'", Text)

# What `sql.read_trials` takes apart, in this order.
TRIAL = (
    trials.c.number,
    trials.c.params,
    trials.c.state,
    trials.c.attempt,
    trials.c.fidelity,
    trials.c.parent,
    trials.c.tag,
    trials.c.seen,
    trials.c.seq,
    trials.c.metrics,
    trials.c.reason,
    trials.c.traceback,
    trials.c.stop,
    trials.c.worker,
    trials.c.created,
    trials.c.started,
    trials.c.ended,
)
BRIEF = (
    trials.c.number,
    trials.c.seq,
    trials.c.state,
    trials.c.metrics,
    trials.c.fidelity,
    trials.c.started,
    trials.c.ended,
)
SOME = 50
"""So many trials are fetched by number at a time: a page of them."""
PROPOSED = (
    "study", "number", "seq", "seen", "state", "attempt", "params", "tag", "fidelity", "parent", "worker", "lease",
    "created", "started",
)  # fmt: skip
STUDY = (
    studies.c.name,
    studies.c.seq,
    studies.c.created,
    studies.c.seconds,
    studies.c.active,
    studies.c.stop,
    studies.c.ended,
)


@cache
def statements(dialect: Dialect) -> Statements:
    """Made once for each database in a process: compiling them takes longer than a short study."""
    return Statements(dialect)


class Statements:
    """The statements as text in the words of one database. Parameters go by name."""

    def __init__(self, dialect: Dialect) -> None:
        def sql(statement: ClauseElement) -> str:
            return str(statement.compile(dialect=dialect))

        study, worker, since = _text("in_study"), _text("by_worker"), _whole("since")
        number = _whole("of_number")
        this_study = studies.c.name == study
        open_trials = (trials.c.study == study) & trials.c.ended.is_(None)
        waiting = open_trials & (trials.c.state == WAITING) & trials.c.stop.is_(None)
        running = open_trials & (trials.c.state == RUNNING)
        moved = {"seq": studies.c.seq + ONE}

        # Reading.
        self.names = sql(select(studies.c.name).order_by(studies.c.name))
        self.studies = sql(select(*STUDY).order_by(studies.c.created.desc(), studies.c.name))
        self.study = sql(select(*STUDY).where(this_study))
        self.spec = sql(select(studies.c.spec, studies.c.budget).where(this_study))
        self.counts = sql(
            select(trials.c.study, trials.c.state, func.count()).group_by(trials.c.study, trials.c.state)
        )
        self.count = sql(
            select(trials.c.state, func.count()).where(trials.c.study == study).group_by(trials.c.state)
        )
        self.glance = sql(
            select(studies.c.seq, studies.c.stop, studies.c.seconds, studies.c.budget).where(this_study)
        )
        changed = (trials.c.study == study) & (trials.c.seq > since)
        self.trials = sql(select(*TRIAL).where(changed).order_by(trials.c.seq, trials.c.number))
        self.reports = sql(
            select(reports.c.number, reports.c.step, reports.c.metric, reports.c.value)
            .join(trials, (trials.c.study == reports.c.study) & (trials.c.number == reports.c.number))
            .where(changed)
            .order_by(reports.c.number, reports.c.step, reports.c.metric)
        )
        some = trials.c.number.in_([_whole(f"n{i}") for i in range(SOME)])
        self.some_trials = sql(select(*TRIAL).where(trials.c.study == study, some))
        self.some_reports = sql(
            select(reports.c.number, reports.c.step, reports.c.metric, reports.c.value)
            .where(reports.c.study == study, reports.c.number.in_([_whole(f"n{i}") for i in range(SOME)]))
            .order_by(reports.c.number, reports.c.step, reports.c.metric)
        )
        between = (trials.c.number >= _whole("low")) & (trials.c.number < _whole("high"))
        self.brief = sql(select(*BRIEF).where(trials.c.study == study, between).order_by(trials.c.number))
        self.brief_changes = sql(select(*BRIEF).where(changed, between).order_by(trials.c.number))
        self.params = sql(
            select(trials.c.params).where(trials.c.study == study, between).order_by(trials.c.number)
        )
        self.cursors = sql(select(studies.c.name, studies.c.seq))
        self.facts = sql(
            select(facts.c.key, facts.c.value).where(facts.c.study == study).order_by(facts.c.key)
        )
        self.log = sql(
            select(log.c.id, log.c.time, log.c.number, log.c.event, log.c.text)
            .where(log.c.study == study, log.c.id > since)
            .order_by(log.c.id)
        )
        self.workers = sql(select(trials.c.worker).where(running).distinct().order_by(trials.c.worker))
        self.any_waiting = sql(select(studies.c.seq, exists(select(ONE).where(waiting))).where(this_study))
        held = select(
            trials.c.number, trials.c.attempt, trials.c.stop, trials.c.worker, trials.c.lease
        ).where(running)
        self.held = sql(held)
        self.held_between = sql(held.where(trials.c.number.between(bindparam("low"), bindparam("high"))))
        self.trial_state = sql(
            select(trials.c.state).where(trials.c.study == study, trials.c.number == number)
        )

        # Moving a study on. These come first in a transaction that writes: they lock the study's row.
        self.move = sql(update(studies).where(this_study).values(moved).returning(studies.c.seq))
        expect = _whole("expect")
        self.grow = sql(
            update(studies)
            .where(this_study, or_(expect.is_(None), studies.c.trials == expect))
            .values(moved | {"trials": studies.c.trials + _whole("more")})
            .returning(studies.c.seq, studies.c.trials)
        )
        self.set_budget = sql(
            update(studies)
            .where(this_study)
            .values(moved | {"budget": bindparam("new_budget")})
            .returning(studies.c.seq)
        )
        self.set_stop = sql(
            update(studies)
            .where(this_study)
            .values(moved | {"stop": bindparam("because")})
            .returning(studies.c.seq)
        )
        self.begin = sql(
            update(studies)
            .where(this_study)
            .values(moved | {"stop": null(), "ended": null()})
            .returning(studies.c.seq)
        )

        # Writing.
        self.create = sql(_upsert(dialect, studies).on_conflict_do_nothing())
        self.propose = sql(insert(trials).values({name: bindparam(name) for name in PROPOSED}))
        free = (
            select(trials.c.number).where(waiting).order_by(trials.c.number).limit(_whole("n")).offset(ZERO)
        )
        self.claim = sql(
            update(trials)
            .where(trials.c.study == study, trials.c.number.in_(free.scalar_subquery()))
            .values(
                seq=bindparam("new_seq"),
                state=RUNNING,
                attempt=trials.c.attempt + ONE,
                worker=worker,
                lease=bindparam("until"),
                started=bindparam("now"),
            )
        )
        this_trial = (trials.c.study == study) & (trials.c.number == number)
        self.touch = sql(update(trials).where(this_trial).values(seq=bindparam("new_seq")))
        self.settle = sql(
            update(trials)
            .where(this_trial)
            .values(
                seq=bindparam("new_seq"),
                state=bindparam("new_state"),
                metrics=bindparam("new_metrics"),
                reason=bindparam("because"),
                traceback=bindparam("trace"),
                ended=bindparam("now"),
                worker=null(),
                lease=null(),
                stop=null(),
            )
        )
        self.ask_to_stop = sql(
            update(trials).where(this_trial).values(seq=bindparam("new_seq"), stop=bindparam("because"))
        )
        report = _upsert(dialect, reports)
        self.report = sql(
            report.on_conflict_do_update(
                index_elements=list(reports.primary_key), set_={"value": report.excluded.value}
            )
        )
        fact = _upsert(dialect, facts)
        self.remember = sql(
            fact.on_conflict_do_update(
                index_elements=list(facts.primary_key), set_={"value": fact.excluded.value}
            )
        )
        self.note = sql(
            insert(log).values(
                {name: bindparam(name) for name in ("study", "time", "number", "event", "text")}
            )
        )

        # Leases and the time worked.
        here = _upsert(dialect, engines)
        self.here = sql(
            here.on_conflict_do_update(
                index_elements=list(engines.primary_key), set_={"here": here.excluded.here}
            )
        )
        this_engine = (engines.c.study == study) & (engines.c.worker == worker)
        self.last_here = sql(
            select(engines.c.here, studies.c.active).join(studies, this_study).where(this_engine)
        )
        self.work = sql(
            update(studies)
            .where(this_study)
            .values(seconds=studies.c.seconds + bindparam("more", type_=Double), active=bindparam("now"))
        )
        self.leave = sql(delete(engines).where(this_engine))
        others = exists(select(ONE).where(engines.c.study == study))
        self.end = sql(
            update(studies)
            .where(this_study)
            .values(ended=bindparam("because"), stop=case((others, studies.c.stop), else_=null()))
        )
        self.extend = sql(
            update(trials).where(running, trials.c.worker == worker).values(lease=bindparam("until"))
        )

        # Forgetting.
        self.delete = [
            sql(delete(table).where(table.c.study == study))
            for table in (trials, reports, facts, engines, log)
        ]
        self.delete_study = sql(delete(studies).where(this_study))

        # The schema itself.
        self.version = sql(select(schema_version.c.version))
        self.first_version = sql(insert(schema_version).values(version=bindparam("version")))
        self.next_version = sql(update(schema_version).values(version=bindparam("new_version")))


def _text(name: str) -> BindParameter[str]:
    return bindparam(name, type_=Text)


def _whole(name: str) -> BindParameter[int]:
    return bindparam(name, type_=BigInteger)


def _upsert(dialect: Dialect, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An INSERT that may say what to do about a row that is there already; both dialects have it, Core has not."""
    return postgresql.insert(table) if dialect.name == "postgresql" else sqlite.insert(table)
