"""The data that a study can be set up on: sets that come with scikit-learn, and files below the folder the studio was started in.

A browser names a table, and the name is looked up in a list that was made here: no path that it sends is ever opened. Of a file
only the head is read.
"""

from __future__ import annotations

import csv
import io
import os
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from luthier.errors import DataError, MissingExtra
from luthier.estimators import BUNDLED, Data, load_data
from luthier.estimators.data import DELIMITERS, is_frame, take_rows
from luthier.studio.words import say

KINDS = (".csv", ".tsv", ".parquet", ".npy", ".npz")
SKIPPED = frozenset({"node_modules", "__pycache__", "site-packages", "venv", "env", "build", "dist"})
MOST_FILES = 200
MOST_SEEN = 5_000
DEEP = 4
HEAD_BYTES = 1 << 20
COUNTED_BYTES = 64 << 20
"""Up to so many bytes the lines of a CSV are counted; of a longer one their number is estimated."""
HEAD_ROWS = 2_000
MOST_COLUMNS = 2_000
LAST = "-1"
FILES_BESIDE = 20


@dataclass(frozen=True, slots=True)
class Table:
    """What is known of a data set before a study: its size, its columns, and its first rows.

    `source` is what a study file says: the name of a bundled set, or an absolute path. `targets` are the columns that may be
    predicted; empty where the set brings its own.
    """

    name: str
    source: str
    rows: int
    columns: tuple[str, ...]
    width: int
    estimated: bool
    targets: tuple[str, ...]
    head: Any
    own: Any = None

    @property
    def brings_target(self) -> bool:
        """Whether nobody has to say what is predicted."""
        return not self.targets

    @property
    def size(self) -> str:
        """Rows and columns, in words."""
        about = "≈ " if self.estimated else ""
        return f"{about}{self.rows:,} × {self.width:,}"


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked of a target: classes to tell apart, or a number to predict. `partial` where only the head was looked at."""

    classes: tuple[Any, ...] | None
    X: Any
    y: Any
    partial: bool

    @property
    def kind(self) -> str:
        """What it is called: "classification" or "regression"."""
        return "regression" if self.classes is None else "classification"

    @property
    def binary(self) -> bool:
        """Whether there are two classes."""
        return self.classes is not None and len(self.classes) == 2


class Tables:
    """The data sets below a folder, and the bundled ones."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._lock = threading.Lock()

    def files(self) -> list[str]:
        """The files there are, by their path from the folder on; the first two hundred of them."""
        return [path.relative_to(self.root).as_posix() for path in self._found()]

    def names(self) -> list[str]:
        """Every data set."""
        return [*BUNDLED, *self.files()]

    def table(self, name: str) -> Table:
        """A data set by its name; raises DataError where there is none, or it cannot be read."""
        if name in BUNDLED:
            return _bundled(name)
        for path in self._found():
            if path.relative_to(self.root).as_posix() == name:
                return self._file(name, path)
        raise DataError(say("drafts.data.missing", name=name, root=self.root))

    def _file(self, name: str, path: Path) -> Table:
        try:
            known = path.stat()
            with self._lock:  # one at a time: a head may take some memory
                return _read(name, path, known.st_mtime_ns, known.st_size)
        except OSError as error:
            raise DataError(say("drafts.data.unreadable", name=name, why=error.strerror)) from None
        except DataError:
            raise
        except MissingExtra as error:
            raise DataError(str(error)) from None
        except Exception as error:  # readers of tables raise many kinds
            why = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(say("drafts.data.unreadable", name=name, why=why)) from None

    def _found(self) -> list[Path]:
        found: list[Path] = []
        for path in _walk(self.root):
            found.append(path)
            if len(found) >= MOST_FILES:
                break
        return sorted(found, key=lambda path: (len(path.relative_to(self.root).parts), str(path).lower()))


def task_of(table: Table, target: str) -> Task:
    """What there is to predict, as far as the rows show that were read. Raises DataError for what is no target."""
    if table.brings_target:
        data: Data = table.own
        return Task(data.classes, data.X, data.y, False)
    if target not in table.targets:
        raise DataError(say("drafts.target.missing", target=target, name=table.name))
    return _task(table.name, table.source, target, _stamp(table.source))


@lru_cache(maxsize=32)
def _task(name: str, source: str, target: str, stamp: tuple[int, int]) -> Task:
    path = Path(source)
    table = _read(name, path, *stamp)
    X, y = _parted(table, path, target)
    gaps = np.array([value is None or value != value for value in np.asarray(y, dtype=object).tolist()])
    if gaps.all():
        raise DataError(say("drafts.target.empty", target=target, name=name))
    kept = np.flatnonzero(~gaps)
    data = Data.of(take_rows(X, kept), take_rows(y, kept), name=name, target=target)
    return Task(data.classes, data.X, data.y, len(gaps) < table.rows)


def _stamp(source: str) -> tuple[int, int]:
    try:
        known = Path(source).stat()
    except OSError as error:
        raise DataError(say("drafts.data.unreadable", name=source, why=error.strerror)) from None
    return known.st_mtime_ns, known.st_size


def _parted(table: Table, path: Path, target: str) -> tuple[Any, Any]:
    """The head's features and its target."""
    head = table.head
    if is_frame(head):
        return head.drop(columns=target), head[target]
    if target.endswith(".npy"):
        y = np.load(path.parent / target, mmap_mode="r", allow_pickle=False)
        return head, np.array(y[: len(head)])
    if path.suffix == ".npz":
        return head, table.own
    column = int(target) % head.shape[1]
    return np.delete(head, column, axis=1), head[:, column]


@lru_cache(maxsize=len(BUNDLED))
def _bundled(name: str) -> Table:
    try:
        data = load_data(name)
    except MissingExtra as error:
        raise DataError(str(error)) from None
    columns = data.feature_names or tuple(map(str, range(data.columns)))
    return Table(name, name, data.rows, columns, data.columns, False, (), data.X, data)


# --- files -------------------------------------------------------------------------------------


def _walk(root: Path) -> Iterator[Path]:
    """Tables below a folder, the nearest first: nothing hidden, no links, not too deep, and not too many looked at."""
    seen, folders = 0, [(root, 0)]
    while folders:
        folder, depth = folders.pop(0)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            seen += 1
            if seen > MOST_SEEN:
                return
            if entry.name.startswith(".") or entry.name in SKIPPED or entry.is_symlink():
                continue
            if entry.is_dir(follow_symlinks=False):
                if depth < DEEP and not (Path(entry.path) / "pyvenv.cfg").exists():
                    folders.append((Path(entry.path), depth + 1))
            elif entry.name.lower().endswith(KINDS) and entry.is_file(follow_symlinks=False):
                yield Path(entry.path)


@lru_cache(maxsize=32)
def _read(name: str, path: Path, changed: int, size: int) -> Table:
    """A table as it was then."""
    match path.suffix.lower():
        case ".parquet":
            return _parquet(name, path)
        case ".npy" | ".npz":
            return _arrays(name, path)
    return _csv(name, path, size)


def _framed(name: str, path: Path, head: Any, rows: int, estimated: bool) -> Table:
    columns = tuple(map(str, head.columns))
    if len(set(columns)) < len(columns) or len(columns) < 2:
        raise DataError(say("drafts.data.columns", name=name))
    if len(columns) > MOST_COLUMNS:
        raise DataError(say("drafts.data.wide", name=name, n=f"{len(columns):,}", most=f"{MOST_COLUMNS:,}"))
    if not len(head):
        raise DataError(say("drafts.data.empty", name=name))
    head.columns = columns
    return Table(name, str(path), rows, columns, len(columns), estimated, columns, head)


def _csv(name: str, path: Path, size: int) -> Table:
    try:
        import pandas as pd
    except ModuleNotFoundError:
        raise MissingExtra("pandas", "data", f"reading {name}") from None
    with path.open("rb") as file:
        start = file.read(HEAD_BYTES)
        whole = len(start) >= size
        lines, last = start.count(b"\n"), start
        while not whole and file.tell() < min(size, COUNTED_BYTES):
            block = file.read(HEAD_BYTES)
            if not block:
                break
            lines, last = lines + block.count(b"\n"), block
        lines += not last.endswith(b"\n")
        estimated = file.tell() < size
        if estimated:
            lines = round(lines * size / file.tell())
    if b"\0" in start:
        raise DataError(say("drafts.data.binary", name=name))
    head = start if whole else start[: start.rfind(b"\n") + 1]
    first = head[:8192].decode("utf-8-sig", errors="replace").partition("\n")[0]
    delimiter = max(DELIMITERS, key=first.count)
    _check(name, head, delimiter)
    frame = pd.read_csv(io.BytesIO(head), sep=delimiter, encoding="utf-8-sig", nrows=HEAD_ROWS)
    rows = len(frame) if whole and len(frame) < HEAD_ROWS else max(lines - 1, len(frame))
    return _framed(name, path, frame, rows, estimated)


def _check(name: str, head: bytes, delimiter: str) -> None:
    """Every line has as many fields as the header: pandas would take those that are too many for names of rows."""
    reader = csv.reader(io.StringIO(head.decode("utf-8-sig"), newline=""), delimiter=delimiter)
    width = len(next(reader, []))
    for fields in reader:
        if fields and len(fields) != width:
            line = say("drafts.data.line", line=reader.line_num, n=len(fields), width=width)
            raise DataError(say("drafts.data.unreadable", name=name, why=line))


def _parquet(name: str, path: Path) -> Table:
    try:
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        raise MissingExtra("pyarrow", "data", f"reading {name}") from None
    with pq.ParquetFile(path) as file:
        if file.metadata.num_columns > MOST_COLUMNS:
            columns = f"{file.metadata.num_columns:,}"
            raise DataError(say("drafts.data.wide", name=name, n=columns, most=f"{MOST_COLUMNS:,}"))
        batch = next(file.iter_batches(batch_size=HEAD_ROWS), None)
        if batch is None:
            raise DataError(say("drafts.data.empty", name=name))
        return _framed(name, path, batch.to_pandas(), file.metadata.num_rows, False)


def _arrays(name: str, path: Path) -> Table:
    if path.suffix.lower() == ".npz":
        return _npz(name, path)
    found = np.load(path, mmap_mode="r", allow_pickle=False)
    if found.ndim != 2 or found.dtype.kind not in "iufb" or not all(found.shape):
        raise DataError(say("drafts.data.array", name=name, shape=found.shape))
    rows, width = found.shape
    if width > MOST_COLUMNS:
        raise DataError(say("drafts.data.wide", name=name, n=f"{width:,}", most=f"{MOST_COLUMNS:,}"))
    beside = [other.name for other in _beside(path, rows)]
    columns = tuple(map(str, range(width)))
    return Table(
        name, str(path), rows, columns, width, False, (LAST, *beside, *columns), np.array(found[:HEAD_ROWS])
    )


def _beside(path: Path, rows: int) -> Iterator[Path]:
    """Files of one number a row, which may be the target of the table beside them."""
    others = [other for other in sorted(path.parent.glob("*.npy"))[:FILES_BESIDE] if other != path]
    for other in others:
        try:
            if not other.is_symlink() and np.load(other, mmap_mode="r", allow_pickle=False).shape == (rows,):
                yield other
        except (OSError, ValueError):
            continue


def _npz(name: str, path: Path) -> Table:
    """The arrays X and y of an archive, whole: it is packed, and has no head. Large ones are refused."""
    with zipfile.ZipFile(path) as archive:
        if sum(info.file_size for info in archive.infolist()) > COUNTED_BYTES:
            raise DataError(say("drafts.data.large", name=name, most=f"{COUNTED_BYTES >> 20} MB"))
    with np.load(path, allow_pickle=False) as stored:
        names = list(stored.files)
        if "X" not in names or "y" not in names or stored["X"].ndim != 2 or stored["y"].ndim != 1:
            raise DataError(say("drafts.data.npz", name=name))
        X, y = stored["X"], stored["y"]
    columns = tuple(map(str, range(X.shape[1])))
    return Table(name, str(path), len(X), columns, X.shape[1], False, ("y",), X[:HEAD_ROWS], y[:HEAD_ROWS])
