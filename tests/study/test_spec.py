import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.errors import InvalidStudy
from luthier.space import Float, Int, Space
from luthier.study import Budget, Constraint, Fidelity, Named, Objective, Problem, Proposal, StudySpec
from luthier.study.codec import budget_from_text, budget_to_text, differences, spec_from_json, spec_to_json
from tests.space.strategies import spaces

LOSS = (Objective("loss", "min"),)
SPEC = StudySpec("first", Problem(Space(x=Float(0, 1), n=Int(1, 3)), LOSS), Named("random"))

bounds = st.floats(allow_nan=False)
metrics = st.text(min_size=1, max_size=5).filter(str.strip)


@st.composite
def specs(draw: st.DrawFn) -> StudySpec:
    space = draw(spaces(most=4))
    names = draw(st.lists(metrics, min_size=1, max_size=3, unique=True))
    low, high = sorted([draw(bounds), draw(bounds)])
    options = st.dictionaries(st.text(max_size=4), st.integers() | st.booleans() | st.none(), max_size=2)
    return StudySpec(
        name=draw(st.text(min_size=1).filter(lambda s: s.strip() and "/" not in s and not s.startswith("."))),
        problem=Problem(
            space,
            tuple(
                Objective(name, draw(st.sampled_from(["min", "max"])), draw(st.booleans())) for name in names
            ),
            tuple(Constraint(name, low, high) for name in names[:1]),
            draw(st.none() | st.just(Fidelity("epochs", 1, 81, log=True))),
        ),
        algorithm=Named("random", draw(options)),
        stopping=draw(st.none() | st.just(Named("median", {"grace": 5}))),
        seed=draw(st.integers(0, 2**63)),
        batch=draw(st.none() | st.integers(1, 9)),
        start=tuple(
            Proposal({name: p.at(0.5) for name, p in space.items()}, tag={"by": "start"})
            for _ in range(draw(st.integers(0, 2)))
        ),
        about=draw(
            st.dictionaries(st.text(max_size=4), st.text(max_size=4) | st.lists(st.integers()), max_size=2)
        ),
    )


@given(specs())
def test_a_spec_comes_back_from_json(spec: StudySpec) -> None:
    data = json.loads(json.dumps(spec_to_json(spec), allow_nan=False))
    back = spec_from_json(data, spec.budget)
    assert back == spec
    assert repr(back) == repr(spec)
    assert differences(spec, back) == []


@given(
    st.builds(
        Budget, trials=st.none() | st.integers(1), target=st.none() | bounds, seconds=st.none() | st.floats(1)
    )
)
def test_a_budget_comes_back_from_text(budget: Budget) -> None:
    assert budget_from_text(budget_to_text(budget)) == budget


def test_the_budget_is_no_part_of_the_question() -> None:
    other = replace(SPEC, budget=Budget(trials=7))
    assert differences(SPEC, other) == []
    assert spec_to_json(SPEC) == spec_to_json(other)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seed": 3}, "seed 0 there, 3 here"),
        ({"batch": 4}, "batch None there, 4 here"),
        (
            {"algorithm": Named("evolution", {"population": 9})},
            "algorithm random there, evolution(population=9) here",
        ),
        ({"stopping": Named("median")}, "stopping None there, median here"),
        (
            {"problem": replace(SPEC.problem, objectives=(Objective("accuracy", "max"),))},
            "maximize accuracy here",
        ),
        (
            {"problem": replace(SPEC.problem, objectives=(Objective("loss", "min", noisy=True),))},
            "objective minimize loss there, minimize loss (noisy) here",
        ),
        (
            {"problem": Problem(Space(x=Float(0, 2), n=Int(1, 3)), LOSS)},
            "'x' is Float(0, 1) there, Float(0, 2) here",
        ),
        ({"problem": Problem(Space(x=Float(0, 1)), LOSS)}, "'n' is Int(1, 3) there, absent here"),
        (
            {"problem": Problem(Space(x=Float(0, 1.000000001), n=Int(1, 3)), LOSS)},
            "Float(0, 1.000000001) here",
        ),
        ({"about": {"data": "iris"}}, "data nothing there, iris here"),
        ({"start": (Proposal({"x": 0.5}),)}, "start"),
    ],
)
def test_differences_are_said_in_words(change: dict[str, Any], says: str) -> None:
    found = differences(SPEC, replace(SPEC, **change))
    assert len(found) == 1
    assert says in found[0]


def test_what_is_stored_of_an_objective_without_noise_is_what_it_always_was() -> None:
    assert spec_to_json(SPEC)["objectives"] == [{"metric": "loss", "goal": "min"}]


def test_a_study_of_another_format_is_refused() -> None:
    with pytest.raises(InvalidStudy, match=r"format 99.*Upgrade"):
        spec_from_json({"version": 99}, Budget())


def test_chance_depends_on_seed_and_number_only() -> None:
    again = replace(SPEC, name="second", seed=0)
    assert SPEC.rng(3).random() == again.rng(3).random() != SPEC.rng(4).random()
    assert SPEC.rng(3).random() != replace(SPEC, seed=1).rng(3).random()
    assert SPEC.trial_seed(3) == again.trial_seed(3) != SPEC.trial_seed(4)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Objective("", "min"), ["minimize='loss'"]),
        (lambda: Objective("loss", "minimize"), ["'minimize'", "'min'"]),  # type: ignore[arg-type]
        (lambda: Problem(Space(), ()), ["no objective"]),
        (lambda: Problem(Space(), LOSS * 2), ["twice"]),
        (lambda: Constraint("size", 2, 1), ["'size'", "2", "1"]),
        (lambda: Constraint("size", math.nan), ["'size'", "nan"]),
        (lambda: Fidelity("epochs", 9, 3), ["'epochs'", "9", "3"]),
        (lambda: Budget(trials=0), ["trials is 0"]),
        (lambda: Budget(trials=True), ["trials is True"]),
        (lambda: Budget(failures=-1), ["failures is -1"]),
        (lambda: Budget(seconds=math.nan), ["seconds is nan"]),
        (lambda: Budget(target=math.nan), ["target is NaN"]),
        (lambda: replace(SPEC, name="a/b"), ["'a/b'"]),
        (lambda: replace(SPEC, name=".hidden"), ["'.hidden'"]),
        (lambda: replace(SPEC, seed=-1), ["seed is -1"]),
        (lambda: replace(SPEC, seed=0.5), ["seed is 0.5"]),  # type: ignore[arg-type]
        (lambda: replace(SPEC, batch=0), ["batch is 0"]),
        (lambda: replace(SPEC, batch="4"), ["batch is '4'"]),  # type: ignore[arg-type]
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(make: Any, says: list[str]) -> None:
    with pytest.raises(InvalidStudy) as error:
        make()
    for word in says:
        assert word in str(error.value)


def test_a_constraint_is_met_within_its_bounds_only() -> None:
    constraint = Constraint("size", 1, 2)
    assert [constraint.met({"size": s}) for s in (0.9, 1, 2, 2.1, math.nan)] == [
        False,
        True,
        True,
        False,
        False,
    ]
    assert not constraint.met({})


def test_a_target_is_reached_in_the_direction_of_the_goal() -> None:
    assert Objective("loss", "min").reached(0.1, 0.1)
    assert not Objective("loss", "min").reached(0.2, 0.1)
    assert Objective("score", "max").reached(0.2, 0.1)
    assert not Objective("score", "max").reached(math.nan, 0.1)
