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
    estimator = load(Path(__file__).with_name("model.skops").read_bytes())
    X = table(source)
    try:
        values = np.asarray(estimator.predict(X))
    except ValueError as error:
        sys.exit(f"predict.py: the model cannot read {source}: {error}")
    if values.ndim == 2:
        values = values[:, 0]
    if MODEL["coded"]:
        values = np.asarray(MODEL["classes"], dtype=object)[values.astype(int)]
    columns, rows = ["prediction"], [values.tolist()]
    if MODEL["classes"] is not None and hasattr(estimator, "predict_proba"):
        columns += [f"probability_{label}" for label in MODEL["classes"]]
        rows += np.asarray(estimator.predict_proba(X)).T.tolist()
    with Path(target).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*rows, strict=True))
    print(f"Wrote {len(values)} predictions to {target}.", file=sys.stderr)


def load(content: bytes) -> Any:
    """The fitted estimator."""
    if hashlib.sha256(content).hexdigest() != MODEL["sha256"]:
        sys.exit("predict.py: model.skops is not the file that was exported. Export the model again.")
    unknown = set(skops.io.get_untrusted_types(data=content)) - set(MODEL["types"])
    if unknown:
        sys.exit(f"predict.py: the model holds types that are not expected: {', '.join(sorted(unknown))}.")
    return skops.io.loads(content, trusted=MODEL["types"])


def table(source: str) -> Any:
    """The rows as the model reads them: its columns, found by name, in its order."""
    with Path(source).open(newline="", encoding="utf-8-sig") as file:
        head = file.readline()
        file.seek(0)
        reader = csv.reader(file, delimiter=max(",;\t", key=head.count))
        names = next(reader, [])
        rows = [row for row in reader if row]
    missing = [column["name"] for column in MODEL["inputs"] if column["name"] not in names]
    if missing:
        sys.exit(f"predict.py: {source} lacks columns that the model reads: {', '.join(missing)}.")
    if not rows:
        sys.exit(f"predict.py: {source} has no rows.")
    for n, row in enumerate(rows, 2):
        if len(row) != len(names):
            sys.exit(
                f"predict.py: line {n} of {source} has {len(row)} fields, and the header has {len(names)}."
            )
    columns = {
        column["name"]: read(column, [row[names.index(column["name"])] for row in rows])
        for column in MODEL["inputs"]
    }
    if not MODEL["frame"]:
        return np.column_stack(list(columns.values()))
    import pandas as pd

    return pd.DataFrame(columns)


EMPTY = {"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "n/a", "<NA>", "#N/A"}


def read(column: dict[str, Any], texts: list[str]) -> Any:
    """A column in the type that the model was fitted on; what is missing is NaN."""
    if column["type"] == "number":
        return np.array([number(column, n, text) for n, text in enumerate(texts, 2)])
    known = {str(level): level for level in column.get("levels", ())}
    values = [math.nan if text in EMPTY else known.get(text, text) for text in texts]
    return np.array(values, dtype=object)


def number(column: dict[str, Any], line: int, text: str) -> float:
    """A number, or NaN where there is none."""
    if text.strip() in EMPTY:
        return math.nan
    truths = {"true": 1.0, "false": 0.0}
    try:
        return truths[text.strip().lower()] if text.strip().lower() in truths else float(text)
    except ValueError:
        sys.exit(
            f"predict.py: column {column['name']!r} holds {text!r} in line {line}, and the model reads numbers there."
        )


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))  # steps of the model that are in no library are beside it
    if len(sys.argv) != 3:
        sys.exit("usage: python predict.py in.csv out.csv")
    main(sys.argv[1], sys.argv[2])
