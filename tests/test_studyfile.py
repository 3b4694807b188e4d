from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from luthier.errors import DataError, InvalidSpace, InvalidStudy, LuthierError, UnknownName
from luthier.objectives.crossval import CrossValidation
from luthier.space import Choice, Const, Float, Int, LogNormal, Normal, Space
from luthier.stopping import Race
from luthier.study import Budget, Named
from luthier.studyfile import StudyFile, read

ESTIMATOR = """
name = "svc"
estimator = "sklearn.svm:SVC"
data = "iris"
"""
FUNCTION = """
function = "train:train"
minimize = "loss"
[space.x]
float = [0, 1]
"""


def write(folder: Path, text: str, name: str = "study.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def study(folder: Path, text: str) -> StudyFile:
    return read(write(folder, text))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("", None),
        ('stopping = "race"', Race()),
        ('stopping = { name = "race", confidence = 0.99 }', Race(confidence=0.99)),
        ('[stopping]\nname = "race"\nstartup = 8', Race(startup=8)),
    ],
)
def test_a_file_may_name_what_stops_trials(tmp_path: Path, written: str, meant: Race | None) -> None:
    assert study(tmp_path, ESTIMATOR + written).arguments()["stopping"] == meant


def test_the_file_of_the_tour_means_what_it_says(tmp_path: Path) -> None:
    found = study(
        tmp_path,
        """
        name = "svc"
        estimator = "sklearn.svm:SVC"
        params = { cache_size = 100 }
        data = "digits"
        target = "y"
        cv = 3
        maximize = "accuracy"
        scoring = ["balanced_accuracy"]
        algorithm = { name = "sobol" }
        workers = 2
        seed = 7
        trial_seconds = 30
        trial_memory = "2 GB"

        [space.C]
        float = [1e-3, 1e3]
        log = true

        [space.kernel]
        choice = ["rbf", "poly"]

        [space.degree]
        int = [2, 5]
        when = { kernel = ["poly"] }

        [budget]
        trials = 60
        minutes = 30
        """,
    )
    assert found.space == Space(
        C=Float(1e-3, 1e3, log=True),
        kernel=Choice("rbf", "poly"),
        degree=Int(2, 5, when={"kernel": "poly"}),
    )
    assert found.budget == Budget(trials=60, seconds=1800)
    assert (found.name, found.cv, found.seed, found.workers) == ("svc", 3, 7, 2)
    assert found.maximize == ("accuracy",)
    assert found.algorithm == Named("sobol")
    assert found.trial_memory == 2e9
    arguments = found.arguments()
    assert arguments["trials"] == 60
    assert arguments["seconds"] == 1800
    assert arguments["name"] == "svc"
    objective = found.objective()
    assert isinstance(objective, CrossValidation)
    assert objective.folds == 3
    assert list(objective.scorers) == ["accuracy", "balanced_accuracy"]
    assert objective.estimator.cache_size == 100


def test_every_kind_of_parameter_can_be_written(tmp_path: Path) -> None:
    text = """
    function = "train:train"
    minimize = "loss"
    [space]
    short = ["a", "b"]
    fixed = 3
    a = { float = [0, 1], step = 0.25 }
    b = { float = [0.5, 0.99], log = "reverse" }
    c = { float = [], prior = { normal = [0, 1] } }
    d = { float = [0.1, 10], prior = { lognormal = [0, 1] } }
    e = { int = [1, 64], log = true }
    f = { int = [0, 10], step = 5 }
    g = { choice = [1, 2, 4], ordered = true, weights = [1, 1, 2] }
    h = { choice = ["balanced"], none = true }
    i = { const = "x", when = { short = "b" } }
    """
    assert study(tmp_path, text).space == Space(
        short=Choice("a", "b"),
        fixed=Const(3),
        a=Float(0, 1, step=0.25),
        b=Float(0.5, 0.99, log="reverse"),
        c=Float(prior=Normal(0, 1)),
        d=Float(0.1, 10, prior=LogNormal(0, 1)),
        e=Int(1, 64, log=True),
        f=Int(0, 10, step=5),
        g=Choice(1, 2, 4, ordered=True, weights=[1, 1, 2]),
        h=Choice(None, "balanced"),
        i=Const("x", when={"short": "b"}),
    )


def test_little_needs_to_be_said(tmp_path: Path) -> None:
    found = read(write(tmp_path, 'estimator = "sklearn.svm:SVC"\ndata = "iris"\n', "flowers.toml"))
    assert found.name == "flowers"
    assert found.space is None
    assert found.arguments()["maximize"] is None


def test_what_the_command_line_says_comes_first(tmp_path: Path) -> None:
    path = write(tmp_path, ESTIMATOR + "workers = 2\n[budget]\ntrials = 5\nhours = 1\n")
    found = read(path, {"trials": 9, "workers": None, "name": "other", "store": "x.db", "seconds": None})
    assert found.budget == Budget(trials=9, seconds=3600)
    assert (found.workers, found.name, found.store) == (2, "other", "x.db")


def test_data_is_looked_for_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    (folder / "t.csv").write_text("a,y\n" + "".join(f"{i % 7},{i % 2}\n" for i in range(20)))
    path = write(folder, 'estimator = "sklearn.svm:SVC"\ndata = "t.csv"\ntarget = "y"\n')
    monkeypatch.chdir(tmp_path)
    objective = read(path).objective()
    assert isinstance(objective, CrossValidation)
    assert objective.data.rows == 20


def test_a_function_is_imported_from_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "beside_the_file.py").write_text("def train(x):\n    return x * 2\n")
    text = FUNCTION.replace("train:train", "beside_the_file:train")
    objective = study(tmp_path, text).objective()
    assert callable(objective)
    assert objective(21) == 42


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ESTIMATOR + "trials = 3", "'trials' belongs to the budget. Write it below [budget]."),
        (ESTIMATOR + "sed = 3", "unknown key 'sed'. Did you mean 'seed'?"),
        (ESTIMATOR + 'maximise = "accuracy"', "unknown key 'maximise'. Did you mean 'maximize'?"),
        (ESTIMATOR + "[budget]\ntrails = 3", "unknown key 'budget.trails'. Did you mean 'trials'?"),
        (
            ESTIMATOR + "[space.C]\nfloat = [1, 2]\nlgo = true",
            "unknown key 'space.C.lgo'. Did you mean 'log'?",
        ),
        (ESTIMATOR + "[budget]\ntrials = 'sixty'", 'budget.trials is "sixty". Use a whole number'),
        (ESTIMATOR + "[budget]\ntrials = 0", "budget.trials is 0. Use a whole number of at least 1"),
        (ESTIMATOR + "[budget]\nminutes = -1", "budget.minutes is -1. Use a number above 0"),
        (ESTIMATOR + "workers = 0", "workers is 0. Use a whole number of at least 1"),
        (ESTIMATOR + "workers = true", "workers is true. Use a whole number"),
        (ESTIMATOR + "noisy = 0.1", "noisy is 0.1. Use true or false, as in noisy = true"),
        (ESTIMATOR + "maximize = 3", "maximize is 3. Use the name of a metric"),
        (ESTIMATOR + 'trial_memory = "much"', 'trial_memory is "much". Use a number of bytes'),
        (ESTIMATOR + 'trial_memory = "2 QB"', 'as in trial_memory = "2 GB"'),
        (ESTIMATOR + "algorithm = 3", 'as in algorithm = "random"'),
        (ESTIMATOR + "stopping = 3", 'as in stopping = "race"'),
        (ESTIMATOR + "params = 3", "params is 3. Use a table, as in [params]"),
        (ESTIMATOR + "[space.C]\nfloat = 3", "space.C.float is 3. Use the low and the high end"),
        (ESTIMATOR + "[space.C]\nfloat = [1, 2]\nint = [1, 2]", "space.C says float and int. Give one of"),
        (ESTIMATOR + "[space.C]\nflaot = [1, 2]", "space.C says no kind, and has the unknown key 'flaot'"),
        (ESTIMATOR + "[space.C]\nchoice = 'a'", 'space.C.choice is "a". Use a list'),
        (ESTIMATOR + "[space.C]\nchoice = ['a']\nwhen = 3", "space.C.when is 3. Write when"),
        (ESTIMATOR + "[space.C]\nfloat = [0, 1]\nprior = 3", "space.C.prior is 3. Write prior"),
        (ESTIMATOR + "[space.C]\nfloat = [2, 1]", "space.C: low 2 is above high 1. Swap them: Float(1, 2)"),
        (ESTIMATOR + "[space.C]\nchoice = []", "space.C: the choice is empty"),
        ("name = 'x'", "none of them is given"),
        (ESTIMATOR + 'function = "a:b"', "estimator and function are given"),
        ('estimator = "sklearn.svm:SVC"', "an estimator needs data"),
        ('function = "train:train"\nminimize = "loss"', "a function needs a space"),
        ('function = "train:train"\n[space]\nx = [1, 2]', "no objective is given"),
        (FUNCTION.replace("minimize", 'data = "iris"\nminimize'), "data belongs to an estimator"),
        ('command = "Rscript train.R"', "a command needs a space"),
        ('command = ["a", 3]', "the command is ['a', 3]. Write it as you would type it"),
        ('command = { runs = "a" }', "unknown key 'command.runs'. Did you mean 'run'?"),
        ("command = { shell = true }", "[command] does not say what to run"),
        ('command = { run = "a", params = "fiel" }', "params is 'fiel'. Did you mean 'file'?"),
        ('command = { run = "a", env = { A = 1 } }', "env has 1 for 'A'. Use a text: A = '1'."),
        ('command = { run = "a", grace = -1 }', "grace is -1. Use a number of seconds, 0 or more."),
        ('command = "a"\nmetrics.loss = "loss=([0-9"', "the pattern 'loss=([0-9' is no regular expression"),
        ('command = "a"\nmetrics.loss = { json = "loss" }', "metrics.loss does not say in which file"),
        ('command = "a"\nmetrics.loss = 3', "metrics.loss is 3. Use a regular expression"),
        ('command = "a"\nmetrics.loss = { mlflow = "loss", file = "x" }', "unknown key 'metrics.loss.file'"),
        (ESTIMATOR + 'metrics.loss = "x"', "metrics say how a command is read"),
        ("name = 'x\n", "not valid TOML"),
        ("name = \n", "line 1"),
    ],
)
def test_what_a_file_cannot_mean_is_refused_with_the_key_and_the_remedy(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises((InvalidStudy, InvalidSpace)) as error:
        study(tmp_path, text)
    assert said in str(error.value)
    assert "study.toml: " in str(error.value)


def test_a_file_that_is_not_there_is_said_so_with_the_near_one(tmp_path: Path) -> None:
    write(tmp_path, ESTIMATOR)
    with pytest.raises(InvalidStudy, match=r"there is no such file. Did you mean 'study.toml'\?"):
        read(tmp_path / "stduy.toml")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidStudy, match="not text in UTF-8"):
        read(tmp_path / "study.toml")


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ('estimator = "sklearn.svm:SVCC"\ndata = "iris"', UnknownName, "Did you mean 'SVC'"),
        ('estimator = "sklearn.svm:SVC"\ndata = "irsi"', DataError, "Did you mean 'iris'"),
        ('estimator = "sklearn.svm:SVC"\ndata = "none.csv"\ntarget = "y"', DataError, "there is no file"),
        (
            'estimator = "sklearn.svm:SVC"\ndata = "iris"\nparams = { gammma = 1 }',
            LuthierError,
            "Did you mean 'gamma'",
        ),
        ('estimator = "sklearn.svm:SVC"\ndata = "iris"\nmaximize = "acuracy"', LuthierError, "accuracy"),
    ],
)
def test_an_objective_that_cannot_be_made_is_said_so(
    tmp_path: Path, text: str, kind: type[LuthierError], said: str
) -> None:
    with pytest.raises(kind) as error:
        study(tmp_path, text).objective()
    assert said in str(error.value)


def test_the_examples_can_be_read() -> None:
    folder = Path(__file__).parents[1] / "examples"
    for path in folder.glob("*.toml"):
        found = read(path)
        assert found.arguments()["trials"]
        assert found.objective() is not None


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('seconds = "auto"', Budget(until="noise")),
        ('seconds = "auto"\nhours = 2', Budget(seconds=7200, until="noise")),
        ('trials = 200\nuntil = "noise"', Budget(trials=200, until="noise")),
    ],
)
def test_a_budget_may_last_until_gains_are_noise(tmp_path: Path, written: str, meant: Budget) -> None:
    path = write(tmp_path, f"{FUNCTION}[budget]\n{written}\n")
    assert read(path).budget == meant
    assert read(path).arguments()["until"] == "noise"
    assert read(path, {"trials": 50}).budget == Budget(50, meant.seconds)  # so many were asked for
    assert read(path, {"seconds": "auto"}).budget == Budget(meant.trials, until="noise")


def test_until_is_noise_or_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, f'{FUNCTION}[budget]\nuntil = "dawn"\n')
    with pytest.raises(InvalidStudy, match=r'budget\.until is "dawn"'):
        read(path)


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ('data = "t.csv"\ntarget = "y"', {"target": "y", "drop": (), "preprocess": "auto"}),
        ('[data]\nsource = "t.csv"\ntarget = "y"\ndrop = ["a", "b"]', {"target": "y", "drop": ("a", "b")}),
        ('data = "t.npy"\ntarget = -1', {"target": "-1"}),
        ('data = "t.csv"\ntarget = "y"\npreprocess = "none"', {"preprocess": "none"}),
        ('data = "t.csv"\ntarget = "y"\npreprocess = "prep.py:make"', {"preprocess": "prep.py:make"}),
        ('data = "t.csv"\ntarget = "y"\n[preprocess]\nzip = "category"', {"preprocess": {"zip": "category"}}),
        ('[data]\nsource = "t.csv"\npreprocess = { zip = "many" }', {"preprocess": {"zip": "many"}}),
    ],
)
def test_the_data_of_a_study_can_be_said_in_detail(
    tmp_path: Path, written: str, means: dict[str, object]
) -> None:
    found = study(tmp_path, f'estimator = "sklearn.svm:SVC"\n{written}')
    assert found.data in (str(tmp_path / "t.csv"), str(tmp_path / "t.npy"))
    assert {key: getattr(found, key) for key in means} == means


def test_a_target_in_a_file_of_its_own_is_beside_the_study_file(tmp_path: Path) -> None:
    np.save(tmp_path / "X.npy", np.random.default_rng(0).normal(size=(20, 2)))
    np.save(tmp_path / "y.npy", np.arange(20) % 2)
    found = study(tmp_path, 'estimator = "sklearn.svm:SVC"\ndata = "X.npy"\ntarget = "y.npy"\ncv = 2')
    objective = found.objective()
    assert isinstance(objective, CrossValidation)
    assert objective.data.classes == (0, 1)


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ('[data]\ntarget = "y"', "[data] does not say what to read"),
        ('target = "y"\n[data]\nsource = "iris"\ntarget = "y"', "target is given at the top and in [data]"),
        ('[data]\nsource = "iris"\ntraget = "y"', "unknown key 'data.traget'. Did you mean 'target'?"),
        ('data = "iris"\npreprocess = "no"', 'preprocess is "no". Use "auto", "none", a transformer'),
        ('data = "iris"\npreprocess = 3', "preprocess is 3"),
        ('data = "iris"\ndrop = 3', "drop is 3"),
    ],
)
def test_data_that_is_said_wrongly_is_refused(tmp_path: Path, written: str, says: str) -> None:
    with pytest.raises(InvalidStudy) as error:
        study(tmp_path, f'estimator = "sklearn.svm:SVC"\n{written}')
    assert says in str(error.value)


def test_a_function_has_no_table_to_prepare(tmp_path: Path) -> None:
    with pytest.raises(InvalidStudy, match="preprocess belongs to an estimator"):
        study(tmp_path, 'preprocess = "none"\n' + FUNCTION)
