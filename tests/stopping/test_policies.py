"""Policies by name, in study files, together, and at work in a study."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import luthier as lt
from luthier import plugins, studyfile
from luthier.errors import InvalidStudy, UnknownName
from luthier.stopping import (
    AnyOf,
    Bandit,
    Curve,
    Halving,
    MedianStopping,
    Patience,
    Percentile,
    Plateau,
    Race,
    StoppingPolicy,
    Threshold,
    Truncation,
    Wilcoxon,
    after,
    all_of,
    any_of,
)
from luthier.study import Named, State
from tests.stopping.curves import completed, running, study

NAMES = {
    "asha": Halving(rungs=(9, 27)),
    "bandit": Bandit(slack_factor=0.1),
    "median": MedianStopping(delay=2),
    "truncation": Truncation(20),
    "percentile": Percentile(25),
    "threshold": Threshold(high=10),
    "plateau": Plateau(5),
    "wilcoxon": Wilcoxon(),
    "curve": Curve(p=0.1),
    "any": any_of(Bandit(0.1), after(MedianStopping(), step=3)),
    "all": all_of(Plateau(3), Patience(Percentile(), 2)),
    "after": after(any_of(Race(), Threshold(low=0)), trials=3),
    "patience": Patience(MedianStopping(metric="loss"), 4, metric="loss"),
}
SPACE = lt.Space(x=lt.Float(0, 1))


@pytest.mark.parametrize(("name", "policy"), NAMES.items())
def test_every_policy_survives_being_written_and_read(name: str, policy: StoppingPolicy) -> None:
    named = plugins.named(policy)
    assert named.name == name
    assert plugins.policy(named) == policy


def test_policies_of_policies_are_written_as_in_study_files() -> None:
    assert plugins.named(after(MedianStopping(delay=1), step=9)) == Named(
        "after",
        {
            "policy": {"name": "median", "interval": 1, "delay": 1, "metric": None, "goal": None},
            "step": 9,
            "trials": None,
        },
    )
    made = plugins.policy(Named("all", {"policies": ["median", {"name": "bandit", "slack_factor": 0.2}]}))
    assert made == all_of(MedianStopping(), Bandit(0.2))


def test_what_a_policy_cannot_be_made_of_is_refused() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'median'"):
        plugins.policy(Named("any", {"policies": ["medain"]}))
    with pytest.raises(InvalidStudy, match="does not say the name of a stopping policy"):
        plugins.policy(Named("after", {"policy": {"delay": 3}, "step": 2}))
    with pytest.raises(InvalidStudy, match=r"median has no option 'dely'. Did you mean 'delay'"):
        plugins.policy(Named("any", {"policies": [{"name": "median", "dely": 3}]}))
    with pytest.raises(InvalidStudy, match="any is made of"):
        plugins.policy([])
    with pytest.raises(InvalidStudy, match="patience cannot be made with"):
        plugins.policy("patience")


def test_a_list_means_any_of_them() -> None:
    assert plugins.policy(["median", Bandit(0.1)]) == AnyOf((MedianStopping(), Bandit(0.1)))
    assert plugins.policy(["median"]) == MedianStopping()


# --- study files --------------------------------------------------------------------------------

FUNCTION = 'function = "train:train"\nminimize = "loss"\nspace.x.float = [0, 1]\n'


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('stopping = "median"', MedianStopping()),
        ('stopping = { name = "median", delay = 2 }', MedianStopping(delay=2)),
        ("[stopping]\nmedian = { delay = 2 }", MedianStopping(delay=2)),
        ("[stopping]\nmedian = true", MedianStopping()),
        ("[stopping.median]\ndelay = 2", MedianStopping(delay=2)),
        (
            "[stopping]\nmedian = { delay = 2 }\nbandit = { slack_factor = 0.1 }",
            any_of(MedianStopping(delay=2), Bandit(0.1)),
        ),
        (
            'stopping = ["median", { name = "threshold", high = 5 }]',
            any_of(MedianStopping(), Threshold(high=5)),
        ),
        (
            '[stopping]\nafter = { policy = { name = "patience", policy = "median", patience = 3 }, step = 9 }',
            after(Patience(MedianStopping(), 3), step=9),
        ),
        ("[stopping]\nasha = { rungs = [9, 27] }", Halving(rungs=[9, 27])),
    ],
)
def test_a_study_file_says_which(tmp_path: Path, written: str, meant: StoppingPolicy) -> None:
    file = tmp_path / "study.toml"
    file.write_text(FUNCTION + written)
    assert studyfile.read(file).arguments()["stopping"] == meant


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("stopping = []", 'Name a policy, as in stopping = ["median"]'),
        ("[stopping]\nmedian = 2", "stopping.median is 2. Use a table of options"),
        ("stopping = [3]", "stopping is 3"),
        ("[stopping]\nmedain = true", "Did you mean 'median'"),
        ("[stopping]\nbandit = true", "no slack is given"),
    ],
)
def test_a_study_file_that_says_nothing_clear_is_refused(tmp_path: Path, written: str, says: str) -> None:
    file = tmp_path / "study.toml"
    file.write_text(FUNCTION + written)
    with pytest.raises((InvalidStudy, UnknownName), match="(?s)" + says.replace("[", r"\[")):
        studyfile.read(file).arguments()


# --- at work ------------------------------------------------------------------------------------


def train(trial: lt.Context) -> float:
    """A trial that falls from 1 + x to x over ten steps."""
    x = float(str(trial.params["x"]))
    for step in range(1, 11):
        trial.report(step, loss=x + 1 / step)
    return x + 0.1


def tuned(**more: object) -> lt.Study:
    arguments: dict[str, object] = {"algorithm": "random", "trials": 30, "progress": False, "seed": 1}
    return lt.tune(train, SPACE, minimize="loss", **arguments | more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stopping", "says"),
    [
        ("asha", "the best"),
        (Halving(high=10), "rank "),
        (["median", Threshold(high=2)], "of the running averages of"),
        (Bandit(slack_amount=0.2), "the cut at"),
        (after(Truncation(20), trials=5), "at report"),
        (any_of(Curve(), Percentile(25)), "% sure to beat trial "),
    ],
)
def test_trials_are_stopped_and_say_why(stopping: object, says: str) -> None:
    study = tuned(stopping=stopping)
    ended = [trial for trial in study.trials if trial.state is State.STOPPED]
    assert len(ended) >= 5
    assert all(len(trial.reports) < 10 for trial in ended)
    assert any(says in str(trial.reason) for trial in ended)
    best = min(study.trials, key=lambda trial: float(str(trial.params["x"])))
    assert study.best.number == best.number


def test_a_study_goes_on_with_the_policies_it_began_with(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/studies.db"
    policies: list[StoppingPolicy] = [Halving(rungs=[2, 5]), after(Bandit(0.5), step=3)]
    tuned(stopping=policies, name="s", store=store, trials=6)
    study = tuned(stopping=policies, name="s", store=store, trials=12)
    assert len(study.trials) == 12
    assert study.spec.stopping is not None
    assert plugins.policy(study.spec.stopping) == any_of(*policies)


def test_a_study_that_a_policy_does_not_suit_is_refused_before_it_starts() -> None:
    with pytest.raises(InvalidStudy, match="'los', which is no objective"):
        tuned(stopping=Bandit(0.1, metric="los"))
    with pytest.raises(InvalidStudy, match="several objectives"):
        lt.tune(train, SPACE, minimize=["loss", "size"], trials=3, stopping="median", progress=False)


def test_a_rung_is_not_missed_where_reports_come_in_heaps() -> None:
    # Workers report every millisecond, so that several reports are read at once.
    study = tuned(stopping=Halving(rungs=[3]), workers=2, trials=40)
    ended = [trial for trial in study.trials if trial.state is State.STOPPED]
    reasons = [str(trial.reason) for trial in ended]
    assert all("at step 3" in reason for reason in reasons)


def test_people_who_own_their_loop_are_told_to_stop() -> None:
    study = lt.Study(SPACE, minimize="loss", algorithm="random", stopping=Threshold(high=1))
    trial = study.ask()
    trial.report(1, loss=0.5)
    with pytest.raises(lt.Stop, match=r"0\.5 above the threshold 1"):
        trial.report(2, loss=1.5)


# --- what must never happen ---------------------------------------------------------------------

CURVES = st.lists(st.lists(st.floats(-100, 100), min_size=3, max_size=6), min_size=1, max_size=9)
NEVER_THE_BEST: list[Callable[[], StoppingPolicy]] = [
    lambda: Bandit(0.1),
    lambda: Bandit(slack_amount=0.0),
    MedianStopping,
    lambda: Truncation(99),
    lambda: Percentile(0, startup=1),
    lambda: Halving(rungs=[1, 2, 4], minimum=1),
    lambda: Wilcoxon(p=1.0),
    lambda: Patience(Percentile(0, startup=1), 0),
]


@pytest.mark.parametrize("make", NEVER_THE_BEST)
@settings(max_examples=60, deadline=None)
@given(curves=CURVES, data=st.data())
def test_a_trial_that_is_the_best_at_every_step_is_never_stopped(
    make: Callable[[], StoppingPolicy], curves: list[list[float]], data: st.DataObject
) -> None:
    steps = max(map(len, curves))
    lead = [
        min(curve[i] for curve in curves if len(curve) > i) - data.draw(st.floats(0.01, 5))
        for i in range(steps)
    ]
    half = data.draw(st.integers(0, len(curves)))
    others = [(completed if i < half else running)(i, curve) for i, curve in enumerate(curves)]
    history = study(*others)
    for n in range(1, steps + 1):
        assert make().judge(running(len(curves), lead[:n]), history) is None
