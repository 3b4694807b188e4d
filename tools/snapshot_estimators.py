"""Write down what the parameters of all estimators of the installed scikit-learn may be.

    .venv/bin/python tools/snapshot_estimators.py

makes `src/luthier/estimators/snapshots/sklearn-X.Y.json`. Run it for each new minor version; `luthier.estimators.snapshots` says
what the file is for.
"""

import json
from pathlib import Path

import sklearn
from sklearn.experimental import enable_halving_search_cv, enable_iterative_imputer  # noqa: F401 - all of them
from sklearn.utils import all_estimators

from luthier.estimators.domain import domain_to_json, live_domains
from luthier.estimators.named import estimator_path

FOLDER = Path(__file__).parent.parent / "src/luthier/estimators/snapshots"


def main() -> None:
    estimators = {}
    for _, cls in all_estimators():
        if hasattr(cls, "_parameter_constraints"):
            domains = live_domains(cls)
            estimators[estimator_path(cls)] = {name: domain_to_json(d) for name, d in domains.items()}
    head = {"library": "scikit-learn", "version": sklearn.__version__}
    minor = ".".join(sklearn.__version__.split(".")[:2])
    path = FOLDER / f"sklearn-{minor}.json"
    # A line per parameter: a new version of scikit-learn is then a diff that can be read.
    blocks = [
        f"  {json.dumps(name)}: {{\n"
        + ",\n".join(f"   {json.dumps(p)}: {json.dumps(d)}" for p, d in of.items())
        + "\n  }"
        for name, of in sorted(estimators.items())
    ]
    text = json.dumps(head)[:-1] + ', "estimators": {\n' + ",\n".join(blocks) + "\n}}\n"
    json.loads(text)
    path.write_text(text, encoding="utf-8")
    print(f"{path.name}: {len(estimators)} estimators, {sum(map(len, estimators.values()))} parameters")


if __name__ == "__main__":
    main()
