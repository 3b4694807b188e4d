"""Predict every row of a CSV file: python predict.py in.csv out.csv

Needs what is in requirements.txt, and nothing else. The model is loaded without running code: its bytes must have the hash that
is written here, and it may be made of the types that are listed here, and of no others.
"""

import csv
import hashlib
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import skops.io

MODEL: dict[str, Any] = {}  # filled in by `luthier models export`


def main(source: str, target: str) -> None:
    """Read rows from one file, write a prediction for each to another."""
    estimator = load()
    X = table(*lines(source))
    try:
        values, chances = predict(estimator, X)
    except ValueError as error:
        sys.exit(f"predict.py: the model cannot read {source}: {error}")
    columns, rows = ["prediction"], [values]
    if chances is not None:
        columns += [f"probability_{label}" for label in MODEL["classes"]]
        rows += np.asarray(chances).T.tolist()
    with Path(target).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([plain(cell) for cell in row] for row in zip(*rows, strict=True))
    print(f"Wrote {len(values)} predictions to {target}.", file=sys.stderr)


def predict(estimator: Any, X: Any) -> tuple[list[Any], list[list[float]] | None]:
    """A value for each row, and the probability of each class where the model knows it."""
    values = np.asarray(estimator.predict(X))
    if values.ndim == 2:
        values = values[:, 0]
    if MODEL["coded"]:
        values = np.asarray(MODEL["classes"], dtype=object)[values.astype(int)]
    if MODEL["classes"] is None or not hasattr(estimator, "predict_proba"):
        return values.tolist(), None
    return values.tolist(), np.asarray(estimator.predict_proba(X)).tolist()


def plain(cell: Any) -> Any:
    """A text that a spreadsheet would take for a formula gets a quote before it."""
    if not isinstance(cell, str) or not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")):
        return cell
    return cell if cell[1:].replace(".", "", 1).isdecimal() else f"'{cell}"


def load() -> Any:
    """The fitted estimator."""
    content = Path(__file__).with_name("model.skops").read_bytes()
    if hashlib.sha256(content).hexdigest() != MODEL["sha256"]:
        sys.exit("predict.py: model.skops is not the file that was exported. Export the model again.")
    unknown = set(skops.io.get_untrusted_types(data=content)) - set(MODEL["types"])
    if unknown:
        sys.exit(f"predict.py: the model holds types that are not expected: {', '.join(sorted(unknown))}.")
    return skops.io.loads(content, trusted=MODEL["types"])


def lines(source: str) -> tuple[list[str], list[list[str]]]:
    """The names of the columns, and the rows, each as long."""
    with Path(source).open(newline="", encoding="utf-8-sig") as file:
        head = file.readline()
        file.seek(0)
        reader = csv.reader(file, delimiter=max(",;\t", key=head.count))
        names = next(reader, [])
        rows = [row for row in reader if row]
    if not rows:
        sys.exit(f"predict.py: {source} has no rows.")
    for n, row in enumerate(rows, 2):
        if len(row) != len(names):
            sys.exit(
                f"predict.py: line {n} of {source} has {len(row)} fields, and the header has {len(names)}."
            )
    return names, rows


def table(names: list[str], rows: list[list[str]], first: int = 2, place: str = "line") -> Any:
    """The rows as the model reads them: its columns, found by name, in its order. What is wrong in the first is in `place` `first`."""
    missing = [column["name"] for column in MODEL["inputs"] if column["name"] not in names]
    if missing:
        sys.exit(f"predict.py: the table lacks columns that the model reads: {', '.join(missing)}.")
    columns = {
        column["name"]: read(column, [row[names.index(column["name"])] for row in rows], first, place)
        for column in MODEL["inputs"]
    }
    if not MODEL["frame"]:
        return np.column_stack(list(columns.values()))
    import pandas as pd

    return pd.DataFrame(columns)


EMPTY = {"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "n/a", "<NA>", "#N/A"}


def read(column: dict[str, Any], texts: list[str], first: int, place: str) -> Any:
    """A column in the type that the model was fitted on; what is missing is NaN."""
    if column["type"] == "number":
        return np.array([number(column, f"{place} {n}", text) for n, text in enumerate(texts, first)])
    known = {str(level): level for level in column.get("levels", ())}
    values = [math.nan if text in EMPTY else known.get(text, text) for text in texts]
    return np.array(values, dtype=object)


def number(column: dict[str, Any], where: str, text: str) -> float:
    """A number, or NaN where there is none."""
    if text.strip() in EMPTY:
        return math.nan
    truths = {"true": 1.0, "false": 0.0}
    try:
        return truths[text.strip().lower()] if text.strip().lower() in truths else float(text)
    except ValueError:
        sys.exit(
            f"predict.py: column {column['name']!r} holds {text!r} in {where}, and the model reads numbers there."
        )


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))  # steps of the model that are in no library are beside it
    if len(sys.argv) != 3:
        sys.exit("usage: python predict.py in.csv out.csv")
    main(sys.argv[1], sys.argv[2])
