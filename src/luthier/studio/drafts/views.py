"""What each part of the page "New study" shows, as plain data for its template."""

from __future__ import annotations

import os
import warnings
from typing import Any, cast

from luthier.errors import LuthierError
from luthier.estimators import BUNDLED, as_estimator, preparation
from luthier.space import same
from luthier.studio.drafts import catalogue, values
from luthier.studio.drafts.catalogue import Entry
from luthier.studio.drafts.counting import Count
from luthier.studio.drafts.draft import (
    FEW_TRIALS,
    SAVES,
    UNITS,
    VALIDATIONS,
    Draft,
    Row,
    allowed_text,
    continuous,
    default_of,
    default_text,
    recommended_fields,
    suggested,
)
from luthier.studio.drafts.reckoning import Reckoning, size_text
from luthier.studio.drafts.scores import USUAL, strategies
from luthier.studio.drafts.tables import Table, Tables
from luthier.studio.drafts.values import Typed
from luthier.studio.words import say
from luthier.studyfile import to_python, to_toml
from luthier.summary import duration, plural

SHOWS = ("fitting", "classifiers", "regressors", "boosting", "every")
SHOWN_CLASSES = 8
REASONS = 20
FEW_DEEP = 30
"""With fewer trials a search that begins with few rows may train none of them in full."""


def data(draft: Draft, tables: Tables) -> dict[str, Any]:
    """1: the data sets, and what is known of the chosen one."""
    table, task = draft.table, draft.task
    return {
        "field": draft,
        "bundled": BUNDLED,
        "files": tables.files(),
        "root": str(tables.root),
        "table": table,
        "size": None
        if table is None
        else say("drafts.data.size", rows=_about(table), columns=f"{table.width:,}"),
        "targets": [] if table is None else [(name, _column(name)) for name in table.targets],
        "target": draft.given.get("target", ""),
        "task": None if task is None else _task(draft),
    }


def _about(table: Table) -> str:
    return f"≈ {table.rows:,}" if table.estimated else f"{table.rows:,}"


def _column(name: str) -> str:
    return say("drafts.target.last") if name == "-1" else name


def _task(draft: Draft) -> str:
    task = draft.task
    assert task is not None
    if task.classes is None:
        text = say("drafts.task.regression")
    else:
        shown = ", ".join(str(label)[:40] for label in task.classes[:SHOWN_CLASSES])
        more = ", …" if len(task.classes) > SHOWN_CLASSES else ""
        text = say("drafts.task.classification", n=len(task.classes), classes=shown + more)
    return f"{text} {say('drafts.task.partial', n=f'{len(task.y):,}')}" if task.partial else text


def estimators(draft: Draft) -> dict[str, Any]:
    """2: the estimators, those that are looked for in sight."""
    show = draft["show"] if draft["show"] in SHOWS else "fitting"
    find = draft.fields.get("find", "").strip().lower()
    chosen = draft.entry
    lines = []
    for entry in catalogue.entries():
        fits = entry.fits(draft.task)
        lines.append(
            {
                "path": entry.path,
                "name": entry.name,
                "library": entry.library,
                "chosen": entry == chosen,
                "words": _words(entry, fits),
                "hidden": entry != chosen
                and not (_shown(entry, show, fits) and find in f"{entry.name} {entry.library}".lower()),
            }
        )
    return {
        "field": draft,
        "lines": lines,
        "show": show,
        "shows": SHOWS,
        "find": draft.fields.get("find", ""),
        "about": None if chosen is None else f"{chosen.name}, {chosen.library}",
        "prepared": prepared(draft),
        "none": all(line["hidden"] for line in lines),
    }


def _words(entry: Entry, fits: bool) -> str:
    """The filters that an estimator passes."""
    found = [f"{entry.kind}s", "every"]
    if fits:
        found.append("fitting")
    if entry.boosting:
        found.append("boosting")
    return " ".join(found)


def _shown(entry: Entry, show: str, fits: bool) -> bool:
    if show == "boosting":  # of those for the other task nobody wants to see any
        return entry.boosting and fits
    return show in _words(entry, fits).split()


def prepared(draft: Draft) -> list[str] | None:
    """What is put in front of the estimator, in words; None where that is not known yet."""
    if draft.task is None or draft.entry is None or draft["preprocess"] == "none":
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = preparation(as_estimator(draft.entry.path), draft.task.X, draft.task.y)
    except (LuthierError, ValueError, TypeError) as error:
        return [str(error)]
    return str(made).splitlines() or [say("drafts.prepared.nothing")]


def table(draft: Draft) -> dict[str, Any]:
    """3: the hyperparameters."""
    rows = [line(row, draft) for row in draft.rows]
    front = [row for row, about in zip(rows, draft.rows, strict=True) if about.front]
    rest = [row for row, about in zip(rows, draft.rows, strict=True) if not about.front]
    return {
        "field": draft,
        "groups": [("front", front), ("rest", rest)],
        "more": plural(len(rest), "more hyperparameter") if rest else None,
        "recommends": any(row["recommended"] for row in rows),
        "searched": sum(row.param is not None for row in draft.rows),
        "note": None if draft.description is None else draft.description.note,
    }


def line(row: Row, draft: Draft) -> dict[str, Any]:
    """A hyperparameter."""
    about, name = row.about, row.name
    own = default_of(about)
    choices = row.choices
    fields = recommended_fields(about)
    single = draft.fields.get(f"single.{name}", "").strip() or default_text(about)
    return {
        "name": name,
        "modes": row.modes,
        "mode": row.mode,
        "doc": about.doc,
        "default": default_text(about),
        "default_kind": values.kind_of(own) if own is not None or about.default is None else "",
        "allowed": allowed_text(about),
        "choices": None if choices is None else [_choice(row, value) for value in choices],
        "suggestions": [values.written(value) for value in values.suggestions(about.domain)]
        if choices is None
        else [],
        "single": single,
        "single_kind": row.single.kind,
        "multiple": row.multiple,
        "chips": chips(row),
        "low": row.low,
        "high": row.high,
        "step": row.step,
        "log": row.log,
        "touched": row.touched,
        "rank": about.rank,
        "recommended": about.range if fields else "",
        "scale": about.scale if about.scale == "log" else "",
        "condition": about.condition,
        "foreign": choices is not None and not any(same(own, value) for value in choices),
    }


def _choice(row: Row, value: Any) -> dict[str, Any]:
    text = values.written(value)
    return {
        "text": text,
        "kind": values.kind_of(value),
        "single": same(row.single.value, value),
        "multiple": any(same(one.value, value) for one in row.several),
    }


def chips(row: Row) -> list[dict[str, Any]]:
    """The values of a list, as they are drawn."""
    return [chip(one) for one in row.several]


def chip(one: Typed) -> dict[str, Any]:
    """A value, as it is drawn."""
    return {"text": one.text, "kind": one.kind, "problem": one.problem}


def scores(draft: Draft) -> dict[str, Any]:
    """4: how rows are split, and what is scored."""
    also = set(cast("list[str]", draft.given.get("scoring", [])))
    classifier = draft.entry is not None and draft.entry.kind == "classifier"
    lines = [
        {
            "name": score.name,
            "goal": score.goal,
            "primary": score == draft.primary,
            "also": score.name in also,
            "threshold": draft.fields.get(f"threshold.{score.name}", ""),
        }
        for score in draft.scores
    ]
    usual = [line for i, line in enumerate(lines) if i < USUAL or line["primary"] or line["also"]]
    columns = draft.table.columns if draft.table is not None and not draft.table.brings_target else ()
    if draft.table is None or not hasattr(draft.table.head, "columns"):
        columns = ()
    return {
        "field": draft,
        "validations": VALIDATIONS,
        "cv": draft["cv"] if draft["cv"] in VALIDATIONS else "folds",
        "classifier": classifier,
        "columns": [column for column in columns if column != draft.given.get("target")],
        "groups": [("usual", usual), ("rest", [line for line in lines if line not in usual])],
        "saves": SAVES,
    }


def search(draft: Draft, reckoned: Reckoning, taken: Any, workers: int) -> dict[str, Any]:
    """5: how to search, and for how long."""
    return {
        "trials_hint": _trials_hint(draft, reckoned),
        "field": draft,
        "strategies": strategies(),
        "chosen": draft.strategy,
        "units": tuple(UNITS),
        "usual": workers,
        "cores": os.cpu_count() or 1,
        "suggested": suggested(draft.entry, draft.table, taken),
        **split(draft),
    }


def split(draft: Draft) -> dict[str, Any]:
    """The ranges that keep a grid from beginning."""
    return {
        "endless": continuous(draft.space)
        if draft.strategy.name == "grid" and draft.space is not None
        else []
    }


def problems(draft: Draft, *, complete: bool = False) -> dict[str, str]:
    """What is wrong, by field; what is only missing is left out until the study is to begin."""
    return {name: problem.text for name, problem in draft.problems.items() if complete or not problem.missing}


def count(draft: Draft, reckoned: Reckoning) -> dict[str, Any]:
    """How many combinations there are, those alone that the estimator takes."""
    found = reckoned.count
    left_out = (found.total or 0) - (found.valid or 0)
    return {
        "count": _combinations(draft, found),
        "pending": reckoned.pending,
        "invalid": say("drafts.count.invalid", n=f"{left_out:,}") if left_out else None,
        "reasons": [
            (", ".join(f"{name}={value!r}" for name, value in one.params.items()), one.why)
            for one in found.invalid[:REASONS]
        ],
    }


def _combinations(draft: Draft, found: Count) -> str:
    if draft.space is None:
        return say("drafts.count.none")
    if found.total is None:
        return say("drafts.count.endless", names=", ".join(continuous(draft.space)))
    if found.valid is not None and found.valid < found.total:
        return say("drafts.count.valid", valid=f"{found.valid:,}", total=plural(found.total, "combination"))
    return plural(found.total, "combination")


def summary(draft: Draft, reckoned: Reckoning) -> dict[str, Any]:
    """What the study will take."""
    return {
        "fits": _fits(draft, reckoned),
        "time": _time(reckoned),
        "disk": None if reckoned.bytes is None else say("drafts.disk", size=size_text(reckoned.bytes)),
        "trouble": None if reckoned.trouble is None else say("drafts.measured.not", why=reckoned.trouble),
        "notes": _notes(draft, reckoned),
        "todo": [(place(at), problem.text) for at, problem in draft.problems.items()],
        "things": plural(len(draft.problems), "thing"),
        "large": reckoned.large,
        "sure": "sure" in draft.fields,
        "offers": _offers(reckoned),
    }


def _offers(reckoned: Reckoning) -> list[tuple[str, str]]:
    """Smaller studies of the same, as buttons."""
    if reckoned.trials is not None and reckoned.trials <= FEW_TRIALS:
        return [(say("drafts.offer.random", n=FEW_TRIALS // 3), f"random:{FEW_TRIALS // 3}")]
    return [
        (say(f"drafts.offer.{name}", n=FEW_TRIALS), f"{name}:{FEW_TRIALS}") for name in ("random", "asha")
    ]


def _notes(draft: Draft, reckoned: Reckoning) -> list[str]:
    if not draft.strategy.deepens:
        return []
    few = reckoned.trials is not None and reckoned.trials < FEW_DEEP
    return [say("drafts.fits.rows"), *([say("drafts.fits.few", n=FEW_DEEP)] if few else [])]


def _time(reckoned: Reckoning) -> str | None:
    if reckoned.fit_seconds is None:
        return None
    fit = duration(reckoned.fit_seconds)
    if reckoned.seconds is None:
        return say("drafts.time.fit", fit=fit)
    low, high = map(duration, reckoned.seconds)
    return say("drafts.time.range", fit=fit, low=low, high=high)


def _fits(draft: Draft, reckoned: Reckoning) -> str:
    folds = plural(reckoned.folds, "fold")
    refit = " + " + (
        say("drafts.fits.refits") if reckoned.refits is None else plural(reckoned.refits, "refit")
    )
    refit = "" if reckoned.refits == 0 else refit
    if draft.space is None or reckoned.fits is None or reckoned.trials is None:
        return (
            say("drafts.fits.open", folds=folds, refit=refit)
            if draft.space is not None
            else say("drafts.count.none")
        )
    fits = plural(reckoned.fits, "fit")
    if draft.whole and reckoned.trials == reckoned.count.valid:
        return say(
            "drafts.fits.grid",
            combinations=plural(reckoned.trials, "combination"),
            folds=folds,
            fits=fits,
            refit=refit,
        )
    return say(
        "drafts.fits.trials", trials=plural(reckoned.trials, "trial"), folds=folds, fits=fits, refit=refit
    )


def hints(draft: Draft, reckoned: Reckoning, taken: Any) -> dict[str, str]:
    """What fields that are left empty mean."""
    name = suggested(draft.entry, draft.table, taken)
    return {"trials": _trials_hint(draft, reckoned), "name": say("drafts.name.how", name=name)}


def _trials_hint(draft: Draft, reckoned: Reckoning) -> str:
    if draft.whole and reckoned.count.valid is not None:
        return say("drafts.trials.whole", n=f"{reckoned.count.valid:,}")
    if {"seconds", "minutes", "hours", "until"} & set(draft.given.get("budget", ())):
        return say("drafts.trials.open")
    points = None if draft.space is None else draft.size
    return say("drafts.trials.some", n=FEW_TRIALS if points is None else min(FEW_TRIALS, points))


def code(draft: Draft, reckoned: Reckoning) -> dict[str, Any]:
    """The study as a file and as a script."""
    if draft.table is None or draft.entry is None or draft.space is None:
        return {"texts": [("python", ""), ("toml", "")]}
    given = reckoned.study(draft)
    return {"texts": [("python", to_python(given)), ("toml", to_toml(given))]}


def place(at: str) -> str:
    """The element of the page that a problem is at."""
    return {"space": "hyperparameters", "strategy": "strategy-auto"}.get(at, at)
