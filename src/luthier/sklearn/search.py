"""LuthierSearchCV: a study in the place of GridSearchCV and RandomizedSearchCV, with one line changed."""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any, ClassVar, cast

import joblib
import numpy as np
from sklearn import get_config
from sklearn.base import ClassifierMixin, RegressorMixin, _fit_context, clone, is_classifier
from sklearn.ensemble import VotingClassifier, VotingRegressor
from sklearn.metrics import get_scorer
from sklearn.model_selection import check_cv, cross_val_score
from sklearn.model_selection._search import BaseSearchCV
from sklearn.model_selection._validation import _warn_or_raise_about_fit_failures
from sklearn.utils import _safe_indexing, check_random_state, get_tags, indexable
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import _check_method_params, _num_samples

from luthier import plugins
from luthier.api import Study, as_budget, begun_with, earlier, load
from luthier.clock import SystemClock
from luthier.errors import DataError, InvalidStudy, LuthierError, ModelError, ObjectiveFailed
from luthier.estimators.data import Data, take_rows
from luthier.estimators.distributions import GRID, Translation, translated
from luthier.estimators.named import estimator_path
from luthier.estimators.outline import changed, outline
from luthier.estimators.params import check_names, default_params
from luthier.estimators.recommended import own_point, recommended_space, some
from luthier.executors import Executor, Inline, Processes
from luthier.models import ModelVersion, challenge, save_model
from luthier.objectives.crossval import made_by, repr_of
from luthier.objectives.estimator import TRAIN, EstimatorTask
from luthier.objectives.folds import Predictions
from luthier.objectives.splits import locked, overlap, pack_splits, reshuffled, unpack_splits
from luthier.result import Result, Select
from luthier.sklearn.results import Floats, Scores, counts, score_names
from luthier.space import Params
from luthier.stopping import Race, StoppingPolicy
from luthier.stopping.race import MIN_FOLDS
from luthier.study import Proposal, State, Trial

ENSEMBLE = "ensemble"
SCORE = "score"
_KNOWN = {ClassifierMixin.score: "accuracy", RegressorMixin.score: "r2"}
"""What estimators score by themselves."""
Splits = Sequence[tuple[Any, Any]]
Folds = Mapping[int, Mapping[int, Mapping[str, float]]]
"""Trial -> fold -> what was scored and measured."""


class LuthierSearchCV(BaseSearchCV):  # type: ignore[misc]
    """Finds the parameters of an estimator as GridSearchCV and RandomizedSearchCV do, in fewer fits, by a study of Luthier's.

    What those take and give is taken and given here too: any splitter, scorers by name, callables, several at once, sample weights and
    other metadata, pipelines with `step__param`, `cv_results_`, `best_*`, prediction by the refitted estimator. The differences:

    - `space` is a `Space`, a dict of lists, scipy distributions and parameters of Luthier's, or a list of dicts; None takes the
      recommended one for the estimator. `trials` is how many candidates are tried, `seconds` how long; `algorithm="grid"` tries all.
    - The estimator's own parameters are the first candidate, where the space holds them.
    - With `race`, from three folds on, candidates that will not become the best are given up after the folds that show it;
      False runs every fold, and any stopping policy may be given. In `cv_results_` the folds that were not run are NaN,
      `n_folds_run` counts those that were, and the mean is what it would have come to: that of the best candidate plus the mean
      distance on the folds both have. `se` is the standard error of the mean.
    - `select` is how the best candidate is chosen: "best" score, "1se" the simplest that is not worse by more than noise
      (`complexity` as in `Study.result`), "posterior" the best of what the scores and a model of them agree on, "confirmed" the best of
      those that cannot be told apart on fresh splits too, for which it takes up to a seventh of the fits more. The estimator's own
      parameters stay chosen unless they are beaten by more than noise. `result_` says what score is to be expected on new
      data, and so does `honest_score` in `cv_results_`, in the row of the candidate chosen; print it.
    - `refit="ensemble"` fits the mean of several candidates where that is honestly better than the best alone; `blend_` says so.
    - `holdout=0.2` locks a fifth of the rows away, on which the chosen candidate is scored once: `holdout_score_`, `holdout_looks_`.
      `nested=True`, or a splitter, runs the whole search again on parts of the rows and scores it on the others: `nested_scores_`.
    - With a `name` the study is kept in `store` and survives a crash: the same `fit` again goes on where it was, and one that is
      complete costs a refit. The fitted estimator is saved as a version of the model of that name (`model_`), in a format that
      runs no code, unless its types are not known to be harmless, which is said. Other data or another question under the name raise SpecMismatch. Ctrl-C ends the search in
      order, and what was found by then is the result.
    - `random_state=None` is seed 0: the same call gives the same study. `n_jobs` candidates run at once, in processes.

    `study_` is the study itself, with everything that a study can tell; `cv_results_["trial"]` are its trials' numbers.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseSearchCV._parameter_constraints,
        "space": "no_validation",
        "trials": [Interval(numbers.Integral, 1, None, closed="left"), None],
        "seconds": [Interval(numbers.Real, 0, None, closed="neither"), StrOptions({"auto"}), None],
        "algorithm": "no_validation",
        "race": "no_validation",
        "select": [StrOptions({"best", "1se", "posterior", "confirmed"})],
        "complexity": [str, None],
        "holdout": [Interval(numbers.Real, 0, 1, closed="neither"), None],
        "nested": ["boolean", "cv_object"],
        "name": [str, None],
        "store": [str, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any,
        space: Any = None,
        *,
        trials: int | None = 50,
        seconds: float | None = None,
        algorithm: Any = "auto",
        cv: Any = None,
        scoring: Any = None,
        refit: Any = True,
        n_jobs: int | None = None,
        race: Any = True,
        select: str = "best",
        complexity: str | None = None,
        holdout: float | None = None,
        nested: Any = None,
        name: str | None = None,
        store: str | None = None,
        random_state: Any = None,
        error_score: Any = np.nan,
        return_train_score: bool = False,
        verbose: int = 0,
        pre_dispatch: int | str = "2*n_jobs",
    ) -> None:
        super().__init__(
            estimator=estimator,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.space = space
        self.trials = trials
        self.seconds = seconds
        self.algorithm = algorithm
        self.race = race
        self.select = select
        self.complexity = complexity
        self.holdout = holdout
        self.nested = nested
        self.name = name
        self.store = store
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags = deepcopy(get_tags(self.estimator).target_tags)
        return tags

    @_fit_context(prefer_skip_nested_validation=False)  # type: ignore[untyped-decorator]
    def fit(self, X: Any, y: Any = None, **params: Any) -> LuthierSearchCV:
        """Search, and fit the best candidate to all rows unless `refit` is False.

        `params` go to the estimator's `fit`, to the scorers and to the splitter as in GridSearchCV; what has a value for each row is
        split along with the rows.
        """
        self._get_scorers()  # what is wrong with these is said before anything else
        if y is None and get_tags(self.estimator).target_tags.required:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y is None: "
                f"{type(self.estimator).__name__} learns from it."
            )
        drawn = self.random_state is not None
        self._seed = int(check_random_state(self.random_state).randint(2**31 - 1)) if drawn else 0
        if self.nested:
            self.nested_scores_ = self._nested(X, y, params)
        X, y = indexable(X, y)
        if self.holdout is None:
            self._fit(X, y, params)
        else:
            self._fit_without(self.holdout, X, y, params)
        if self.name is not None and self.refit:
            self.model_ = self._save(self.study_, X, y)
        return self

    def _fit_without(self, holdout: float, X: Any, y: Any, params: Mapping[str, Any]) -> None:
        """Search on a part of the rows, look at the others once, and fit to all of them."""
        groups = params.get("groups")
        kept, away = locked(
            holdout,
            range(_num_samples(X)) if y is None else y,
            groups,
            self._seed,
            bool(is_classifier(self.estimator)),
        )
        part = {name: self._part(X, value, kept) for name, value in params.items()}
        self._fit(_safe_indexing(X, kept), None if y is None else _safe_indexing(y, kept), part)
        self._look(X, y, params, away)

    def _fit(self, X: Any, y: Any, params: Mapping[str, Any]) -> None:
        """Search on these rows, and fit to them."""
        scorer, refit_metric = self._get_scorers()
        params = _check_method_params(X, params=params)
        routed = self._get_routed_params_for_fit(params)
        metric = self._metric()
        study, task = self._start(X, y, scorer, metric, params, routed)
        self._study = study
        self._work(study, task)
        candidates = [trial for trial in study.trials if counts(trial)]
        if not candidates:
            raise KeyboardInterrupt("the search was interrupted before any candidate was scored")
        self._say_what_failed(task, candidates)
        names = score_names(candidates) or [metric]
        self.multimetric_ = self._is_several(scorer, names)
        if self.multimetric_ and self._takes_the_first:
            names.remove(metric)
        if callable(self.scoring) and self.multimetric_:
            self._check_refit_for_multimetric(names)
            refit_metric = self.refit
        self.cv_results_ = self._results(study, task, candidates, names)
        self.scorer_ = getattr(scorer, "_scorers", scorer)
        if self.refit or not self.multimetric_:
            self._choose(study, candidates, refit_metric)
            if self.select == "confirmed" and not callable(self.refit):
                self._confirm(study, task, X, y, routed.splitter.split, refit_metric)
        if self.refit:
            self._refit(study, task, X, y)

    # --- rows that the search does not see ---------------------------------------------------

    def _nested(self, X: Any, y: Any, params: Mapping[str, Any]) -> Floats:
        """The score of the whole search on each part of the rows that it did not see."""
        inner = clone(self).set_params(nested=None, holdout=None, name=None, verbose=0)
        outer = None if self.nested is True else self.nested
        scoring: Any = None  # that of the search itself
        if isinstance(self.scoring, Mapping):
            scoring = self.scoring[self._metric()]
        elif not (self.scoring is None or callable(self.scoring)):
            scoring = self._metric()
        given = dict(params)
        groups = given.pop("groups", None)
        found: Floats = cross_val_score(
            inner, X, y, cv=outer, scoring=scoring, groups=groups, params=given or None, error_score="raise"
        )
        return found

    def _part(self, X: Any, value: Any, rows: Any) -> Any:
        return _check_method_params(X, params={"value": value}, indices=rows)["value"]

    def _look(self, X: Any, y: Any, params: Mapping[str, Any], away: Any) -> None:
        """Score the chosen candidate on the locked rows, once for each that is ever chosen, and fit it to all rows."""
        if not hasattr(self, "best_estimator_"):
            return
        looks = dict(self.study_.facts.get("looks", {}))
        chosen = str(self.cv_results_["trial"][self.best_index_])
        if chosen not in looks:
            rows, target = _safe_indexing(X, away), None if y is None else _safe_indexing(y, away)
            looks[chosen] = float(self.score(rows, target))
            self.study_.store.remember(self.study_.name, {"looks": looks})
        self.holdout_score_, self.holdout_looks_ = looks[chosen], len(looks)
        if len(looks) > 1:
            warnings.warn(
                f"The holdout has been looked at {len(looks)} times: the more often, the less its score is worth.",
                stacklevel=3,
            )
        fit_params = self._get_routed_params_for_fit(_check_method_params(X, params=params)).estimator.fit
        self.best_estimator_.fit(X, *([] if y is None else [y]), **fit_params)

    # --- the study ---------------------------------------------------------------------------

    @property
    def study_(self) -> Study:
        """The study behind the search; after pickling only that of a search with a name."""
        if "_study" not in vars(self):
            if self.name is None or not hasattr(self, "cv_results_"):
                raise AttributeError(
                    "there is no study here: the search was not fitted, or was pickled without a name"
                )
            self._study = load(self.name, self.store)
        return self._study

    def __getstate__(self) -> dict[str, Any]:
        """Without the study, which is in its store."""
        return {name: value for name, value in super().__getstate__().items() if name != "_study"}

    def _metric(self) -> str:
        """What the score to be optimised is called in the study."""
        if isinstance(self.refit, str) and self.refit != ENSEMBLE:
            return self.refit
        if self.scoring is None:
            last = self.estimator
            while hasattr(last, "steps"):
                last = last.steps[-1][1]
            return _KNOWN.get(getattr(type(last), "score", None), SCORE)
        if callable(self.scoring):
            name = getattr(self.scoring, "__name__", SCORE)
            return SCORE if name == "<lambda>" else name
        return self.scoring if isinstance(self.scoring, str) else next(iter(self.scoring))

    @property
    def _takes_the_first(self) -> bool:
        """Whether the first of several scores is optimised, as nobody says which: a callable may give several."""
        return callable(self.scoring) and (not isinstance(self.refit, str) or self.refit == ENSEMBLE)

    def _start(
        self, X: Any, y: Any, scorer: Any, metric: str, params: Mapping[str, Any], routed: Any
    ) -> tuple[Study, EstimatorTask]:
        """The study, new or gone on with, and what is to be done for each of its trials."""
        _, facts = earlier(self.name, self.store)
        data = None if self.name is None else _table(X, y)
        if data is not None and "data" in facts and (differs := changed(facts["data"], data)):
            raise begun_with(self.name, f"other data: {differs}")
        splits = self._splits(X, y, routed.splitter.split, facts)
        seed = self._seed
        translation, first = self._translation(X, y, splits, seed)
        packed = pack_splits(splits)
        if self.scoring is None and metric != SCORE and not routed.scorer.score:
            scorer = get_scorer(metric)  # the same, but a pipeline's own would keep its predictions to itself
        study = Study(
            translation.space,
            maximize=metric,
            algorithm=self.algorithm,
            name=self.name,
            store=self.store,
            seed=seed,
            start=[Proposal(first, tag={"by": "defaults"})] if first is not None else [],
            stopping=self._stopping(splits),
            budget=as_budget(self.trials, self.seconds, failures=1 if self.error_score == "raise" else None),
            about={} if self.name is None else self._about(X, y, data, params, packed),
        )
        new = "splits" not in facts
        if new:
            table = {} if data is None else {"data": outline(data)}
            study.store.remember(study.name, {"splits": packed, **table})
        task = EstimatorTask(
            clone(self.estimator),
            X,
            y,
            splits,
            scorer,
            metric,
            translation,
            fit_params=routed.estimator.fit,
            score_params=routed.scorer.score,
            error_score=self.error_score,
            train_scores=self.return_train_score,
            verbose=self.verbose,
            settings=get_config(),
            first=self._takes_the_first,
            also=("predict_proba",) if self.refit == ENSEMBLE else (),
            classes=np.unique(y) if is_classifier(self.estimator) and np.ndim(y) == 1 else None,
        )
        groups = routed.splitter.split.get("groups")
        return study, task.keeping(Predictions(study.keep_predictions(new)), groups)

    def _splits(self, X: Any, y: Any, split_params: Mapping[str, Any], facts: Mapping[str, Any]) -> Splits:
        """Those the study began with, else those that the splitter gives now."""
        cv = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        expected = cv.get_n_splits(X, y, **split_params)
        splits = tuple((train, test) for train, test in cv.split(X, y, **split_params))
        if len(splits) != expected:
            raise ValueError(
                f"cv.split and cv.get_n_splits return inconsistent results. Expected {expected} splits, got {len(splits)}"
            )
        if not splits:
            raise ValueError("No fits were performed. Was the CV iterator empty? Were there no candidates?")
        self.n_splits_ = len(splits)
        known = unpack_splits(facts["splits"]) if "splits" in facts else splits
        return known if [len(test) for _, test in known] == [len(test) for _, test in splits] else splits

    def _translation(self, X: Any, y: Any, splits: Splits, seed: int) -> tuple[Translation, Params | None]:
        """The space, and the estimator's own parameters in it."""
        if self.space is None:
            rows = _numbers(X, min((train for train, _ in splits), key=len))
            space = recommended_space(self.estimator, rows)
            own = own_point(self.estimator, space, lambda: _numbers(X))
            return Translation(space), own if space.allows(own) else None
        translation = translated(self.space, seed)
        self._check_names(translation)
        if plugins.named(plugins.algorithm(self.algorithm)).name == "grid":
            return translation, None
        own = own_point(self.estimator, translation.space, lambda: _numbers(X))
        return translation, translation.point({**default_params(self.estimator), **own})

    def _check_names(self, translation: Translation) -> None:
        """Raise InvalidParams, with the near name, for a name that the estimator does not take."""
        for grid in translation.grids or (None,):
            keep = {} if grid is None else {GRID: grid}
            params = translation.params(translation.space.sample(np.random.default_rng(0), keep))
            try:
                clone(self.estimator).set_params(**clone(params, safe=False))
            except ValueError:
                check_names(self.estimator, [name for name in params if not _belongs_to(name, params)])
                raise

    def _stopping(self, splits: Splits) -> StoppingPolicy | None:
        if self.race is True or self.race is False:
            return Race() if self.race and len(splits) >= MIN_FOLDS else None
        return plugins.policy(self.race)

    def _about(
        self, X: Any, y: Any, data: Data | None, params: Mapping[str, Any], packed: str
    ) -> dict[str, Any]:
        """What makes it the same question tomorrow."""
        return {
            "estimator": estimator_path(self.estimator),
            "fixed": repr_of(self.estimator),
            "rows": _num_samples(X),
            "fingerprint": str(joblib.hash((X, y))) if data is None else data.fingerprint,
            "fit_params": joblib.hash(dict(params)) if params else None,
            "cv": _words(self.cv),
            "folds": self.n_splits_,
            "splits": joblib.hash(packed),
            "scoring": _words(self.scoring),
            "train_scores": self.return_train_score,
        }

    def _work(self, study: Study, task: EstimatorTask) -> None:
        if self.verbose > 0:
            print(f"Fitting {self.n_splits_} folds for each of up to {self.trials or 'many'} candidates")
        try:
            end = study.work(task, self._executor(), progress=self.verbose == 1)
        except ObjectiveFailed:
            if not task.raised and not any(task.error(trial.number, 0) for trial in study.trials):
                raise
        else:
            if end.word == "interrupted":
                warnings.warn(
                    f"The search was interrupted: it has scored {study.history.ended} candidates.",
                    stacklevel=3,
                )
        for error in task.raised:
            raise error
        if self.error_score == "raise":
            for trial in study.trials:
                if trial.state is State.FAILED:
                    raise ObjectiveFailed(f"{trial.reason}\n{trial.traceback or ''}".rstrip())

    def _executor(self) -> Executor:
        workers = joblib.effective_n_jobs(self.n_jobs)
        return Inline() if workers == 1 else Processes(workers)

    # --- what came of it ---------------------------------------------------------------------

    def _say_what_failed(self, task: EstimatorTask, candidates: Sequence[Trial]) -> None:
        """As scikit-learn does: a warning with every kind of error and how often, ValueError where nothing could be fitted."""
        errors = [
            {"fit_error": task.error(trial.number, report.step, report.metrics.get(task.metric, math.nan))}
            for trial in candidates
            for report in trial.reports
        ]
        _warn_or_raise_about_fit_failures(errors, self.error_score)

    def _is_several(self, scorer: Any, names: Sequence[str]) -> bool:
        """Whether a dict of scores was scored, which of a callable is known only now."""
        if callable(self.scoring):
            return len(names) > 1 or (isinstance(self.refit, str) and self.refit in names)
        return hasattr(scorer, "_scorers")

    def _results(
        self, study: Study, task: EstimatorTask, candidates: Sequence[Trial], names: Sequence[str]
    ) -> dict[str, Any]:
        """`cv_results_`."""
        failure = math.nan if self.error_score == "raise" else float(self.error_score)
        kinds = [*names, *(TRAIN + name for name in names if self.return_train_score)]
        scores = Scores.of(candidates, study.history.best(), task.metric, kinds, self.n_splits_, failure)
        stopped = [trial.reason if trial.state is State.STOPPED else None for trial in candidates]
        more = {
            "trial": [trial.number for trial in candidates],
            "n_folds_run": scores.run.sum(axis=1),
            "se": scores.errors(task.metric),
            "stopped": np.array(stopped, dtype=object),
        }
        points = [task.translation.params(trial.params) for trial in candidates]
        out = scores.as_evaluated(names, self.multimetric_)
        results: dict[str, Any] = self._format_results(points, self.n_splits_, out, more)
        scores.show_what_was_run(results)
        return results

    def _choose(self, study: Study, candidates: Sequence[Trial], refit_metric: Any) -> None:
        results, numbers = self.cv_results_, [trial.number for trial in candidates]
        results["honest_score"] = np.full(len(candidates), np.nan)
        try:
            rule = "best" if self.select == "confirmed" else self.select
            self.result_: Result | None = study.result(cast(Select, rule), complexity=self.complexity)
        except InvalidStudy:  # a wrong `complexity`, say
            raise
        except LuthierError:  # no candidate has all folds
            self.result_ = None
        best = study.history.best()
        found = self.result_
        if callable(self.refit) or best is None:
            self.best_index_ = self._select_best_index(self.refit, refit_metric, results)
        else:
            self.best_index_ = numbers.index(best.number if found is None else found.trial.number)
        if found is not None and numbers[self.best_index_] == found.trial.number:
            results["honest_score"][self.best_index_] = found.honest
        if not callable(self.refit):
            self.best_score_ = results[f"mean_test_{refit_metric}"][self.best_index_]
        self.best_params_ = results["params"][self.best_index_]

    def _confirm(
        self,
        study: Study,
        task: EstimatorTask,
        X: Any,
        y: Any,
        split_params: Mapping[str, Any],
        refit_metric: Any,
    ) -> None:
        """Choose among those that cannot be told apart by fresh splits too; the defaults stay where they were not beaten."""
        found, results = self.result_, self.cv_results_
        results["confirmed_score"] = np.full(len(results["trial"]), np.nan)
        if found is None or found.trial == found.default or len(found.plausible) < 2:
            return
        cv = reshuffled(check_cv(self.cv, y, classifier=is_classifier(self.estimator)), self._seed + 1)
        fresh = tuple((train, test) for train, test in cv.split(X, y, **split_params))
        self.confirmation_ = study.confirm(replace(task, splits=fresh, predictions=None), self._executor())
        numbers = list(results["trial"])
        for number, score in self.confirmation_.fresh.items():
            results["confirmed_score"][numbers.index(number)] = score
        self.best_index_ = numbers.index(self.confirmation_.trial.number)
        self.best_score_ = results[f"mean_test_{refit_metric}"][self.best_index_]
        self.best_params_ = results["params"][self.best_index_]

    def _refit(self, study: Study, task: EstimatorTask, X: Any, y: Any) -> None:
        self.best_estimator_ = self._best(study, task)
        clock = SystemClock()
        start = clock.now()
        self.best_estimator_.fit(X, *([] if y is None else [y]), **task.fit_params)
        self.refit_time_ = clock.now() - start
        if hasattr(self.best_estimator_, "feature_names_in_"):
            self.feature_names_in_ = self.best_estimator_.feature_names_in_

    def _best(self, study: Study, task: EstimatorTask) -> Any:
        """The best candidate, or the mean of several where that is asked for and better; unfitted."""

        def made(params: Mapping[str, Any]) -> Any:
            # The parameters are cloned too, for they may be estimators.
            return clone(self.estimator).set_params(**clone(dict(params), safe=False))

        if self.refit != ENSEMBLE:
            return made(self.best_params_)
        self.blend_ = study.blend()
        if not self.blend_.better:
            return made(self.best_params_)
        members = [
            (f"trial{n}", made(task.translation.params(study.trials[n].params))) for n in self.blend_.weights
        ]
        weights = list(self.blend_.weights.values())
        if is_classifier(self.estimator):
            return VotingClassifier(members, voting="soft", weights=weights)
        return VotingRegressor(members, weights=weights)

    def _save(self, study: Study, X: Any, y: Any) -> ModelVersion | None:
        """The fitted estimator as the next version of the model of the study's name, unless it is one already."""
        data, trial = _table(X, y), study.trials[int(self.cv_results_["trial"][self.best_index_])]
        if data is None or (study.row.ended or "").startswith("interrupted"):
            return None
        packed = study.facts["splits"]
        meta = {
            **made_by(study.spec, trial),
            "estimator": estimator_path(self.best_estimator_),
            "fixed": repr_of(self.estimator),
            "task": "classification" if is_classifier(self.estimator) else "regression",
            "cv": _words(self.cv),
            "splits": joblib.hash(packed),
            "seed": study.spec.seed,
            "tried": study.history.ended,
            "overlap": overlap(unpack_splits(packed)),
        }
        try:
            saved = save_model(study.home, study.name, self.best_estimator_, meta=meta, data=data)
        except ModelError as error:
            warnings.warn(f"The model was not saved: {error}", stacklevel=3)
            return None
        challenge(study.home, study.name, saved.version)
        return saved


# --- what was given ----------------------------------------------------------------------------


def _belongs_to(name: str, names: Any) -> bool:
    """Whether the parameter is one of a step that is searched too, and so may not be there yet."""
    return any(name != other and name.startswith(f"{other}__") for other in names)


def _words(value: Any) -> str:
    """The value in words that are the same tomorrow."""
    name = getattr(value, "__qualname__", None)
    return " ".join(repr(value).split()) if name is None else f"{value.__module__}:{name}"


def _numbers(X: Any, rows: Any = None) -> Any:
    """A table of numbers by which recommended ranges go, or enough of these rows of it; None of anything else."""
    if not hasattr(X, "shape") or len(X.shape) != 2 or not (hasattr(X, "iloc") or X.dtype.kind in "iuf"):
        return None
    if hasattr(X, "iloc") and not all(getattr(kind, "kind", "O") in "iuf" for kind in X.dtypes):
        return None
    return X if rows is None else take_rows(X, some(rows, X.shape[1]))


def _table(X: Any, y: Any) -> Data | None:
    """The data, where they are a table and a target as Luthier knows them."""
    try:
        return Data.of(X, y)
    except (DataError, TypeError, ValueError, AttributeError):
        return None
