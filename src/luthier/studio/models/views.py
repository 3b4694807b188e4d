"""What each part of the pages of models shows, as plain data for its template. Words and numbers are those of `luthier.models`."""

from __future__ import annotations

import json
import math
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import numpy as np

from luthier.analysis.table import number as written
from luthier.files.study import size
from luthier.models.log import Event
from luthier.models.looks import held_of, looks_at
from luthier.models.manifest import typical_row
from luthier.models.notes import NOTES, card_of, noted
from luthier.models.registry import HELD
from luthier.models.told import latest_test, looks_of, score_of, told
from luthier.studio.looking import Shelf
from luthier.studio.models.cabinet import Shown
from luthier.studio.models.markdown import html
from luthier.studio.views import moment, whole
from luthier.studio.web import path_of
from luthier.studio.words import WORDS, say
from luthier.summary import plural, program, setting

PAGE = 50
WIDE = 60
"""So many columns have a field in the form to try a model."""
LISTED = 200
"""So many columns are listed."""
MOST_CLASSES = 30
BINS = 10
REASONS = 6
ORDERS = ("newest", "name")
ELSEWHERE = "http://127.0.0.1:9000"
"""Where `luthier serve` listens."""


def address(name: str, version: int) -> str:
    """The page of a version."""
    return path_of("models", name, str(version))


@dataclass(frozen=True, slots=True)
class Listing:
    """What of the board is asked for: the score shown, None for each study's own, the order, the page from 1."""

    score: str | None = None
    by: str = "newest"
    page: int = 1

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Listing:
        """From an address; what makes no sense there is ignored."""
        by = query.get("by", "")
        return cls(
            query.get("score") or None, by if by in ORDERS else "newest", max(1, whole(query.get("page"), 1))
        )

    def query(self, page: int | None = None) -> str:
        """As the end of an address."""
        said = {"score": self.score or "", "by": "" if self.by == "newest" else self.by}
        said["page"] = "" if (page or self.page) == 1 else str(page or self.page)
        found = {key: value for key, value in said.items() if value}
        return f"?{urlencode(found)}" if found else ""


# --- the board ---------------------------------------------------------------------------------


def board(found: Sequence[Shown], listing: Listing, place: str) -> dict[str, Any]:
    """A page of the versions."""
    ordered = (
        sorted(found, key=lambda one: (one.model.name.lower(), -one.model.version))
        if listing.by == "name"
        else found
    )
    pages = max(1, math.ceil(len(ordered) / PAGE))
    page = min(listing.page, pages)
    first = (page - 1) * PAGE
    return {
        "lines": [line(one, listing.score) for one in ordered[first : first + PAGE]],
        "count": say("models.count", n=plural(len(found), "version"), place=place),
        "range": say(
            "models.range",
            first=f"{first + 1:,}",
            last=f"{min(first + PAGE, len(ordered)):,}",
            total=f"{len(ordered):,}",
        ),
        "newer": listing.query(page - 1) if page > 1 else None,
        "older": listing.query(page + 1) if page < pages else None,
        "metrics": metrics(found),
        "listing": listing,
    }


def metrics(found: Iterable[Shown]) -> list[str]:
    """Every score that a version has, the most frequent first."""
    counts = Counter(
        name
        for one in found
        for name, said in (one.about.get("scores") or {}).items()
        if isinstance(said, dict)
    )
    return [name for name, _ in counts.most_common(60)]


def line(one: Shown, metric: str | None = None) -> dict[str, Any]:
    """A version on the board."""
    model, about = one.model, one.about
    score = score_of(about, metric)
    test = latest_test(model, one.events, metric) if model.version else None
    return {
        "name": model.name,
        "version": model.version,
        "href": address(model.name, model.version) if model.version else None,
        "champion": model.champion,
        "signed": model.signed,
        "problem": one.problem,
        "estimator": _short(about.get("estimator")),
        "study": about.get("study"),
        "trial": about.get("trial"),
        "score": None if score is None else written(score[1], score[2]),
        "metric": None if score is None else score[0],
        "test": None if test is None else rounded(test.value, test.event.about["scores"][test.metric]),
        "test_metric": None if test is None or score is None or test.metric == score[0] else test.metric,
        "looks": None if test is None else plural(test.looks, "look"),
        "held": held(one),
        "made": moment_of(about.get("created")),
        "size": size(one.bytes),
        "format": about.get("serializer"),
    }


def rounded(value: float, said: Sequence[float]) -> str:
    """With as many digits as the interval around the score warrants, where there is one."""
    error = (said[2] - said[1]) / 4 if len(said) == 3 else 0.0
    return written(value, error).partition(" ±")[0] if error > 0 else written(value)


def held(one: Shown) -> bool:
    """Whether rows were held back that it can be tested on."""
    return HELD in (one.about.get("files") or {})


def _short(path: Any) -> str:
    return str(path or "").rpartition(":")[2]


def moment_of(written_at: Any) -> dict[str, str] | None:
    """A time as it is written, for a <time> element; None for none."""
    try:
        return moment(datetime.fromisoformat(str(written_at)).timestamp())
    except ValueError:
        return None


def over_time(found: Sequence[Shown], metric: str | None) -> dict[str, Any]:
    """The chart: a score of every version by when it was made; without a metric the one that most were made for."""
    if metric is None:
        own = Counter(score[0] for one in found if (score := score_of(one.about)) is not None)
        metric = next((name for name, _ in own.most_common(1)), None)
    dots = []
    for one in found:
        score = score_of(one.about, metric) if metric else None
        made = moment_of(one.about.get("created"))
        if score is None or made is None or not math.isfinite(score[1]):
            continue
        test = latest_test(one.model, one.events, metric)
        dots.append(
            {
                "name": one.model.name,
                "version": one.model.version,
                "at": made["iso"],
                "value": score[1],
                "error": score[2],
                "test": None if test is None else test.value,
                "champion": one.model.champion,
                "href": address(one.model.name, one.model.version),
            }
        )
        if len(dots) >= 500:
            break
    return {"metric": metric, "dots": dots, "empty": len(dots) < 2}


def chart(found: Sequence[Shown], metric: str | None) -> dict[str, Any]:
    """The chart as a sentence."""
    data = over_time(found, metric)
    values = [dot["value"] for dot in data["dots"]]
    if not values:
        return {"summary": say("models.chart.none")}
    if len(values) == 1:
        [only] = data["dots"]
        about = {"name": only["name"], "version": only["version"], "value": written(only["value"])}
        return {"summary": say("models.chart.one", **about)}
    return {
        "summary": say(
            "models.chart.summary",
            metric=data["metric"],
            n=plural(len(values), "version"),
            low=written(min(values)),
            high=written(max(values)),
        )
    }


def not_kept(shelf: Shelf) -> dict[str, Any]:
    """What each study keeps, and why it did not keep more."""
    studies = []
    for shown in shelf.studies():
        if shown.spec.about.get("estimator") is None:
            continue
        facts = shown.facts()
        reasons: Any = facts.get("not_kept") or {}
        keep: Any = facts.get("keep")
        if not reasons and not keep:
            continue
        goals = {objective.metric: objective.goal for objective in shown.spec.problem.objectives}
        by_why = sorted(
            reasons.items(), key=lambda item: (item[1].startswith("it is number"), len(item[0]), item[0])
        )
        total = (keep or {}).get("left_out", len(reasons))
        studies.append(
            {
                "name": shown.name,
                "policy": None if keep is None else say("models.kept.policy", policy=policy(keep, goals)),
                "reasons": by_why[:REASONS],
                "more": max(0, total - min(REASONS, len(by_why))),
                "count": say("models.kept.count", n=plural(total, "trial")),
                "none": not facts.get("models"),
            }
        )
    return {"studies": studies[:PAGE]}


def policy(keep: Mapping[str, Any], goals: Mapping[str, str]) -> str:
    """What is kept, in words."""
    best = int(keep.get("best", 1))
    parts = [
        say("models.kept.all")
        if keep.get("all")
        else say("models.kept.first")
        if best == 1
        else say("models.kept.best", n=best)
        if best
        else say("models.kept.nothing")
    ]
    if keep.get("pareto"):
        parts.append(say("models.kept.pareto"))
    for metric, value in (keep.get("thresholds") or {}).items():
        side = "most" if goals.get(metric) == "min" else "least"
        parts.append(say(f"models.kept.{side}", metric=metric, value=f"{value:g}"))
    return ", ".join(parts)


# --- one version -------------------------------------------------------------------------------


def head(one: Shown, versions: Sequence[Shown]) -> dict[str, Any]:
    """What it is, and what may be done with it."""
    champion = next((other.model.version for other in versions if other.model.champion), None)
    past = [event for event in one.events if event.what == "promoted"]
    return line(one) | {
        "versions": [
            {
                "version": other.model.version,
                "champion": other.model.champion,
                "href": address(other.model.name, other.model.version),
                "here": other.model.version == one.model.version,
            }
            for other in reversed(versions)
        ],
        "champion_version": champion,
        "can_roll_back": one.model.champion and len({event.version for event in past}) > 1,
        "usable": one.problem is None and one.model.signed and one.about.get("serializer") == "skops",
        "why_not": one.problem or (None if one.model.signed else say("models.unsigned.how")),
        "verdict": verdict(one),
    }


def verdict(one: Shown) -> str | None:
    """What was decided last about this version as the one to use."""
    for event in reversed(one.own):
        if event.what in ("promoted", "challenged"):
            return str(event.about.get("why") or "")
    return None


def scores(one: Shown) -> dict[str, Any]:
    """All scores, validation and test, and the looks."""
    about, looks = one.about, looks_of(one.model, one.events)
    last = looks[-1].about if looks else None
    rows = []
    goal = next((o.get("metric") for o in about.get("objective") or []), None)
    known: Mapping[str, Any] = about.get("scores") or {}
    for name in dict.fromkeys([*known, *((last or {}).get("scores") or {})]):
        said = known.get(name) or {}
        test = _last_of(looks, name)
        rows.append(
            {
                "metric": name,
                "primary": name == goal,
                "mean": written(said["mean"], said.get("se"))
                if isinstance(said.get("mean"), int | float)
                else None,
                "folds": ", ".join(written(value) for value in said.get("folds") or []),
                "test": None if test is None else rounded(test[0], test),
                "between": None
                if test is None or len(test) < 3
                else f"{rounded(test[1], test)} – {rounded(test[2], test)}",
            }
        )
    tried = about.get("tried")
    on = None
    if last is not None:
        on = say(
            "models.looks.on",
            data=last["data"],
            rows=plural(last["rows"], "row"),
            looks=plural(looks_at(one.events, last["fingerprint"]), "look"),
        )
    return {
        "rows": rows,
        "flatter": say("models.scores.flatter", tried=plural(tried, "trial")) if tried else None,
        "on": on,
        "held": held(one),
        "usable": one.problem is None and one.model.signed,
        "target": (about.get("data") or {}).get("target"),
    }


def _last_of(looks: Sequence[Event], metric: str) -> list[float] | None:
    for event in reversed(looks):
        if metric in event.about["scores"]:
            found: list[float] = event.about["scores"][metric]
            return found
    return None


def lineage(one: Shown, studies: Iterable[str]) -> dict[str, Any]:
    """From the data to the environment, in the order in which one came from the other."""
    about = one.about
    data: Mapping[str, Any] = about.get("data") or {}
    study, trial = about.get("study"), about.get("trial")
    here = study in set(studies)
    steps: list[tuple[str, list[str], str | None]] = []

    def step(key: str, *texts: str | None, href: str | None = None) -> None:
        found = [text for text in texts if text]
        if found:
            steps.append((say(f"models.lineage.{key}"), found, href))

    if data:
        named = say(
            "models.lineage.data.text",
            name=data.get("name", "–"),
            rows=f"{data.get('rows', 0):,}",
            columns=f"{data.get('columns', 0):,}",
        )
        print_ = data.get("fingerprint")
        step("data", named, print_ and say("models.lineage.fingerprint", text=f"{print_[:12]}…"))
    step(
        "prepared",
        *(f"{', '.join(row['columns']) or 'all'}: {row['done']}" for row in about.get("prepared") or []),
    )
    seed = about.get("seed")
    step("split", about.get("cv"), None if seed is None else say("models.lineage.seed", seed=seed))
    step(
        "study",
        study and f"{study}{'' if not about.get('algorithm') else ', ' + str(about['algorithm'])}",
        href=path_of("s", str(study)) if here else None,
    )
    step(
        "trial",
        None if trial is None else f"#{trial}",
        href=f"{path_of('s', str(study))}/t/{trial}" if here else None,
    )
    params: Mapping[str, Any] = about.get("params") or {}
    step("params", ", ".join(f"{name}={setting(value)}" for name, value in list(params.items())[:40]))
    step("estimator", about.get("estimator"), about.get("fixed"))
    libraries = ", ".join(f"{name} {version}" for name, version in (about.get("libraries") or {}).items())
    step("environment", f"Python {about.get('python', '–')}, Luthier {about.get('luthier', '–')}", libraries)
    step("signature", say("models.signed") if one.model.signed else say("models.unsigned.how"))
    return {"steps": steps}


def inputs(one: Shown) -> dict[str, Any]:
    """The columns that it reads, and what it answers with."""
    columns = list(one.about.get("inputs") or ())
    output: Mapping[str, Any] = one.about.get("output") or {}
    classes = output.get("classes")
    what = say("models.output.number")
    if classes is not None:
        shown = ", ".join(map(str, classes[:10])) + (", …" if len(classes) > 10 else "")
        what = say("models.output.class", n=len(classes), classes=shown)
    return {
        "rows": [_column(column) for column in columns[:LISTED]],
        "more": max(0, len(columns) - LISTED),
        "output": say("models.output", what=what),
    }


def _column(column: Mapping[str, Any]) -> dict[str, Any]:
    seen = ""
    if column.get("range"):
        low, high = column["range"]
        seen = f"{written(low)} to {written(high)}"
    elif column.get("levels"):
        levels = column["levels"]
        seen = ", ".join(map(str, levels[:12])) + (", …" if len(levels) > 12 else "")
    return {"name": column["name"], "type": column["type"], "seen": seen, "gaps": bool(column.get("missing"))}


def fields(one: Shown, given: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The form to try it: a field for each column, filled with what was given or else a typical row."""
    columns = list(one.about.get("inputs") or ())
    typical = typical_row(columns)
    made = []
    for place, column in enumerate(columns[:WIDE]):
        name = str(column["name"])
        field = f"c{place}"
        value = given[field] if given is not None and field in given else _text(typical.get(name))
        levels = column.get("levels") if column["type"] != "number" else None
        bounds = column.get("range")
        made.append(
            {
                "field": field,
                "name": name,
                "number": column["type"] == "number",
                "levels": None if levels is None else [_text(level) for level in levels],
                "missing": bool(column.get("missing")),
                "value": value,
                "hint": say("models.try.seen", low=written(bounds[0]), high=written(bounds[1]))
                if bounds
                else None,
            }
        )
    return {
        "fields": made,
        "wide": say("models.try.wide", n=f"{len(columns):,}") if len(columns) > WIDE else None,
        "target": (one.about.get("data") or {}).get("target") or say("models.try.prediction"),
    }


def row_of(one: Shown, form: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """The row that was typed: names of columns, and texts."""
    columns = [str(column["name"]) for column in one.about.get("inputs") or ()]
    return columns, [form.get(f"c{place}", "") for place in range(len(columns))]


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case float():
            return f"{value:.6g}"
    return str(value)


def curl(one: Shown, url: str, token: str = "$TOKEN") -> str:
    """A command that asks the deployed model about a typical row."""
    body = json.dumps({"rows": [typical_row(one.about.get("inputs") or ())]}, ensure_ascii=False)
    quoted = (
        f'"Authorization: Bearer {token}"'
        if token.startswith("$")
        else shlex.quote(f"Authorization: Bearer {token}")
    )
    return f"curl -H {quoted} -H 'Content-Type: application/json' \\\n  -d {shlex.quote(body)} \\\n  {url}/predict"


def serving(one: Shown, store: str | None) -> str:
    """The command that serves it from a terminal."""
    own = "" if store is None else f" --store {shlex.quote(store)}"
    return f"{program()} serve {shlex.quote(one.model.name)} --version {one.model.version}{own}"


def card(one: Shown) -> dict[str, Any]:
    """The card as it is now, and its notes to be changed."""
    now = noted(one.about, one.model.version, one.events)
    return {
        "card": html(card_of(one.model, one.events), 2),
        "notes": [(key, say(f"models.notes.{key}"), str(now.get(key) or "")) for key in NOTES],
    }


def since(one: Shown) -> dict[str, Any]:
    """What happened to it, the latest first."""
    return {
        "events": [
            {
                "at": moment_of(event.at),
                "what": WORDS.get(f"models.event.{event.what}", event.what),
                "told": _told(event),
            }
            for event in reversed(one.own[-LISTED:])
        ]
    }


def _told(event: Event) -> str:
    text = told(event)
    return "" if text == event.what else text


def confusion(one: Shown) -> dict[str, Any] | None:
    """What it took for what among the rows held back, once somebody has looked at them; None where there is nothing to show."""
    if not held(one) or one.problem or not one.model.signed:
        return None
    found = held_of(one.model)
    if not any(
        event.about.get("fingerprint") == found.fingerprint for event in looks_of(one.model, one.events)
    ):
        return None
    classes = found.answers.classes
    if classes is None or len(classes) > MOST_CLASSES:
        return None
    labels = np.asarray(classes)
    true, said = (np.searchsorted(labels, values) for values in (found.y, found.answers.values))
    counts = np.zeros((len(labels), len(labels)), dtype=int)
    np.add.at(counts, (true, said), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return {
        "how": say("models.confusion.how", data=found.data, rows=plural(len(found.y), "row")),
        "classes": [str(label) for label in classes],
        "rows": [
            [(int(n), round(9 * float(share))) for n, share in zip(row, part, strict=True)]
            for row, part in zip(counts, shares, strict=True)
        ],
        "bins": _calibration(found.answers.probabilities, said, true),
    }


def _calibration(chances: Any, said: Any, true: Any) -> list[dict[str, Any]]:
    """How sure it was of what it said, and how often that was so; by tenths."""
    if chances is None:
        return []
    sure = np.asarray(chances)[np.arange(len(said)), said]
    place = np.minimum((sure * BINS).astype(int), BINS - 1)
    return [
        {
            "said": f"{sure[place == b].mean():.0%}",
            "was": f"{np.mean(said[place == b] == true[place == b]):.0%}",
            "rows": int(np.sum(place == b)),
        }
        for b in range(BINS)
        if np.any(place == b)
    ]
