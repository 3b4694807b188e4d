"""The pages of models: a model that a study saved is listed, tested, tried, promoted, deployed, deleted; no model is loaded in the server."""

from __future__ import annotations

import http.client
import json
import os
import pickle
import re
import shutil
import signal
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from sklearn.linear_model import LogisticRegression

import luthier as lt
from luthier.estimators import load_data
from luthier.models import Keep, export_model, history_of
from luthier.models.notes import note
from luthier.models.registry import write_manifest
from luthier.serving.deployments import Deployments
from luthier.serving.door import Door
from luthier.studio.models.markdown import html
from luthier.studio.serve import open_studio
from luthier.studyfile import keep as keep_file
from tests.impatient import impatient
from tests.studio.conftest import Answer, Served

ONE = "/models/iris/1"


@pytest.fixture(scope="module", autouse=True)
def key_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The key of whoever runs the tests is none of their business."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("LUTHIER_KEY", raising=False)
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, key_of_its_own: None) -> Path:
    """What a small study leaves: two versions of a model, and trials that were not kept."""
    home = tmp_path_factory.mktemp("made")
    objective = lt.CrossValidation(LogisticRegression(), load_data("iris"), cv=3, holdout=0.2)
    study = lt.tune(
        objective,
        {"C": lt.Float(1e-3, 10, log=True)},
        trials=5,
        name="iris",
        store=str(home / "studies.db"),
        algorithm="random",
        progress=False,
        keep=Keep(best=2, thresholds={"accuracy": 0.9}, notes={"intended_use": "telling <irises> apart"}),
    )
    study.close()
    return home


@pytest.fixture(scope="module")
def seen(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A studio of a copy of it, for tests that change nothing there: a model is loaded once for all of them."""
    place = shutil.copytree(made, tmp_path_factory.mktemp("seen"), dirs_exist_ok=True) / "studies.db"
    with pytest.MonkeyPatch.context() as patch:
        impatient(patch)
        opened = open_studio(str(place), Door(port=0))
        thread = threading.Thread(target=opened.run, daemon=True)
        thread.start()
        yield Served(opened)
        opened.close()
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture
def home(made: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, where the studio is started, with test data in the folder."""
    shutil.copytree(made, place.parent, dirs_exist_ok=True)
    monkeypatch.chdir(place.parent)
    data = load_data("iris")
    rows = [",".join([*(data.feature_names or ()), "kind"])]
    rows += [
        ",".join(map(str, [*row, kind])) for row, kind in zip(data.X[::3] + 0.01, data.y[::3], strict=True)
    ]
    (place.parent / "new.csv").write_text("\n".join(rows) + "\n")
    return place.parent


@pytest.fixture
def there(home: Path, serve: Callable[..., Served]) -> Served:
    return serve()


def form(studio: Served, path: str, **fields: str) -> Answer:
    return studio.post(path, urlencode(fields), content_type="application/x-www-form-urlencoded")


def upload(studio: Served, path: str, content: bytes, field: str = "file") -> Answer:
    body = (
        f'--xx\r\nContent-Disposition: form-data; name="{field}"; filename="a.csv"\r\n'
        f"Content-Type: text/csv\r\n\r\n{content.decode()}\r\n--xx--\r\n"
    )
    return studio.post(path, body, content_type="multipart/form-data; boundary=xx")


def send(studio: Served, path: str, content: bytes) -> tuple[int, str, str]:
    """Upload a file of any bytes: status, where to go, text."""
    head = b'--xx\r\nContent-Disposition: form-data; name="file"; filename="a.zip"\r\n\r\n'
    headers = {
        "authorization": f"Bearer {studio.token}",
        "content-type": "multipart/form-data; boundary=xx",
    }
    connection = http.client.HTTPConnection("127.0.0.1", studio.port, timeout=60)
    connection.request("POST", path, head + content + b"\r\n--xx--\r\n", headers)
    answer = connection.getresponse()
    found = answer.status, answer.headers.get("location", ""), answer.read().decode()
    connection.close()
    return found


def rezipped(content: bytes, change: Callable[[str, bytes], tuple[str, bytes] | None]) -> bytes:
    """The archive with other files in it."""
    made = BytesIO()
    with zipfile.ZipFile(BytesIO(content)) as old, zipfile.ZipFile(made, "w") as new:
        for entry in old.infolist():
            kept = change(entry.filename, old.read(entry))
            if kept is not None:
                new.writestr(*kept)
    return made.getvalue()


def until(studio: Served, path: str, text: str, seconds: float = 60) -> str:
    """The page, once it says that."""
    end, found = time.monotonic() + seconds, ""
    while time.monotonic() < end:
        found = studio.get(path).text
        if text in found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{path} never said {text!r}: {found}")


def have_tested(studio: Served, **fields: str) -> None:
    """Have it tested, once what was asked before has ended."""
    end = time.monotonic() + 60
    while form(studio, f"{ONE}/test", **fields).headers["location"] != f"{ONE}?said=tested#scores":
        assert time.monotonic() < end, "what was asked before never ends"
        time.sleep(0.05)


def words(page: str) -> str:
    """What a page says, without markup."""
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


# --- looking -----------------------------------------------------------------------------------


def test_the_board_lists_every_version_with_its_scores(seen: Served, made: Path) -> None:
    page = seen.get("/models").text
    said = words(page)
    assert "2 versions in" in said
    assert page.index("/models/iris/2") < page.index("/models/iris/1")
    manifest = json.loads((made / "models/iris/1/model.json").read_text())
    assert f"{manifest['scores']['accuracy']['mean']:.3f} ±" in said
    assert said.count("champion") == 2  # of the one version; and what a ring in the chart means
    assert f"/s/iris/t/{manifest['trial']}" in page
    assert "/models/iris/1/test" in page
    assert words(seen.get("/models?by=name&score=fit_seconds").text).count("fit_seconds") >= 3
    assert seen.get("/models?by=nonsense&page=99&score=nothing").status == 200
    data = seen.get("/models/scores.json").json
    assert data["metric"] == "accuracy"
    assert [dot["version"] for dot in data["dots"]] == [2, 1]
    assert [dot["champion"] for dot in data["dots"]] == [False, True]


def test_without_models_the_board_says_how_there_come_to_be_some(studio: Served) -> None:
    page = studio.get("/models").text
    assert "No models in" in page
    assert "lt.tune" in page
    assert studio.get("/models/scores.json").json["empty"]
    assert studio.get("/models/none").status == 404


def test_it_says_what_is_kept_and_why_the_others_were_not(seen: Served) -> None:
    said = words(seen.get("/models/part/kept").text)
    assert "Kept: the best 2, only with accuracy of at least 0.9." in said
    assert "below the threshold of 0.9" in said


def test_a_version_says_where_it_comes_from_and_what_it_reads(seen: Served) -> None:
    assert seen.get("/models/iris").headers["location"] == ONE
    said = words(seen.get(ONE).text)
    for text in ("iris, 150 × 4", "3-fold stratified", "LogisticRegression", "scikit-learn", "made here"):
        assert text in said
    assert "petal length (cm) number 1 to 6.9" in said
    assert "one of 3 classes: 0, 1, 2" in said
    assert "telling &lt;irises&gt; apart" in seen.get(ONE).text
    assert "luthier serve iris --version 1 --store" in said
    assert "numbers and arrays only" in words(seen.get(f"{ONE}/part/types").text)


def test_what_another_process_does_is_heard_of_at_once(there: Served, home: Path) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", there.port, timeout=20)
    connection.request("GET", "/models/events", headers={"authorization": f"Bearer {there.token}"})
    stream = connection.getresponse()

    def message() -> Any:
        while not (line := stream.readline()).startswith(b"data: "):
            pass
        return json.loads(line[6:])

    before = message()
    begun = time.monotonic()
    note(home, "iris", 1, {"limits": "irises only"})
    assert message()["models"] != before["models"]
    assert time.monotonic() - begun < 2
    connection.close()


def test_a_card_is_text_and_never_markup() -> None:
    made = html(
        "# <b>a</b>\n\ntext `<i>` more\nand more\n\n- one\n- *two*\n\n| a | <u> |\n| --- | --- |\n| 1 | 2 |\n"
    )
    assert "<h3>&lt;b&gt;a&lt;/b&gt;</h3>" in made
    assert "<p>text <code>&lt;i&gt;</code> more and more</p>" in made
    assert "<ul><li>one</li><li>*two*</li></ul>" in made
    assert '<th scope="col">&lt;u&gt;</th>' in made
    assert "<td>1</td><td>2</td>" in made


# --- testing and trying ------------------------------------------------------------------------


def test_a_click_tests_on_the_rows_held_back_and_every_look_counts(there: Served, home: Path) -> None:
    assert "What it takes for what" not in there.get(ONE).text
    assert form(there, f"{ONE}/test", back="board").headers["location"] == "/models"
    assert "1 look" in words(until(there, "/models/part/board", "1 look"))
    page = words(there.get(ONE).text)
    assert "Tested on the part of iris held back, 30 rows: 1 look." in page
    assert "What it takes for what" in page
    have_tested(there)
    until(there, ONE, "2 looks")
    assert [event.what for event in history_of(home, "iris")].count("looked") == 2


def test_a_model_is_tested_on_a_file_of_the_folder_and_on_no_other(there: Served, home: Path) -> None:
    have_tested(there, data="new.csv", target="kind")
    assert "on new.csv (50 rows)" in words(until(there, ONE, "on new.csv"))
    for name in ("/etc/passwd", "../new.csv", str(home / "new.csv"), "studies.db", "none.csv"):
        answer = form(there, f"{ONE}/test", data=name)
        assert answer.status == 422, name
    have_tested(there, data="iris")
    until(there, f"{ONE}/part/scores", "a score on them says nothing")


def test_a_row_is_tried_and_what_is_wrong_with_one_is_said(seen: Served) -> None:
    page = seen.get(ONE).text
    assert 'value="4.35"' in page  # a typical row
    answer = form(seen, f"{ONE}/try", c0="5.0", c1="3.4", c2="1.4", c3="0.2")
    assert answer.status == 303
    page = seen.get(answer.headers["location"].partition("#")[0]).text
    assert "target = 0" in words(page)
    assert 'value="1.4"' in page
    answer = form(seen, f"{ONE}/try", c0="5.0", c1="", c2="<b>", c3="0.2")
    page = seen.get(answer.headers["location"].partition("#")[0]).text
    assert "is &#39;&lt;b&gt;&#39;, and the model reads a number there" in page
    # what was answered of one version is not shown of another
    other = answer.headers["location"].partition("#")[0].replace("/1?", "/2?")
    assert "the model reads a number there" not in seen.get(other).text


def test_a_table_is_predicted_and_handed_back_as_a_file(seen: Served) -> None:
    answer = upload(
        seen,
        f"{ONE}/table",
        b"petal width (cm),petal length (cm),sepal length (cm),sepal width (cm)\n0.2,1.4,5,3.4\n2.3,6,6.5,3\n",
    )
    page = seen.get(answer.headers["location"].partition("#")[0]).text
    assert "2 predicted." in words(page)
    link = re.search(r'href="([^"]+/predictions.csv[^"]+)"', page)
    assert link is not None
    found = seen.get(link[1])
    assert found.text.splitlines()[0] == "prediction,probability_0,probability_1,probability_2"
    assert [line[0] for line in found.text.splitlines()[1:]] == ["0", "2"]
    assert "iris-1-predictions.csv" in found.headers["content-disposition"]
    answer = upload(seen, f"{ONE}/table", b"petal,colour\n1,2\n")
    assert "is missing" in words(seen.get(answer.headers["location"].partition("#")[0]).text)
    answer = upload(seen, f"{ONE}/table", b"a\n" + b"1\n" * 10_001)
    assert "more than 10,000 rows" in words(seen.get(answer.headers["location"].partition("#")[0]).text)
    assert seen.get(f"{ONE}/predictions.csv?tried=none").status == 404


def test_a_large_file_is_refused_before_it_is_read(seen: Served) -> None:
    head = (
        f"POST {ONE}/table HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {seen.token}\r\nconnection: close\r\n"
        "content-type: multipart/form-data; boundary=xx\r\ncontent-length: 50000000\r\n\r\n--xx\r\n"
    )
    answer = seen.raw(head.encode())
    assert b" 413 " in answer.partition(b"\r\n")[0]
    assert b"more than the 8 MB" in answer
    assert upload(seen, f"{ONE}/table", b"a" * 8_100_000).status == 413
    assert upload(seen, f"{ONE}/table", b"a,b", field="other").status == 422
    assert seen.post(f"{ONE}/table", "x=1", content_type="application/x-www-form-urlencoded").status == 422
    assert seen.post(f"{ONE}/table", "broken", content_type="multipart/form-data; boundary=xx").status == 422


# --- changing ----------------------------------------------------------------------------------


def test_promotion_says_why_and_is_rolled_back(there: Served, home: Path) -> None:
    answer = form(there, "/models/iris/2/promote")
    assert answer.status == 303
    assert "Version 2 is not promoted, and version 1 stays in use" in words(
        there.get(answer.headers["location"]).text
    )
    form(there, "/models/iris/2/promote", force="yes")
    assert there.get("/models/iris").headers["location"] == "/models/iris/2"
    assert form(there, "/models/iris/2/rollback").headers["location"] == f"{ONE}?said=rolled"
    assert there.get("/models/iris").headers["location"] == ONE
    assert form(there, f"{ONE}/rollback").status == 422


def test_a_champion_is_deleted_by_who_writes_its_name(there: Served, home: Path) -> None:
    assert form(there, f"{ONE}/delete").headers["location"] == f"{ONE}?said=unnamed"
    assert "its name was not written" in there.get(f"{ONE}?said=unnamed").text
    assert form(there, f"{ONE}/delete", name="iris").headers["location"] == "/models?said=deleted"
    assert form(there, "/models/iris/2/delete").status == 303
    assert not [path for path in (home / "models/iris").iterdir() if path.is_dir()]
    assert "Its 2 versions were deleted" in there.get(ONE).text
    assert "No models in" in there.get("/models").text


def test_what_is_said_on_the_card_changes_no_file_and_is_exported(there: Served, home: Path) -> None:
    before = {path.name: path.read_bytes() for path in (home / "models/iris/1").iterdir()}
    assert form(there, f"{ONE}/note", limits="<script>alert(1)</script> only").status == 303
    assert {path.name: path.read_bytes() for path in (home / "models/iris/1").iterdir()} == before
    page = there.get(ONE).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; only" in page
    assert "<script>alert(1)</script> only" in there.get(f"{ONE}/card.md").text
    answer = there.get(f"{ONE}/bundle.zip")
    assert "iris-1.zip" in answer.headers["content-disposition"]
    with zipfile.ZipFile(BytesIO(answer.body)) as archive:
        assert "iris-1/predict.py" in archive.namelist()
        assert b"alert(1)" in archive.read("iris-1/MODEL_CARD.md")
    assert there.get(f"{ONE}/model.skops").body == before["model.skops"]
    assert form(there, f"{ONE}/note", limits="x" * 5000).status == 422


def test_a_deployed_model_answers_the_command_shown_and_is_kept_alive(there: Served, home: Path) -> None:
    deployments = Deployments(home)
    try:
        assert form(there, f"{ONE}/deploy").headers["location"] == ONE
        page = words(until(there, ONE, "deployed"))
        until(there, f"{ONE}/part/serving", "answers")
        now = deployments.current()
        assert now is not None
        assert now.url in words(there.get(f"{ONE}/part/curl").text)
        assert deployments.token() not in there.get(ONE).text
        command = there.get(f"{ONE}/curl.txt").text
        assert deployments.token() in command
        body = re.search(r"-d '(.*)'", command)
        assert body is not None
        connection = http.client.HTTPConnection("127.0.0.1", now.port, timeout=20)
        headers = {"authorization": f"Bearer {deployments.token()}", "content-type": "application/json"}
        connection.request("POST", "/predict", body[1], headers)
        assert json.loads(connection.getresponse().read())["predictions"] == [1]
        connection.close()
        assert "1 request," in words(until(there, "/models/part/serving", "1 request,"))
        kept = json.loads((home / "serving/deployment.json").read_text())
        os.kill(int(kept["process"].split("/")[1]), signal.SIGKILL)
        assert "Restarted 1 time, last at" in words(until(there, "/models/part/serving", "Restarted 1 time"))
        assert form(there, "/models/serving/stop").status == 303
        page = there.get("/models").text
        assert "Deploy iris · 1 again" in page
        assert there.get(f"{ONE}/curl.txt").status == 422
    finally:
        if deployments.current() is not None:
            deployments.stop()


def test_a_trial_becomes_a_model_when_somebody_asks(there: Served, home: Path) -> None:
    kept = {event.about["origin"] for event in history_of(home, "iris") if event.what == "saved"}
    assert len(kept) == 2
    trials = {json.loads((home / f"models/iris/{n}/model.json").read_text())["trial"] for n in (1, 2)}
    number = next(n for n in range(5) if n not in trials)
    page = f"/s/iris/t/{number}"
    assert "Save model" not in there.get(page).text  # what it was fitted with is not known here
    assert form(there, f"{page}/save").status == 422
    given = {
        "name": "iris",
        "estimator": "sklearn.linear_model:LogisticRegression",
        "data": "iris",
        "cv": 3,
        "holdout": 0.2,
        "maximize": "accuracy",
    }
    keep_file(home, "iris", given)
    assert "Save model" in there.get(page).text
    assert "Save model" not in there.call(page, token=there.viewer).text
    assert there.call(f"{page}/save", "POST", "", token=there.viewer).status == 403
    assert form(there, f"{page}/save").headers["location"] == "/models"
    assert "is being fitted to all rows" in there.get("/models").text
    assert "/models/iris/3" in until(there, "/models/part/board", "/models/iris/3")
    until(there, page, "Model, version 3")
    assert form(there, f"{page}/save").headers["location"] == "/models/iris/3"


def test_a_bundle_from_elsewhere_is_used_once_somebody_kept_it(there: Served, home: Path) -> None:
    content = export_model(home, "iris", home / "iris.zip", 1).read_bytes()

    def renamed(name: str, text: bytes) -> tuple[str, bytes]:
        return name, text.replace(b'"name": "iris"', b'"name": "rose"', 1) if name.endswith(
            "model.json"
        ) else text

    status, page, _ = send(there, "/models/import", rezipped(content, renamed))
    assert status == 303
    said = words(there.get(page).text)
    for text in (
        "A model from elsewhere: rose",
        "not made on this machine",
        "numbers and arrays only",
        "predict.py",
    ):
        assert text in said
    assert there.call(page, token=there.viewer).status == 403
    assert page in there.get("/models").text
    assert not (home / "models/rose").exists()
    assert form(there, f"{page}/keep").headers["location"] == "/models/rose/1"
    assert "made here" in words(there.get("/models/rose/1").text)
    assert there.get(page).status == 404
    status, page, _ = send(there, "/models/import", content)
    assert "exported on this machine" in there.get(page).text
    assert form(there, f"{page}/keep").headers["location"] == ONE  # there it is already
    status, page, _ = send(there, "/models/import", content)
    assert form(there, f"{page}/drop").headers["location"] == "/models"
    assert not list((home / "imports").iterdir())


def test_what_is_no_bundle_is_not_even_put_aside(there: Served, home: Path) -> None:
    content = export_model(home, "iris", home / "iris.zip", 1).read_bytes()
    changes: dict[str, Callable[[str, bytes], tuple[str, bytes] | None]] = {
        "does not have the hash": lambda n, t: (n, t[:-1] + b"x") if n.endswith(".skops") else (n, t),
        "lacks model.skops": lambda n, t: None if n.endswith(".skops") else (n, t),
        "has no model.json": lambda n, t: None if n.endswith("model.json") else (n, t),
        "names that none of ours have": lambda n, t: (
            ("iris-1/../../x", t) if n.endswith("predict.py") else (n, t)
        ),
        "cannot be kept": lambda n, t: (n, t.replace(b'"scores": {', b'"scores": 7, "x": {', 1)),
        "is damaged": lambda n, t: (n, b"[]") if n.endswith("model.json") else (n, t),
    }
    for why, change in changes.items():
        status, _, said = send(there, "/models/import", rezipped(content, change))
        assert (status, why in said) == (422, True), (why, said)
    assert send(there, "/models/import", b"nothing")[0] == 422
    assert send(there, "/models/import", b"")[0] == 422
    assert not list((home / "imports").iterdir())
    for path in ("/models/imports/..", "/models/imports/0", "/models/imports/" + "0" * 16 + "x"):
        assert there.get(path).status == 404
        assert form(there, f"{path}/keep").status in (404, 422)


# --- who may, and what is refused --------------------------------------------------------------


def test_who_may_only_look_changes_nothing_and_gets_no_model(there: Served, home: Path) -> None:
    before = (home / "models/iris/log.jsonl").read_bytes()
    for what in ("test", "try", "table", "note", "promote", "rollback", "delete", "deploy"):
        assert there.call(f"{ONE}/{what}", "POST", "", token=there.viewer).status == 403, what
    for path in (
        "/models/serving/stop",
        "/models/serving/rollback",
        "/models/import",
        "/models/imports/x/keep",
    ):
        assert there.call(path, "POST", "", token=there.viewer).status == 403
    for what in ("bundle.zip", "model.skops", "predict.py", "curl.txt"):
        assert there.call(f"{ONE}/{what}", token=there.viewer).status == 403, what
    page = there.call(ONE, token=there.viewer)
    assert page.status == 200
    assert '<form method="post" action="/models' not in page.text
    assert '<form method="post" action="/models' not in there.call("/models", token=there.viewer).text
    assert there.call(f"{ONE}/card.md", token=there.viewer).status == 200
    assert (home / "models/iris/log.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    "name", ["..", ".hidden", "../../etc", "a/b", "no", "a\0b", "ir\nis", "x" * 300, "_x"]
)
def test_a_name_leads_nowhere_else(seen: Served, name: str) -> None:
    for path in (f"/models/{quote(name, safe='')}", f"/models/{quote(name, safe='')}/1"):
        assert seen.get(path).status == 404
        assert seen.get(f"{path}/card.md").status in (404, 422)
        assert form(seen, f"{path}/delete").status in (404, 405, 422)
    assert seen.get("/models/iris/0").status == 404
    assert seen.get(f"/models/iris/{10**30}").status == 404
    assert seen.get(f"{ONE}/part/nothing").status == 404


def test_a_model_that_was_changed_is_shown_as_such_and_not_used(there: Served, home: Path) -> None:
    assert there.get(ONE).status == 200
    path = home / "models/iris/1/model.skops"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert "cannot be used" in words(there.get("/models").text)
    assert "has changed since it was saved" in words(there.get(ONE).text)
    assert form(there, f"{ONE}/try", c0="5").status == 422
    for what in ("bundle.zip", "model.skops"):
        answer = there.get(f"{ONE}/{what}")
        assert answer.status == 422
        assert "has changed since it was saved" in answer.text
    form(there, f"{ONE}/deploy")
    until(there, "/models/part/serving", "has changed since it was saved")
    (home / "models/iris/2/model.json").write_text("{")
    assert "is damaged" in words(there.get("/models/iris/2").text)
    assert form(there, "/models/iris/2/delete").headers["location"] == "/models?said=deleted"
    (home / "models/iris/log.jsonl").write_text("nonsense\n")
    assert "is damaged" in there.get("/models").text


def test_a_model_that_was_not_signed_here_is_not_used(there: Served, home: Path) -> None:
    path = home / "models/iris/1/model.json"
    path.write_text(path.read_text().replace("3-fold", "9-fold"))
    page = words(there.get(ONE).text)
    assert "not signed here" in page
    assert "/deploy" not in there.get(f"{ONE}/part/head").text
    assert form(there, f"{ONE}/try", c0="5").status == 422
    assert there.get(f"{ONE}/bundle.zip").status == 422


class Bomb:
    """Says where it was loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_what_runs_code_is_never_loaded(there: Served, home: Path) -> None:
    folder, mark = home / "models/iris/1", home / "loaded"
    manifest = json.loads((folder / "model.json").read_text())
    content = pickle.dumps(Bomb(mark))
    (folder / "model.joblib").write_bytes(content)
    import hashlib

    files = manifest["files"] | {"model.joblib": hashlib.sha256(content).hexdigest()}
    del files["held.npz"]
    write_manifest(folder, manifest | {"serializer": "joblib", "files": files})
    assert "made here" in words(there.get(ONE).text)
    assert "saved with joblib" in form(there, f"{ONE}/try", c0="5").text
    assert there.get(f"{ONE}/bundle.zip").status == 422
    assert there.get(f"{ONE}/model.skops").status == 422
    form(there, f"{ONE}/deploy")
    until(there, "/models/part/serving", "saved with joblib")
    form(there, f"{ONE}/test", data="new.csv", target="kind")
    until(there, f"{ONE}/part/scores", "joblib")
    assert not mark.exists()
