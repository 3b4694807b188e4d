"""A CSV with a prediction for each row of another: the checks of the endpoint, and its process for the model."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from luthier.errors import DataError
from luthier.serving.predictor import Predictor
from luthier.serving.rows import MOST_ROWS, Refused, Rows, Table, csv_reader, fields, header
from luthier.serving.source import Source


def predict_file(source: Source, read: Path, write: Path) -> int:
    """Write a prediction for each row of `read` to `write`, and answer with how many. Any number of rows: they go in parts.

    Strings that a spreadsheet would take for formulas are written so that it does not. Raises DataError, with the row, where the file
    is not what the model reads; `write` is there whole or not at all.
    """
    hidden = write.with_name(f".{write.name}.new")
    try:
        try:
            with read.open(newline="", encoding="utf-8-sig") as lines, hidden.open("wb") as out:
                rows = asyncio.run(_predict(source, lines, out))
            hidden.replace(write)
        finally:
            hidden.unlink(missing_ok=True)
    except Refused as refused:
        raise DataError(f"{str(read)!r}: {refused}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{str(read)!r} is no CSV in UTF-8 ({error.reason}). Save it as UTF-8.") from None
    except OSError as error:
        raise DataError(
            f"{error.filename or str(write)!r}: {error.strerror or error}. Choose another place."
        ) from None
    return rows


async def _predict(source: Source, lines: Any, out: Any) -> int:
    predictor = Predictor(source)
    done = 0
    watching: asyncio.Task[None] | None = None
    try:
        for table in _tables(Rows.of(source.manifest), lines):
            if watching is None:  # a file that is none is refused before the model is loaded
                await predictor.start()
                watching = asyncio.create_task(predictor.run())
            status, body = await predictor.ask(table, "csv")
            if status != 200:
                raise Refused(status, f"rows {done + 1:,} to {done + table.rows:,}: {_sentence(body)}")
            out.write(body if not done else body[body.index(b"\n") + 1 :])
            done += table.rows
    finally:
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        await predictor.close()
    if not done:
        raise Refused(422, "there are no rows below the header.")
    return done


def _tables(rows: Rows, lines: Any) -> Iterator[Table]:
    first = lines.readline()
    lines.seek(0)
    reader = csv_reader(lines, first)
    names = header(reader)
    part: list[list[str]] = []
    done = 0
    for row in fields(reader, len(names)):
        part.append(row)
        if len(part) == MOST_ROWS:
            yield rows.from_texts(names, part, done + 1)
            done += len(part)
            part = []
    if part:
        yield rows.from_texts(names, part, done + 1)


def _sentence(body: bytes) -> str:
    import json

    return str(json.loads(body)["error"])
