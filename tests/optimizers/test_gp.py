from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy.stats import norm, yeojohnson, yeojohnson_normmax

from luthier.errors import InvalidStudy
from luthier.optimizers import Optimizer
from luthier.optimizers.gp import GP, acquire, model, optimizer, transform
from luthier.optimizers.gp.codes import Axes, Codes
from luthier.optimizers.gp.scales import Scales
from luthier.space import Choice, Float, Int, Params, Points, Space
from luthier.study import Constraint, Objective, Problem, Proposal, State, Trial
from luthier.testing import OptimizerContract
from luthier.testing.optimizers import End, asked, completed, failed, of, running, stopped
from luthier.testing.problems import EASY, SPACES, finished, play, problem, some_loss, sphere

MIXED = SPACES["every kind"]


class TestGP(OptimizerContract):
    algorithms = (GP(),)
    replicates = True


def process(given: Problem, trials: list[Trial]) -> optimizer.Process:
    process = optimizer.Process(given, GP())
    process.tell(trials)
    return process


def sampled(given: Problem, function: Callable[[Params], float], n: int, seed: int = 1) -> list[Trial]:
    rng = np.random.default_rng(seed)
    points = [given.space.sample(rng) for _ in range(n)]
    return [finished(i, point, function(point)) for i, point in enumerate(points)]


def num(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)


def proposed(found: Optimizer, number: int, pending: Sequence[Trial] = ()) -> Proposal:
    proposal = asked(found, number, pending)
    assert proposal is not None
    return proposal


# --- codes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SPACES)
def test_points_become_rows_and_come_back(name: str) -> None:
    space = SPACES[name]
    codes, rng = Codes(space), np.random.default_rng(0)
    for _ in range(30):
        point = space.sample(rng)
        row = codes.encode(point)
        back = codes.decode(np.nan_to_num(row))
        assert back.keys() == point.keys()
        for key, value in point.items():
            assert back[key] == value or math.isclose(num(back[key]), num(value), rel_tol=1e-9)


@pytest.mark.parametrize("name", SPACES)
def test_rows_know_what_exists_and_what_is_the_same(name: str) -> None:
    space = SPACES[name]
    codes = Codes(space)
    rows = codes.random(200, np.random.default_rng(0))
    points = [codes.decode(row) for row in rows]
    for row, point, active in zip(rows, points, codes.active(rows), strict=True):
        space.check(point)
        assert [n for n, a in zip(codes.names, active, strict=True) if a] == [
            n for n in codes.names if n in point
        ]
        assert codes.keys(row[None, :])[0] == codes.keys(codes.encode(point)[None, :], active[None, :])[0]
    assert len({space.key(point) for point in points}) == len(set(codes.keys(rows).tolist()))


def test_an_unordered_choice_is_one_apart_whatever_the_values() -> None:
    codes = Codes(Space(a=Choice("x", "y", "z"), b=Float(0, 1)))
    f = codes.features(np.array([[0, 0.5], [1, 0.5], [2, 0.5]]))
    assert np.allclose(((f[:, None] - f) ** 2).sum(axis=2), 1 - np.eye(3))


def test_what_does_not_exist_makes_no_difference() -> None:
    codes = Codes(SPACES["three levels of conditions"])
    rows = codes.random(300, np.random.default_rng(0))
    active = codes.active(rows)
    other = np.where(active, rows, codes.random(300, np.random.default_rng(1)))
    assert np.array_equal(codes.features(rows), codes.features(other))
    assert np.array_equal(codes.keys(rows), codes.keys(other))


# --- transforms --------------------------------------------------------------------------------


def test_half_rank_keeps_the_good_half_and_bounds_the_bad_one() -> None:
    y = np.array([3.0, 1.0, 2.0, 4.0, 1e9, 1e9, 5.0])
    z = transform.half_rank(y)
    assert np.array_equal(z[[0, 1, 2, 3]], y[[0, 1, 2, 3]])
    assert z[4] == z[5] > z[6] > 4.0
    spread = math.sqrt((1 + 4 + 9 + 0) / 4)
    assert z[6] == pytest.approx(4.0 + spread * norm.ppf(1 - 0.5 * 2.5 / 3))
    assert z[4] == pytest.approx(4.0 + spread * norm.ppf(1 - 0.5 * 1.0 / 3))


def test_the_power_is_that_of_scipy() -> None:
    x = np.random.default_rng(0).exponential(size=200) - 0.5
    assert transform.fitted_power(x) == pytest.approx(yeojohnson_normmax(x), abs=2e-3)
    for power in (-1.0, 0.0, 0.5, 2.0, 3.0):
        assert np.allclose(transform.yeo_johnson(x, power), yeojohnson(x, power))


@pytest.mark.parametrize("warp", optimizer.TRANSFORMS.values())
def test_transforms_are_monotone_and_lead_back(
    warp: Callable[[transform.Floats], transform.Warped | None],
) -> None:
    y = np.random.default_rng(0).standard_cauchy(50)
    warped = warp(y)
    assert warped is not None
    assert warped.z.mean() == pytest.approx(0.0, abs=1e-9)
    assert warped.z.std() == pytest.approx(1.0)
    assert np.all(np.diff(warped.z[np.argsort(y)]) >= 0)
    assert np.allclose(warped.inverse(warped.z), y)
    assert warp(np.full(9, 3.0)) is None


# --- model -------------------------------------------------------------------------------------


def data(n: int = 25, seed: int = 0) -> tuple[Codes, np.ndarray, np.ndarray]:
    codes, rng = Codes(MIXED), np.random.default_rng(seed)
    rows = codes.random(n, rng)
    features = codes.features(rows)
    z = np.sin(3 * features[:, 0]) + features[:, 1] + 0.1 * rng.standard_normal(n)
    return codes, features, (z - z.mean()) / z.std()


def some_theta(codes: Codes, trend: bool = False) -> np.ndarray:
    """Hyperparameters with bent scales."""
    prior = model.Prior.of((codes.categories > 0).tolist(), 8.0, trend)
    bends = np.zeros(len(prior.centre))
    count = len(codes.names)
    bends[count : 3 * count] = np.random.default_rng(7).uniform(-0.8, 0.8, 2 * count)
    return prior.centre + bends


def test_scales_bend_and_lead_back() -> None:
    codes, features, _ = data()
    scales = Scales(some_theta(codes), codes.axes)
    which = codes.numeric
    units = np.random.default_rng(0).random((50, len(which)))
    units[0], units[1] = 0.0, 1.0
    bent = scales.bend(units, which)
    assert np.array_equal(bent[:2], units[:2])
    assert np.allclose(scales.unbend(bent, which), units)
    step = 1e-7 * (units[2:] < 0.5) - 0.5e-7
    slope = (scales.bend(units[2:] + step, which) - bent[2:]) / step
    assert np.allclose(scales.steepness(units[2:], which), slope, rtol=1e-3)
    straight = Scales(model.Prior.of((codes.categories > 0).tolist(), 8.0).centre, codes.axes)
    assert np.allclose(straight.embed(features) * straight.lengthscales[codes.axes.groups], features)


def test_a_number_that_acts_by_its_logarithm_is_found_out() -> None:
    x = np.random.default_rng(0).random((60, 2))
    z = np.log10(x[:, 0] + 1e-3) + 0.2 * x[:, 1]
    prior = model.Prior.of([False, False], 2.0)
    found = model.fit(
        model.Data(x, Axes(np.arange(2), np.arange(2), np.arange(2)), z - z.mean(), prior),
        [(prior.centre, 60)],
    )
    bent = Scales(found, Axes(np.arange(2), np.arange(2), np.arange(2))).bend(
        np.array([[0.1, 0.1]]), np.arange(2)
    )[0]
    assert bent[0] > 0.25, "a tenth of the scale is more than a quarter of the way"
    assert abs(bent[1] - 0.1) < 0.1


@pytest.mark.parametrize("trend", [False, True])
def test_the_gradient_of_the_likelihood_is_that_of_finite_differences(trend: bool) -> None:
    codes, features, z = data()
    features[0, codes.axes.numbers], features[1, codes.axes.numbers] = 0.0, 1.0
    prior = model.Prior.of((codes.categories > 0).tolist(), 8.0, trend)
    data_ = model.Data(features, codes.axes, z, prior)
    rng = np.random.default_rng(1)
    for _ in range(5):
        theta = prior.centre + 0.5 * rng.standard_normal(len(prior.centre))
        _, gradient = model.loss(theta, data_)
        step = 1e-5 * np.eye(len(theta))
        numeric = [(model.loss(theta + s, data_)[0] - model.loss(theta - s, data_)[0]) / 2e-5 for s in step]
        assert np.allclose(gradient, numeric, rtol=1e-5, atol=1e-6)


def test_a_trend_goes_on_where_nothing_was_seen() -> None:
    """A bowl under ripples, seen in the middle only."""
    rng = np.random.default_rng(0)
    axes = Axes(np.arange(4), np.arange(4), np.arange(4))

    def bowl(x: np.ndarray) -> np.ndarray:
        return np.asarray((4 * (x - 0.6) ** 2 - 0.05 * np.cos(40 * x)).sum(axis=1))

    seen, beyond = rng.uniform(0.25, 0.75, (30, 4)), rng.random((200, 4))
    z = bowl(seen)
    scale, middle = z.std(), z.mean()
    errors = []
    for trend in (False, True):
        prior = model.Prior.of([False] * 4, 4.0, trend)
        told = model.Data(seen, axes, (z - middle) / scale, prior)
        theta = model.fit(told, [(start, 60) for start in prior.starts()])
        mean, _ = model.Posterior(theta, seen, axes, told.z).predict(beyond)
        errors.append(float(np.abs(middle + scale * mean - bowl(beyond)).mean()))
    assert errors[1] < 0.8 * errors[0]


def test_one_of_the_two_models_has_a_trend() -> None:
    given = problem(Space(x=Float(0.0, 1.0), y=Float(0.0, 1.0)))
    found = process(given, sampled(given, some_loss, 12))
    for name, coordinates in (("plain", 2 + 4), ("bounded", 2)):
        belief = found.belief(name)
        assert belief is not None
        assert belief.posterior.points.shape[1] == coordinates


def test_hyperparameters_are_drawn_from_what_is_probable() -> None:
    """With next to no data that is the prior; with much, near the best fit."""
    prior = model.Prior.of([False, False], 2.0)
    axes, rng = Axes(np.arange(2), np.arange(2), np.arange(2)), np.random.default_rng(0)
    nothing = model.Data(np.zeros((1, 2)), axes, np.zeros(1), prior)
    draws = np.array(model.sampled(prior.centre, nothing, 400, 1, rng))
    assert np.allclose(draws[:, :2].mean(axis=0), prior.centre[:2], atol=0.6)
    assert np.allclose(draws[:, :2].std(axis=0), prior.spread[:2], rtol=0.3)
    x = rng.random((60, 2))
    much = model.Data(x, axes, np.sin(5 * x[:, 0]) - 0.2, prior)
    best = model.fit(much, [(start, 50) for start in prior.starts()])
    near = np.array(model.sampled(best, much, 100, 3, rng))
    assert near[:, 0].std() < 0.5
    assert abs(near[:, 0].mean() - best[0]) < 0.5
    assert near[:, 1].mean() > 1.0, "the second makes no difference"


@pytest.mark.parametrize("trend", [False, True])
def test_the_posterior_is_that_of_the_book(trend: bool) -> None:
    codes, features, z = data()
    theta = some_theta(codes, trend)
    posterior = model.Posterior(theta, features, codes.axes, z)
    more = codes.features(codes.random(7, np.random.default_rng(5)))
    here, there = posterior.scales.embed(features), posterior.scales.embed(more)
    width = posterior.scales.width
    K = posterior.signal * model.kernel(here, here, width) + posterior.noise * np.eye(len(z))
    k = posterior.signal * model.kernel(there, here, width)
    alone = posterior.signal * np.diag(model.kernel(there, there, width))
    mean, variance = posterior.predict(more)
    assert np.allclose(mean, k @ np.linalg.solve(K, z), atol=1e-7)
    assert np.allclose(variance, alone - np.sum(k * np.linalg.solve(K, k.T).T, axis=1), atol=1e-7)
    assert np.allclose(posterior.means, posterior.predict(features)[0], atol=1e-6)


@pytest.mark.parametrize("trend", [False, True])
def test_pending_points_leave_the_mean_and_take_uncertainty_away(trend: bool) -> None:
    codes, features, z = data()
    theta = some_theta(codes, trend)
    posterior = model.Posterior(theta, features, codes.axes, z)
    waiting = codes.features(codes.random(3, np.random.default_rng(5)))
    conditioned = posterior.given(waiting)
    as_told = model.Posterior(
        theta,
        np.vstack([features, waiting]),
        codes.axes,
        np.concatenate([z, posterior.predict(waiting)[0]]),
    )
    more = codes.features(codes.random(50, np.random.default_rng(6)))
    for one, other in zip(conditioned.predict(more), as_told.predict(more), strict=True):
        assert np.allclose(one, other, atol=1e-6)
    assert np.allclose(conditioned.predict(more)[0], posterior.predict(more)[0])
    assert np.all(conditioned.predict(waiting)[1] < 0.1 * posterior.predict(waiting)[1])


@pytest.mark.parametrize(
    "rule",
    [
        acquire.expected_improvement(np.array([-0.5, -0.7])),
        acquire.pure_exploration(-0.2),
        acquire.lower_bound(3.0),
    ],
)
@pytest.mark.parametrize("trend", [False, True])
def test_the_slopes_of_a_score_are_those_of_finite_differences(rule: acquire.Rule, trend: bool) -> None:
    codes, features, z = data()
    theta = some_theta(codes, trend)
    posterior = model.Posterior(theta, features, codes.axes, z)
    other = model.Posterior(theta + 0.3, features, codes.axes, z)
    success = model.Success(
        features, np.arange(len(z)) % 3 > 0, posterior.scales.lengthscales, codes.axes.groups
    )
    score = acquire.Score(codes, model.Mixture([posterior, other]), rule, success)
    rows = codes.random(6, np.random.default_rng(3))
    value, slope = score.slopes(rows)
    assert np.allclose(value, score(rows))
    for place, i in enumerate(codes.climbs):
        ahead, behind = rows.copy(), rows.copy()
        bent = score.scales.bend(rows[:, [i]], np.array([i]))
        ahead[:, [i]] = score.scales.unbend(bent + 1e-6, np.array([i]))
        behind[:, [i]] = score.scales.unbend(bent - 1e-6, np.array([i]))
        numeric = (score(ahead) - score(behind)) / 2e-6
        assert np.allclose(slope[:, place], numeric, rtol=1e-4, atol=1e-5)


def test_the_logarithm_of_improvement_holds_far_out() -> None:
    z = np.array([-1e4, -40.0, -10.0, -1.0 - 1e-9, -1.0 + 1e-9, 0.0, 3.0])
    value, slope = acquire.log_improvement(z)
    assert np.all(np.isfinite(value))
    assert np.all(np.isfinite(slope))
    direct = np.log(norm.pdf(z[2:]) + z[2:] * norm.cdf(z[2:]))
    assert np.allclose(value[2:], direct, rtol=1e-6)
    ahead, _ = acquire.log_improvement(z + 1e-6)
    assert np.allclose((ahead - value)[1:] / 1e-6, slope[1:], rtol=1e-3)


def test_the_search_finds_what_looking_everywhere_finds() -> None:
    """In a space of a few thousand points with conditions, none of those that were not seen promises more."""
    space = Space(
        a=Choice(
            {"x": {"k": Int(0, 20)}, "y": {"l": Choice("p", "q", "r"), "m": Int(1, 40, log=True)}, "z": {}}
        ),
        b=Int(0, 15),
    )
    given = problem(space)
    found = process(given, sampled(given, lambda p: some_loss(p) + 3 * math.sin(num(p["b"])), 30))
    codes, belief = found.codes, found.belief("plain")
    assert belief is not None
    best = np.array([posterior.means.min() for posterior in belief.posteriors])
    score = acquire.Score(codes, model.Mixture(belief.posteriors), acquire.expected_improvement(best))
    everything = codes.encoded(list(Points(space)))
    tried = {space.key(trial.params) for trial in sampled(given, lambda _: 0.0, 30)}
    fresh = [i for i, point in enumerate(Points(space)) if space.key(point) not in tried]
    reach = score(everything[fresh])
    proposal = proposed(found, 30)
    value = score(codes.encoded([proposal.params]))[0]
    assert value >= reach.max() - 1e-6 or (value > reach).mean() > 0.995


# --- the optimiser -----------------------------------------------------------------------------


def test_it_says_why_and_what_it_expects() -> None:
    given, function = EASY["training"]
    trials = list(play(GP().start(given), given, function, 25))
    tags = [trial.tag for trial in trials[8:]]
    assert {tag["by"] for tag in tags} == {"gp"}
    assert all(str(tag["why"]).startswith(("exploit near #", "explore")) for tag in tags)
    assert all(num(tag["sd"]) > 0 and math.isfinite(num(tag["mean"])) for tag in tags)


def test_what_it_expects_is_in_the_units_and_direction_of_the_metric() -> None:
    space = EASY["sphere"][0].space
    given = Problem(space, (Objective("loss", "max"),))
    found = process(given, sampled(given, lambda p: 100.0 - sphere(p), 40))
    mean, sd = found.predict([{"x": 0.3, "y": -1.2, "z": 2.5}, {"x": 5.0, "y": 5.0, "z": -5.0}])
    assert mean[0] == pytest.approx(100.0, abs=12.0)
    assert mean[1] < 50.0
    assert np.all(sd > 0)
    tag = proposed(found, 41).tag
    assert num(tag["mean"]) > 60.0


def test_it_comes_near_the_minimum_of_a_smooth_function() -> None:
    given, function = EASY["sphere"]
    best = play(GP().start(given), given, function, 40).best()
    assert best is not None
    assert best.metrics["loss"] < 1e-3


def test_it_finds_the_good_branch_and_its_parameters() -> None:
    given, function = EASY["branches"]
    best = play(GP().start(given), given, function, 60).best()
    assert best is not None
    assert best.metrics["loss"] < 0.05


def test_workers_at_once_try_different_points() -> None:
    given = EASY["sphere"][0]

    def rugged(point: Params) -> float:
        return sphere(point) + sum(8.0 * math.cos(3.0 * num(point[name])) for name in "xyz")

    found = process(given, sampled(given, rugged, 30))
    pending: list[Trial] = []
    for number in range(30, 46):
        pending.append(of(proposed(found, number, pending), number))
    points = np.array([[trial.params[name] for name in "xyz"] for trial in pending], dtype=float)
    apart = np.abs(points[:, None] - points).max(axis=2)[np.triu_indices(16, 1)]
    assert apart.min() > 1e-3
    assert np.median(apart) > 1.0


def test_failures_keep_it_away_and_do_not_bend_the_model() -> None:
    given = problem({"x": Float(0, 1), "y": Float(0, 1)})

    def loss(point: Params) -> float:
        return (num(point["x"]) - 0.9) ** 2 + (num(point["y"]) - 0.5) ** 2

    trials = sampled(given, loss, 60)
    ended = [
        t if num(t.params["x"]) < 0.6 else failed(Trial(t.number, t.params, State.RUNNING, 1)) for t in trials
    ]
    fine = [t for t in ended if t.state is State.COMPLETED]
    one, other = process(given, ended), process(given, fine)
    probe = [t.params for t in sampled(given, loss, 20, seed=9)]
    assert np.allclose(one.predict(probe), other.predict(probe))
    found = [num(proposed(one, 60 + i).params["x"]) for i in range(8)]
    assert max(found) < 0.8
    assert max(num(proposed(other, 60 + i).params["x"]) for i in range(8)) > 0.85


def test_constraints_count_like_failures_but_teach_the_model() -> None:
    space = Space(x=Float(0, 1), y=Float(0, 1))
    given = Problem(space, (Objective("loss", "min"),), (Constraint("size", high=0.5),))
    rng = np.random.default_rng(0)
    points = [space.sample(rng) for _ in range(50)]
    trials = [
        Trial(i, p, State.COMPLETED, 1, metrics={"loss": -num(p["x"]), "size": num(p["x"])})
        for i, p in enumerate(points)
    ]
    found = process(given, trials)
    x = [num(proposed(found, 50 + i).params["x"]) for i in range(6)]
    assert 0.3 < np.median(x) < 0.8


def test_stopped_trials_and_infinite_losses_leave_the_model_as_it_is() -> None:
    given, function = EASY["sphere"]
    trials = sampled(given, function, 30)
    more = [
        Trial(30 + i, t.params, State.RUNNING, 1) for i, t in enumerate(sampled(given, function, 6, seed=4))
    ]
    ends: list[End] = [
        stopped,
        completed(math.inf),
        completed(-math.inf),
        completed(math.nan),
        failed,
        stopped,
    ]
    probe = [t.params for t in sampled(given, function, 20, seed=9)]
    plain = process(given, trials).predict(probe)
    spoilt = process(given, [*trials, *(end(t) for end, t in zip(ends, more, strict=True))]).predict(probe)
    assert np.allclose(plain, spoilt)


def test_equal_told_pending_and_chance_give_equal_proposals_however_it_was_asked_before() -> None:
    given = problem(MIXED)
    trials = sampled(given, lambda p: num(p["rate"]) * 10 + num(p["layers"]), 90)
    warm = optimizer.Process(given, GP())
    for i, trial in enumerate(trials):
        warm.tell([trial])
        if i % 3 == 0:
            asked(warm, i, running(given, i % 5))
    cold = process(given, trials)
    for number in (90, 91):
        assert proposed(warm, number) == proposed(cold, number)
        assert proposed(warm, number, running(given, 3)) == proposed(cold, number, running(given, 3))


def test_all_equal_losses_are_answered_with_chance() -> None:
    given, _ = EASY["sphere"]
    found = process(given, sampled(given, lambda _: 1.0, 20))
    assert proposed(found, 20).tag["by"] == "random"


def test_a_study_of_thousands_costs_no_more_than_one_of_hundreds(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    exact = model.cholesky

    def counted(matrix: np.ndarray) -> np.ndarray:
        sizes.append(len(matrix))
        return exact(matrix)

    monkeypatch.setattr(model, "cholesky", counted)
    given, function = EASY["sphere"]
    found = process(given, sampled(given, function, 5000))
    proposed(found, 5000)
    fits = [size for size in sizes if size == optimizer.FITTED]
    assert max(sizes) <= optimizer.EXACT
    assert len(fits) < 800
    sizes.clear()
    proposed(found, 5001)
    found.tell(sampled(given, function, 2, seed=7))
    proposed(found, 5002)
    assert len(sizes) <= 2 * (1 + optimizer.DRAWS), "no fit is due, so nothing is fitted"


def test_the_fits_to_repeat_are_few_at_any_number_of_trials() -> None:
    for count in (10, 100, 300, 1000, 10_000, 100_000):
        due = optimizer._schedule(6, count)
        assert len(due) < 200
        fresh = max(
            (i for i in range(1, len(due)) if optimizer._doubled(due[i - 1], due[i], optimizer.FRESH)),
            default=0,
        )
        assert len(due) - fresh <= 32


def test_one_objective_and_whole_settings() -> None:
    two = Problem(Space(x=Float(0, 1)), (Objective("a", "min"), Objective("b", "max")))
    with pytest.raises(InvalidStudy, match="one objective"):
        GP().start(two)
    with pytest.raises(InvalidStudy, match="initial is 0"):
        GP(initial=0)


def test_a_long_range_of_integers_is_searched_to_its_ends() -> None:
    given = problem({"n": Int(1, 10**6, log=True), "x": Float(0, 1)})
    optimizer_: Optimizer = GP().start(given)
    best = play(
        optimizer_, given, lambda p: abs(math.log(num(p["n"])) - math.log(3.0)) + num(p["x"]), 40
    ).best()
    assert best is not None
    assert best.params["n"] in (2, 3, 4)
