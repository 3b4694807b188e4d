"""The schema: what a store keeps, in one place. `migrate.VERSION` moves on with every change to it.

Written with SQLAlchemy Core so that SQLite and PostgreSQL get the same tables. Times are seconds since 1970
in UTC, measured by the store's Clock and not by the database.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
)

schema = MetaData()
Long = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up only what is called INTEGER

# `trials` is how many there are: the next one's number, and what `propose(expect=...)` is fenced by.
studies = Table(
    "studies",
    schema,
    Column("name", Text, primary_key=True),
    Column("spec", Text, nullable=False),
    Column("budget", Text, nullable=False),
    Column("seq", Long, nullable=False),
    Column("trials", Integer, nullable=False),
    Column("created", Double, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("active", Double),
    Column("stop", Text),
    Column("ended", Text),
)

# `ended` is null as long as a trial waits or runs; the partial index finds those few among many.
trials = Table(
    "trials",
    schema,
    Column("study", Text),
    Column("number", Integer),
    Column("seq", Long, nullable=False),
    Column("seen", Long, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("params", Text, nullable=False),
    Column("tag", Text),
    Column("fidelity", Double),
    Column("parent", Integer),
    Column("worker", Text),
    Column("lease", Double),
    Column("stop", Text),
    Column("metrics", Text),
    Column("reason", Text),
    Column("traceback", Text),
    Column("created", Double, nullable=False),
    Column("started", Double),
    Column("ended", Double),
    PrimaryKeyConstraint("study", "number"),
)
Index("trials_by_change", trials.c.study, trials.c.seq)
Index(
    "trials_not_ended",
    trials.c.study,
    trials.c.number,
    sqlite_where=trials.c.ended.is_(None),
    postgresql_where=trials.c.ended.is_(None),
)

# A value of null is NaN, which SQLite cannot hold.
reports = Table(
    "reports",
    schema,
    Column("study", Text),
    Column("number", Integer),
    Column("step", Long),
    Column("metric", Text),
    Column("value", Double),
    PrimaryKeyConstraint("study", "number", "step", "metric"),
    sqlite_with_rowid=False,
)

facts = Table(
    "facts",
    schema,
    Column("study", Text),
    Column("key", Text),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("study", "key"),
)

# Who works on a study, and when it was last here; only to count the seconds worked.
engines = Table(
    "engines",
    schema,
    Column("study", Text),
    Column("worker", Text),
    Column("here", Double, nullable=False),
    PrimaryKeyConstraint("study", "worker"),
)

log = Table(
    "log",
    schema,
    Column("id", Long, primary_key=True, autoincrement=True),
    Column("study", Text, nullable=False),
    Column("time", Double, nullable=False),
    Column("number", Integer),
    Column("event", Text, nullable=False),
    Column("text", Text, nullable=False),
)
Index("log_by_study", log.c.study, log.c.id)

schema_version = Table("schema_version", schema, Column("version", Integer, nullable=False))
