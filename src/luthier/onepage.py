"""A study as one HTML file: everything in words, its charts, its tables. It needs no network and runs no script."""

from __future__ import annotations

import base64
import io
import json
import platform
import shlex
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from luthier.analysis.failures import failures
from luthier.clock import Clock, SystemClock
from luthier.errors import InvalidStudy, LuthierError
from luthier.models.manifest import installed
from luthier.plots import picture
from luthier.plots.files import write
from luthier.study import State, Trial
from luthier.study.codec import budget_to_json, spec_to_json
from luthier.study.remarks import Remarks
from luthier.summary import (
    Looked,
    asked,
    describe,
    duration,
    ranked,
    score_and_folds,
    setting,
    shortened,
    trial_cells,
    trial_columns,
)

TOP = 50
MOST = 2_000
"""Of a study with more trials only what is cheap is worked out; the rest takes a model of all of them."""
MOST_FAILED = 1_000
CHARTS = ("history", "importance", "slice", "parallel", "contour", "distribution", "timeline")
CHEAP = ("history", "distribution")
STYLE = """
body { margin: 0 auto; max-width: 70rem; padding: 1.5rem; font: 15px/1.5 system-ui, sans-serif; color: #1c1b1a; background: #fff; }
h1 { font-size: 1.6rem; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1rem 0 .3rem; overflow-wrap: anywhere; }
p { margin: .3rem 0; overflow-wrap: anywhere; } .quiet { color: #5d5a56; }
table { border-collapse: collapse; } th, td { text-align: left; vertical-align: baseline; padding: .25rem .6rem; border-bottom: 1px solid #d9d5cf; }
td { overflow-wrap: anywhere; max-width: 28rem; } thead th { color: #5d5a56; font-size: .85rem; }
.words th { color: #5d5a56; font-weight: 500; min-width: 7rem; } .words td { white-space: pre-wrap; max-width: none; }
.scroll { overflow: auto; } figure { margin: 1rem 0; } img { max-width: 100%; height: auto; }
pre { background: #f3efe9; border-radius: 8px; padding: .7rem; overflow: auto; font: .85rem/1.45 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
@media print { .scroll { overflow: visible; } figure, tr { break-inside: avoid; } }
"""


def save_report(study: Looked, path: Path, *, store: str | None = None) -> None:
    """Write the report of a study; raises InvalidStudy where the file cannot be written."""
    text = report(study, store=store)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidStudy(
            f"cannot write {str(path)!r}: {error.strerror or error}. Choose another file."
        ) from None


def report(study: Looked, *, store: str | None = None, clock: Clock | None = None) -> str:
    """The report as a page; `store` is said in commands, where it is not the default one."""
    made = datetime.fromtimestamp((clock or SystemClock()).now(), UTC)
    name = escape(study.spec.name)
    sections = [
        ("In words", lambda: _words(study, store)),
        ("Notes", lambda: _notes(study)),
        ("Charts", lambda: _charts(study)),
        (f"The best {TOP} trials", lambda: _board(study)),
        ("Failures", lambda: _failures(study)),
        ("To do it again", lambda: _again(study, store)),
    ]
    body = "\n".join(_section(title, make) for title, make in sections)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        f'<title>{name} · Luthier report</title>\n<link rel="icon" href="data:,">\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n'
        f'<h1>{name}</h1>\n<p class="quiet">Made {made:%Y-%m-%d %H:%M} UTC by Luthier {escape(_version())}.</p>\n'
        f"{body}\n</main>\n</body>\n</html>\n"
    )


def _version() -> str:
    return installed("luthier") or "of an unknown version"


def _section(title: str, make: Callable[[], str]) -> str:
    """A part of the page; one that cannot be made says so, and the others are."""
    try:
        text = make()
    except LuthierError as error:
        text = f'<p class="quiet">{escape(str(error))}</p>'
    return f"<section><h2>{escape(title)}</h2>\n{text}\n</section>" if text else ""


def _words(study: Looked, store: str | None) -> str:
    spec, history, row = study.spec, study.history, study.row
    if len(history) <= MOST:
        found = describe(study, store=store)
        labels = [label for label, _ in found.rows]
        before = (
            labels.index("next") if "next" in labels else len(labels)
        )  # what to type on the machine it was made on
        return f"<p>{escape(found.head)}</p>{_rows(found.rows[:before])}"
    best = history.best()
    metric = spec.problem.objective.metric
    counts = ", ".join(f"{n:,} {state}" for state, n in history.counts.items() if n)
    rows = [
        ("question", asked(spec.about, spec.problem.objectives)),
        ("trials", f"{counts}, in {duration(row.seconds)}"),
        ("best", "none yet" if best is None else f"#{best.number}   {score_and_folds(best, metric)}"),
    ]
    space = spec.problem.space.describe().splitlines()[1:]
    rows += [("space" if i == 0 else "", line) for i, line in enumerate(space)]
    note = f"With {len(history):,} trials no model was fitted to them for this report."
    return f'{_rows(rows)}<p class="quiet">{note}</p>'


def _rows(rows: Iterable[tuple[str, str]]) -> str:
    lines = "".join(
        f'<tr><th scope="row">{escape(label)}</th><td>{escape(text)}</td></tr>' for label, text in rows
    )
    return f'<table class="words"><tbody>{lines}</tbody></table>'


def _notes(study: Looked) -> str:
    said = Remarks.of(study.facts)
    rows = [(f"#{n}", f"{' '.join(sorted(said.tags.get(n, ())))}\n{said.notes.get(n, '')}".strip())
            for n in sorted(said.notes.keys() | said.tags.keys())]  # fmt: skip
    text = f"<pre>{escape(said.note)}</pre>" if said.note else ""
    return text + (_rows(rows) if rows else "")


def _charts(study: Looked) -> str:
    history, found, without = study.history, [], []
    for kind in CHARTS if len(history) <= MOST else CHEAP:
        try:
            drawn, image = picture(history, kind), io.BytesIO()
            write(drawn, image, "svg")
        except LuthierError as error:
            without.append(f"{kind}: {error}")
            continue
        shown = base64.b64encode(image.getvalue()).decode()
        said = escape(f"{drawn.title}. {drawn.note}".strip())
        found.append(f'<figure><img alt="{said}" src="data:image/svg+xml;base64,{shown}"></figure>')
    missing = "".join(f'<p class="quiet">Not drawn: {escape(text)}</p>' for text in without)
    return "\n".join(found) + missing


def _board(study: Looked) -> str:
    history = study.history
    trials = ranked(history, TOP) if len(history) <= MOST else _seen_best(study)
    if not trials:
        return '<p class="quiet">No trial has a value yet.</p>'
    spec = study.spec
    return _table(trial_columns(spec), [trial_cells(spec, trial) for trial in trials])


def _seen_best(study: Looked) -> list[Trial]:
    history, objective = study.history, study.spec.problem.objective
    scored = [trial for trial in history if history.value(trial) == history.value(trial)]
    scored.sort(key=lambda t: (not history.feasible(t), objective.sign * history.value(t), t.number))
    return scored[:TOP]


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    rows = "".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in rest)}</tr>'
        for first, *rest in lines
    )
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{rows}</tbody></table></div>'


def _failures(study: Looked) -> str:
    history = study.history
    failed = [trial for trial in history if trial.state is State.FAILED][-MOST_FAILED:]
    if not failed:
        return '<p class="quiet">Nothing failed.</p>'
    fine = [trial for trial in history if trial.state is State.COMPLETED][-200:]
    traces = {trial.number: trial.traceback for trial in failed}
    total = history.counts[State.FAILED]
    latest = f" Looked at: the {len(failed):,} latest." if total > len(failed) else ""
    parts = [f"<p>{total:,} of {len(history):,} trials failed.{latest}</p>"]
    for group in failures(failed, fine)[:40]:
        shared = ", ".join(f"{name} = {setting(value)}" for name, value in group.shared)
        parts.append(f"<h3>{len(group.numbers):,} × {escape(shortened(group.what, 300))}</h3>")
        parts.append(
            f"<p>{escape(group.where or '')} first #{group.numbers[0]}, last #{group.numbers[-1]}</p>"
        )
        parts += [f"<p>All of them have {escape(shared)}, and no good trial has.</p>"] if shared else []
        trace = traces[group.numbers[0]]
        parts += [f"<pre>{escape(trace[-4_000:])}</pre>"] if trace else []
    return "\n".join(parts)


def _again(study: Looked, store: str | None) -> str:
    spec = study.spec
    where = [] if store is None else ["--store", store]
    command = shlex.join(["luthier", "show", spec.name, *where])
    kept = {**spec_to_json(spec), "budget": budget_to_json(spec.budget)}
    rows = [
        ("made with", f"Luthier {_version()}, Python {platform.python_version()}, {platform.system()}"),
        ("seed", str(spec.seed)),
        ("see it", command),
    ]
    text = json.dumps(kept, indent=2, ensure_ascii=False)
    return f"{_rows(rows)}<details><summary>The question, as it is kept</summary><pre>{escape(text)}</pre></details>"
