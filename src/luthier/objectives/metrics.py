"""What a command says of itself while it runs: lines, JSON, patterns, MLflow's and TensorBoard's files, read as they grow."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from luthier.errors import InvalidStudy
from luthier.objectives.tensorboard import EventFile

PIECE = 1 << 20
MOST_AT_ONCE = 16 << 20
"""Bytes of a file that are read at one look, so that one who prints faster than we read can still be stopped."""
LONGEST_LINE = 1 << 16
"""Bytes; of a line that goes on beyond, the end is read."""


# --- where a metric comes from -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pattern:
    """Numbers found in the output by a regular expression: its group `value`, else the first other than `step`, else all of it.
    Each match is a report; the step is the group `step`, else it counts up from 1.
    """

    regex: str

    def __post_init__(self) -> None:
        try:
            re.compile(self.regex)
        except re.error as error:
            raise InvalidStudy(
                f"the pattern {self.regex!r} is no regular expression: {error}. A backslash before a sign takes it as it is."
            ) from None


@dataclass(frozen=True, slots=True)
class Json:
    """Numbers under `key` in a file of JSON lines, "val.loss" for one inside another. `file` is relative to the work folder."""

    key: str
    file: str
    step: str = "step"


@dataclass(frozen=True, slots=True)
class MLflow:
    """A metric of a file store of MLflow; `folder` (as it is for `TensorBoard`) is searched for `metrics/KEY`."""

    key: str
    folder: str = "."


@dataclass(frozen=True, slots=True)
class TensorBoard:
    """A tag of TensorBoard's event files; `folder`, relative to the work folder, is searched for them with all below it."""

    tag: str
    folder: str = "."


Source = Pattern | Json | MLflow | TensorBoard


@dataclass(frozen=True, slots=True)
class Said:
    """Something that a command said: metrics at a step, or without one, as its result; or that a checkpoint is complete."""

    step: int | None
    metrics: Mapping[str, float]
    checkpoint: str | None = None


class _Heard(Protocol):
    """Where something is said."""

    def hear(self, final: bool) -> Iterator[Said]:
        """What is new."""
        ...


# --- all of it -----------------------------------------------------------------------------------


class Listener:
    """Reads all that one attempt says. `results` are the latest values, `notes` sentences on what was odd, once for each kind."""

    def __init__(
        self, sources: Mapping[str, Source], log: Path, reports: Path, folder: Path, start: int = 0
    ) -> None:
        self.results: dict[str, float] = {}
        self.log = log
        self.start = start
        self._notes: dict[str, str] = {}
        self._steps: dict[str, dict[int, float]] = {}
        patterns = {name: source for name, source in sources.items() if isinstance(source, Pattern)}
        self._printed = _Printed(Tail(log, start), patterns, self.note)
        self._files: list[_Heard] = [_JsonLines(Tail(reports), None, self.note)]
        for name, source in sources.items():
            match source:
                case Json():
                    self._files.append(_JsonLines(Tail(folder / source.file), (name, source), self.note))
                case MLflow():
                    self._files.append(_MLflowFiles(folder / source.folder, source.key, name, self.note))
                case TensorBoard():
                    self._files.append(_TensorBoardFiles(folder / source.folder, source.tag, name, self.note))

    @property
    def notes(self) -> list[str]:
        """What was odd."""
        return list(self._notes.values())

    def hear(self, *, printed_only: bool = False, final: bool = False) -> Iterator[Said]:
        """What is new; reports of one step that come together are put together. `final`: nothing more will come, so that a line
        without an end is one too; `printed_only` leaves the files for another time.
        """
        sources: list[_Heard] = [self._printed] if printed_only else [self._printed, *self._files]
        pending: Said | None = None
        for source in sources:
            for said in self._heard(source, final):
                self._keep(said)
                if (
                    pending is not None
                    and said.checkpoint is None
                    and (pending.step, pending.checkpoint) == (said.step, None)
                ):
                    pending = Said(said.step, {**pending.metrics, **said.metrics})
                    continue
                if pending is not None:
                    yield pending
                pending = said
        if pending is not None:
            yield pending

    def _heard(self, source: _Heard, final: bool) -> Iterator[Said]:
        try:
            yield from source.hear(final)
        except OSError as error:  # a folder that goes away while it is looked through
            self.note("file", f"a file with metrics could not be read: {error}.")

    def _keep(self, said: Said) -> None:
        self.results.update(said.metrics)
        for name, value in said.metrics.items():
            at = "" if said.step is None else f" at step {said.step}"
            if math.isnan(value):
                self.note(f"nan {name}", f"{name} is NaN{at}: no number that could be better or worse.")
            if said.step is None:
                continue
            steps = self._steps.setdefault(name, {})
            if said.step in steps and steps[said.step] != value and not math.isnan(value):
                before = f"{steps[said.step]:g}, then {value:g}"
                self.note(
                    f"twice {name}",
                    f"{name} was reported twice for step {said.step}: {before}. The later one counts.",
                )
            elif steps and said.step < (last := next(reversed(steps))):
                self.note(
                    f"back {name}",
                    f"the steps of {name} go back, from {last} to {said.step}. Let them grow over the whole trial: stopping "
                    "policies compare trials at the same step.",
                )
            steps[said.step] = value

    def note(self, kind: str, text: str) -> None:
        """Keep a sentence, the first of its kind."""
        self._notes.setdefault(kind, text)


class Tail:
    """The lines of a growing file, from `start`; none while it is not there. A carriage return ends a line as well."""

    def __init__(self, path: Path, start: int = 0) -> None:
        self._path = path
        self._at = start
        self._rest = b""

    def lines(self, final: bool, containing: bytes = b"") -> Iterator[str]:
        """Lines that are complete by now, of those `containing` something; `final` reads to the end, and counts what is left as
        a line.
        """
        try:
            with self._path.open("rb") as file:
                end = file.seek(0, 2)
                end = end if final else min(end, self._at + MOST_AT_ONCE)
                file.seek(self._at)
                while self._at < end and (piece := file.read(min(PIECE, end - self._at))):
                    self._at += len(piece)
                    data = (self._rest + piece).replace(b"\r", b"\n")
                    if containing not in data:
                        self._rest = data[data.rfind(b"\n") + 1 :][-LONGEST_LINE:]
                        continue
                    *lines, rest = data.split(b"\n")
                    self._rest = rest[-LONGEST_LINE:]
                    wanted = (line for line in lines if line and containing in line)
                    yield from (line.decode(errors="replace") for line in wanted)
        except FileNotFoundError:
            return
        if final and self._rest:
            rest, self._rest = self._rest, b""
            yield rest.decode(errors="replace")


# --- what is printed -----------------------------------------------------------------------------

_OURS = re.compile(r"(?:^|\s)luthier:\s+(.*?)\s*$")
_PAIR = re.compile(r"([^\s=,;]+)\s*=\s*([^\s,;]+)[,;]?(?:\s+|$)")
_CHECKPOINT = re.compile(r"checkpoint\s*=\s*(.+)")


class _Printed:
    def __init__(self, tail: Tail, patterns: Mapping[str, Pattern], note: Any) -> None:
        self._tail = tail
        self._patterns = {name: re.compile(pattern.regex) for name, pattern in patterns.items()}
        self._count = dict.fromkeys(patterns, 0)
        self._note = note

    def hear(self, final: bool) -> Iterator[Said]:
        for line in self._tail.lines(final, b"" if self._patterns else b"luthier:"):
            if "luthier:" in line and (found := _OURS.search(line)):
                said = self._ours(found[1], line)
                if said is not None:
                    yield said
                    continue
            for name, regex in self._patterns.items():
                for match in regex.finditer(line):
                    yield from self._matched(name, match, line)

    def _ours(self, text: str, line: str) -> Said | None:
        if found := _CHECKPOINT.fullmatch(text):
            return Said(None, {}, checkpoint=found[1])
        pairs = list(_PAIR.finditer(text))
        if not pairs or sum(len(pair[0]) for pair in pairs) != len(text):
            return None  # something that Luthier itself said, or a sentence
        values = {pair[1]: pair[2] for pair in pairs}
        return _said(values, f"the line {line.strip()!r}", self._note)

    def _matched(self, name: str, match: re.Match[str], line: str) -> Iterator[Said]:
        self._count[name] += 1
        groups = match.groupdict()
        if "value" in groups:
            text = groups["value"]
        else:
            others = [i for i in range(1, match.re.groups + 1) if i != match.re.groupindex.get("step")]
            text = match[others[0]] if others else match[0]
        values = {name: text, "step": groups.get("step") or self._count[name]}
        said = _said(values, f"the pattern of {name!r} in the line {line.strip()!r}", self._note)
        if said is not None:
            yield said


def _said(values: Mapping[str, Any], where: str, note: Any, step: str = "step") -> Said | None:
    """Metrics and a step; None, and a note, where they are no numbers."""
    metrics: dict[str, float] = {}
    at: int | None = None
    for name, value in values.items():
        number = _number(value)
        if number is None or (name == step and not number.is_integer()):
            what = "a whole number, which a step is" if name == step else "a number"
            note(f"number {name}", f"{where} was not understood: {name}={value} is not {what}.")
            return None
        if name == step:
            at = int(number)
        else:
            metrics[name] = number
    return Said(at, metrics) if metrics else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


# --- files ---------------------------------------------------------------------------------------


class _JsonLines:
    def __init__(self, tail: Tail, wanted: tuple[str, Json] | None, note: Any) -> None:
        self._tail = tail
        self._wanted = wanted
        self._note = note

    def hear(self, final: bool) -> Iterator[Said]:
        for line in self._tail.lines(final):
            try:
                given = json.loads(line)
            except ValueError:
                given = None
            if not isinstance(given, dict):
                self._note("json", f"a line of the metrics file is no JSON object: {line.strip()[:200]!r}.")
                continue
            said = self._read(dict(_flat("", given)), line)
            if said is not None:
                yield said

    def _read(self, given: dict[str, Any], line: str) -> Said | None:
        where = f"the line {line.strip()[:200]!r} of the metrics file"
        if self._wanted is not None:
            name, source = self._wanted
            if source.key not in given:
                return None
            values = {name: given[source.key]}
            if source.step in given:
                values["step"] = given[source.step]
            return _said(values, where, self._note)
        if isinstance(given.get("checkpoint"), str):
            return Said(None, {}, checkpoint=given["checkpoint"])
        numbers = {
            name: value
            for name, value in given.items()
            if name == "step" or not isinstance(value, str | bool)
        }
        return _said({k: v for k, v in numbers.items() if v is not None}, where, self._note)


def _flat(at: str, given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in given.items():
        if isinstance(value, dict):
            yield from _flat(f"{at}{key}.", value)
        elif not isinstance(value, list):
            yield f"{at}{key}", value


class _MLflowFiles:
    """`.../RUN/metrics/KEY`: lines of a time, a value and a step."""

    def __init__(self, folder: Path, key: str, name: str, note: Any) -> None:
        self._folder = folder
        self._key = key
        self._name = name
        self._note = note
        self._tails: dict[Path, Tail] = {}

    def hear(self, final: bool) -> Iterator[Said]:
        for found in self._folder.rglob("metrics"):
            path = found / self._key
            if path not in self._tails and path.is_file():
                self._tails[path] = Tail(path)
        for path, tail in self._tails.items():
            for line in tail.lines(final):
                fields = line.split()
                if len(fields) < 2:
                    self._note("mlflow", f"{path} has the line {line!r}, which is not 'time value step'.")
                    continue
                values = {self._name: fields[1], "step": fields[2] if len(fields) > 2 else 0}
                said = _said(values, f"the line {line!r} of {path}", self._note)
                if said is not None:
                    yield said


class _TensorBoardFiles:
    def __init__(self, folder: Path, tag: str, name: str, note: Any) -> None:
        self._folder = folder
        self._tag = tag
        self._name = name
        self._note = note
        self._files: dict[Path, EventFile] = {}

    def hear(self, final: bool) -> Iterator[Said]:
        for path in self._folder.rglob("*.tfevents.*"):
            self._files.setdefault(path, EventFile(path))
        for path in sorted(self._files):
            file = self._files[path]
            for scalar in file.read():
                if scalar.tag == self._tag:
                    yield Said(scalar.step, {self._name: scalar.value})
            if file.broken:
                self._note("tensorboard", f"{path} cannot be read to its end: it is damaged.")


# --- what might have been meant ------------------------------------------------------------------

_LIKE = re.compile(r"([A-Za-z_][\w./-]*)\s*[=:]\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)")
SHOWN = 3


@dataclass(frozen=True, slots=True)
class Likeness:
    """A line that looks like metrics."""

    line: str
    names: tuple[str, ...]


def likely(lines: Iterable[str], metric: str) -> list[Likeness]:
    """The last lines that look like metrics, up to three; those with a name like `metric` before others."""
    found: dict[tuple[str, ...], Likeness] = {}
    for line in lines:
        names = tuple(match[1] for match in _LIKE.finditer(line))
        if names:
            found[names] = Likeness(line.strip()[:160], names)
    near = [like for like in found.values() if any(metric.lower() in name.lower() for name in like.names)]
    return (near or list(found.values()))[-SHOWN:]


def pattern_for(metric: str, like: Likeness) -> str:
    """A regular expression that finds the number in such a line."""
    near = [name for name in like.names if metric.lower() in name.lower()]
    name = (near or like.names)[0]
    between = re.search(rf"{re.escape(name)}(\s*[=:]\s*)", like.line)
    sign = "" if between is None else re.sub(r"\s+", r"\\s*", between[1])
    return f"{re.escape(name)}{sign}([-+.0-9eE]+)".replace("\\-", "-")
