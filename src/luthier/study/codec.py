"""Studies as JSON, with a version, and back; and where two questions differ."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from functools import cache
from typing import Any

from luthier.errors import InvalidStudy
from luthier.space import Params, Scalar
from luthier.space.codec import scalar_from_json, scalar_to_json, space_from_json, space_to_json
from luthier.study.spec import Budget, Constraint, Fidelity, Named, Objective, Problem, StudySpec
from luthier.study.trial import Proposal

VERSION = 1


def spec_to_json(spec: StudySpec) -> dict[str, Any]:
    """The spec as JSON, without its budget, which changes while the question stays."""
    problem = spec.problem
    return {
        "version": VERSION,
        "name": spec.name,
        "space": space_to_json(problem.space),
        "objectives": [_objective_to_json(objective) for objective in problem.objectives],
        "constraints": [
            {"metric": c.metric, "low": scalar_to_json(c.low), "high": scalar_to_json(c.high)}
            for c in problem.constraints
        ],
        "fidelity": None if problem.fidelity is None else asdict(problem.fidelity),
        "algorithm": _named_to_json(spec.algorithm),
        "stopping": None if spec.stopping is None else _named_to_json(spec.stopping),
        "seed": spec.seed,
        "batch": spec.batch,
        "start": [_first(first) for first in spec.start],
        "about": dict(spec.about),
    }


def _first(proposal: Proposal) -> dict[str, Any]:
    """A point to begin with; how far to train it only where it is said, so that older studies have the JSON they had."""
    more = {} if proposal.fidelity is None else {"fidelity": proposal.fidelity}
    return {"params": _scalars(proposal.params), "tag": _scalars(proposal.tag), **more}


def spec_from_json(data: Any, budget: Budget) -> StudySpec:
    """The spec; raises InvalidStudy for a newer version."""
    version = data.get("version") if isinstance(data, dict) else None
    if not isinstance(version, int) or version > VERSION:
        raise InvalidStudy(
            f"the study has format {version}, and this Luthier reads up to {VERSION}. Upgrade with: pip install -U luthier"
        )
    problem = Problem(
        space=space_from_json(data["space"]),
        objectives=tuple(
            Objective(o["metric"], o["goal"], o.get("noisy", False)) for o in data["objectives"]
        ),
        constraints=tuple(
            Constraint(c["metric"], _float(c["low"]), _float(c["high"])) for c in data["constraints"]
        ),
        fidelity=None if data["fidelity"] is None else Fidelity(**data["fidelity"]),
    )
    return StudySpec(
        name=data["name"],
        problem=problem,
        algorithm=Named(data["algorithm"]["name"], data["algorithm"]["options"]),
        stopping=None
        if data["stopping"] is None
        else Named(data["stopping"]["name"], data["stopping"]["options"]),
        budget=budget,
        seed=data["seed"],
        batch=data["batch"],
        start=tuple(
            Proposal(_unscalars(first["params"]), first.get("fidelity"), tag=_unscalars(first["tag"]))
            for first in data["start"]
        ),
        about=data["about"],
    )


def budget_to_json(budget: Budget) -> dict[str, Any]:
    """The budget as JSON. Later fields are written only where they say something: other budgets read as they ever did."""
    later = {f.name: f.default for f in fields(budget) if f.name in ("until", "cost", "currency", "deadline")}
    return {
        name: scalar_to_json(value)
        for name, value in asdict(budget).items()
        if name not in later or value != later[name]
    }


def budget_to_text(budget: Budget) -> str:
    """The budget as one line of JSON."""
    return json.dumps(budget_to_json(budget))


@cache
def budget_from_text(text: str) -> Budget:
    """The budget `budget_to_text` was given."""
    return Budget(**{name: scalar_from_json(value) for name, value in json.loads(text).items()})  # type: ignore[arg-type]


def differences(there: StudySpec, here: StudySpec) -> list[str]:
    """Where two questions differ, a phrase each: 'minimize loss there, maximize accuracy here'."""
    found = []
    ours, theirs = (_question(spec) for spec in (here, there))
    for part in theirs:
        if part in ("space", "about"):
            continue
        if theirs[part] != ours[part]:
            found.append(f"{part} {theirs[part]} there, {ours[part]} here")
    spaces = there.problem.space, here.problem.space
    for name in dict.fromkeys([*spaces[0], *spaces[1]]):
        a, b = (repr(space[name]) if name in space else "absent" for space in spaces)
        if a != b:
            found.append(f"parameter {name!r} is {a} there, {b} here")
    for key in dict.fromkeys([*there.about, *here.about]):
        x, y = there.about.get(key), here.about.get(key)
        if x != y:
            found.append(f"{key} {_short(x)} there, {_short(y)} here")
    return found


def _question(spec: StudySpec) -> dict[str, Any]:
    data = spec_to_json(spec)
    return {
        "objective": ", ".join(_goal(objective) for objective in spec.problem.objectives),
        "constraints": data["constraints"],
        "fidelity": data["fidelity"],
        "algorithm": _show(spec.algorithm),
        "stopping": None if spec.stopping is None else _show(spec.stopping),
        "seed": spec.seed,
        "batch": spec.batch,
        "start": data["start"],
        "space": data["space"],
        "about": data["about"],
    }


def _goal(objective: Objective) -> str:
    word = {"min": "minimize", "max": "maximize"}[objective.goal]
    return f"{word} {objective.metric}" + (" (noisy)" if objective.noisy else "")


def _show(named: Named) -> str:
    stored = json.loads(json.dumps(dict(named.options)))  # there tuples are lists
    options = ", ".join(f"{name}={value!r}" for name, value in stored.items())
    return f"{named.name}({options})" if options else named.name


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _objective_to_json(objective: Objective) -> dict[str, Any]:
    # Noise is said where there is some: studies from before it could be said are the same question as ever.
    said = {"metric": objective.metric, "goal": objective.goal}
    return {**said, "noisy": True} if objective.noisy else said


def _named_to_json(named: Named) -> dict[str, Any]:
    return {"name": named.name, "options": dict(named.options)}


def _scalars(values: Params) -> dict[str, Any]:
    return {name: scalar_to_json(value) for name, value in values.items()}


def _unscalars(values: dict[str, Any]) -> dict[str, Scalar]:
    return {name: scalar_from_json(value) for name, value in values.items()}


def _float(value: Any) -> float:
    number: Scalar = scalar_from_json(value)
    return 0.0 if number is None else float(number)
