"""The time of `import luthier`. Must hold: no more than 1.5 times that of `import numpy`, plus 0.1 s.

python benchmarks/import_time.py [--runs 9]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

HEAVY = ("sklearn", "pandas", "scipy.stats", "sqlalchemy.orm", "starlette", "fastapi", "ray", "torch")


def seconds(statement: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    given = parser.parse_args()
    seconds("import luthier")  # so that files are in the cache
    times: dict[str, list[float]] = {"pass": [], "import numpy": [], "import luthier": []}
    for _ in range(given.runs):
        for statement, found in times.items():
            found.append(seconds(statement))
    bare, numpy, luthier = (statistics.median(found) for found in times.values())
    print(f"import numpy   {numpy - bare:.3f} s")
    print(f"import luthier {luthier - bare:.3f} s   (must be at most {1.5 * (numpy - bare) + 0.1:.3f})")
    trace = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import luthier"],
        check=True,
        capture_output=True,
        text=True,
    ).stderr
    modules = {line.rpartition("|")[2].strip() for line in trace.splitlines()}
    found = sorted(module for module in modules if module.startswith(HEAVY))
    print(f"heavy modules  {', '.join(found) or 'none'}")


if __name__ == "__main__":
    main()
