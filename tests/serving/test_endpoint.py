"""What is answered to whom."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from luthier.errors import InvalidStudy, ModelError
from luthier.estimators.data import Data
from luthier.models import predict, save_model
from luthier.serving.door import Door
from luthier.serving.serve import curl, open_server
from luthier.serving.source import kept
from tests.models.fruit import keep, table
from tests.serving.conftest import ROW, Served, odd_table

# --- answers -----------------------------------------------------------------------------------


def test_it_says_what_the_model_says(served: Served, home: Path) -> None:
    rows = table(50, 3).drop(columns="sold")
    expected = predict(home, "fruit", rows)
    said = served.predict(*rows.to_dict("records")).json
    assert (said["model"], said["version"], said["classes"]) == ("fruit", 1, ["no", "yes"])
    assert said["predictions"] == expected.values.tolist()
    assert np.allclose(said["probabilities"], expected.probabilities)


def test_the_order_of_columns_a_target_and_unseen_categories_are_no_matter(served: Served) -> None:
    assert served.predict(ROW).body == served.predict(dict(reversed(ROW.items()))).body
    assert served.predict(ROW).body == served.predict({**ROW, "sold": "yes"}).body
    assert served.predict({**ROW, "colour": "green"}).status == 200


def test_csv_goes_in_and_comes_out(served: Served, home: Path, tmp_path: Path) -> None:
    rows = table(20, 3)
    rows.to_csv(tmp_path / "in.csv", index=False)
    expected = predict(home, "fruit", rows)
    for sep, bom in ((",", b""), (";", b""), ("\t", b"\xef\xbb\xbf")):
        answer = served.send(bom + rows.to_csv(index=False, sep=sep).encode(), "text/csv; charset=utf-8")
        assert answer.headers["content-type"].startswith("text/csv")
        (tmp_path / "out.csv").write_bytes(answer.body)
        found = pd.read_csv(tmp_path / "out.csv")
        assert list(found) == ["prediction", "probability_no", "probability_yes"]
        assert found["prediction"].tolist() == expected.values.tolist()
        assert np.allclose(found.iloc[:, 1:], expected.probabilities)


def test_the_schema_says_what_a_row_is_and_its_example_is_one(served: Served) -> None:
    said = served.get("/schema").json
    row = said["row"]
    assert row["required"] == ["size", "colour", "weight"]
    assert row["properties"]["size"]["type"] == "number"
    assert row["properties"]["colour"] == {"type": "string", "examples": ["red", "blue"]}
    assert row["additionalProperties"] is False
    assert said["limits"] == {"rows": 10_000, "bytes": 8_000_000}
    assert served.predict(said["example"]).status == 200


def test_the_curl_that_is_shown_works(served: Served) -> None:
    words = shlex.split(served.opened.curl)
    if subprocess.run(["which", "curl"], capture_output=True, check=False).returncode == 0:
        answer = subprocess.run([*words, "--silent", "--fail"], capture_output=True, check=True).stdout
    else:
        headers = dict(word.split(": ", 1) for word in words if ": " in word and not word.startswith("{"))
        answer = served.send(words[words.index("-d") + 1].encode(), headers["Content-Type"]).body
    assert json.loads(answer)["predictions"][0] in ("yes", "no")


def test_a_curl_without_the_token_takes_it_from_the_shell() -> None:
    line = curl("http://127.0.0.1:9000", None, {"it's": "$HOME"})
    assert '"Authorization: Bearer $TOKEN"' in line
    assert shlex.split(line)[-2] == '{"rows": [{"it\'s": "$HOME"}]}'


def test_health_needs_no_token_and_metrics_do(served: Served) -> None:
    said = served.call("/healthz", token=None)
    assert (said.status, said.json["status"], said.json["model"], said.json["version"]) == (
        200,
        "ok",
        "fruit",
        1,
    )
    assert {"restarts", "last_restart", "since"} <= said.json.keys()
    assert served.call("/metrics", token=None).status == 401
    before = served.get("/metrics").json
    served.predict(ROW, ROW)
    served.predict({})
    after = served.get("/metrics").json
    assert [after[name] - before[name] for name in ("requests", "rows", "refused", "errors")] == [2, 2, 1, 0]
    assert after["per_second"] > 0
    assert 0 < after["latency_ms"]["p50"] <= after["latency_ms"]["p95"] < 60_000


def test_the_log_knows_no_payloads_and_no_tokens(served: Served) -> None:
    served.predict({**ROW, "colour": "my secret colour"})
    served.predict({"my secret column": 1})
    served.call("/my%0Asecret/path?token=secret", "SECRET")
    text = "\n".join(served.log[-3:])
    assert "POST /predict 200" in text
    assert "POST /predict 422" in text
    assert "secret" not in text
    assert served.opened.keys.owner not in text


def test_dates_truths_categories_texts_and_gaps_are_read_as_the_model_knows_them(odd: Served) -> None:
    rows = odd_table(30, 1).drop(columns="sold")
    home = odd.opened.endpoint.source.read.__closure__[0].cell_contents.path.parents[2]  # type: ignore[index]
    expected = predict(home, "odd", rows).values
    texts = rows.assign(when=rows["when"].astype(str)).astype(object).where(rows.notna(), None)
    said = odd.predict(*texts.to_dict("records")).json
    assert np.allclose(said["predictions"], expected)
    csv = odd.send(rows.to_csv(index=False).encode(), "text/csv").body.decode().split()
    assert np.allclose([float(cell) for cell in csv[1:]], expected)


def test_the_schema_of_odd_columns_and_its_example_agree(odd: Served) -> None:
    said = odd.get("/schema").json
    types = {name: column["type"] for name, column in said["row"]["properties"].items()}
    assert types == {
        "when": "string",
        "paid": ["number", "boolean"],
        "zone": ["string", "number", "boolean"],
        "note": "string",
        "price": ["number", "null"],
        "class": ["string", "null"],
    }
    assert all(value is not None for value in said["example"].values())
    assert odd.predict(said["example"]).status == 200


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"when": "tomorrow"}, "'when' is 'tomorrow', and the model reads a date such as 2024-12-31 there"),
        ({"when": 7}, "'when' is 7,"),
        ({"zone": [1]}, "'zone' is a list, and the model reads text or a number there"),
        ({"price": "7"}, "'price' is '7', and the model reads a number there"),
    ],
)
def test_odd_columns_are_checked_too(odd: Served, change: dict[str, Any], sentence: str) -> None:
    answer = odd.predict({**odd.get("/schema").json["example"], **change})
    assert (answer.status, sentence in answer.error) == (422, True)


# --- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([{"size": 1, "colour": "red"}], "row 1: 'weight' is missing."),
        (
            [ROW, {**ROW, "wieght": 1}],
            "row 2: 'wieght' is no column that the model reads. Did you mean 'weight'?",
        ),
        (
            [ROW, ROW, {**ROW, "size": "12 kg"}],
            "row 3: 'size' is '12 kg', and the model reads a number there.",
        ),
        ([{**ROW, "size": True}], "row 1: 'size' is true, and the model reads a number there."),
        ([{**ROW, "size": [1]}], "row 1: 'size' is a list,"),
        ([{**ROW, "colour": 7}], "row 1: 'colour' is 7, and the model reads text there."),
        ([{**ROW, "colour": {}}], "row 1: 'colour' is an object,"),
        ([{**ROW, "size": 10**400}], "row 1: 'size' is a number of 401 digits,"),
        ([{**ROW, "size": None}], "there is no value in 'size' in some rows"),
        ([7], "row 1: '' is 7, and not an object"),
        ([], "there are no rows."),
        ([ROW] * 10_001, "there are 10,001 rows, and at most 10,000"),
    ],
)
def test_what_is_wrong_with_rows_is_said_with_row_and_column(
    served: Served, rows: list[Any], sentence: str
) -> None:
    answer = served.predict(*rows)
    assert answer.status == 422
    assert sentence in answer.error


def test_many_problems_are_counted_and_the_first_listed(served: Served) -> None:
    said = served.predict(*[{**ROW, "size": "x"}] * 300).json
    assert said["error"].endswith("; and 297 more.")
    assert said["problems"][9] == {
        "row": 10,
        "column": "size",
        "problem": "is 'x', and the model reads a number there",
    }
    assert len(said["problems"]) == 10


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b'{"rows": [{"size": NaN, "colour": "red", "weight": 1}]}', "NaN is none of its numbers"),
        (
            b'{"rows": [{"size": -Infinity, "colour": "red", "weight": 1}]}',
            "-Infinity is none of its numbers",
        ),
        (b'{"rows": [{"size": 1e999, "colour": "red", "weight": 1}]}', "row 1: 'size' is inf"),
        (
            b'{"rows": [{"size": ' + b"9" * 10_000 + b', "colour": "red", "weight": 1}]}',
            "the body is no JSON",
        ),
        (b'{"rows": ' + b"[" * 100_000, "nested too deep"),
        (b'{"rows": [' + b'{"a":' * 50_000, "nested too deep"),
        (b"{", "the body is no JSON"),
        (b"", "the body is no JSON"),
        (b"\xff\xfe\x00", "the body is no JSON"),
        (b"[]", 'the body is no {"rows"'),
        (b"null", 'the body is no {"rows"'),
        (b'{"rows": {}}', 'the body is no {"rows"'),
        (b'{"rows": [], "model": "x"}', "the body has 'model' beside"),
    ],
)
def test_bodies_that_are_no_rows_are_refused_in_a_sentence(
    served: Served, body: bytes, sentence: str
) -> None:
    answer = served.send(body)
    assert answer.status == 422
    assert sentence in answer.error


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "the CSV has no header"),
        (b"size,colour,weight\n", "there are no rows"),
        (b"size,colour\n1,red\n", "'weight' is missing"),
        (b"size,colour,weight,size\n1,red,2,3\n", "several columns named 'size'"),
        (b"size,colour,weight\n1,red\n", "line 2 of the CSV has 2 fields, and the header has 3"),
        (b"size,colour,weight\n1,red,2\nx,red,2\n", "row 2: 'size' is 'x'"),
        (b"size,colour,weight\n1_0,red,2\n", "row 1: 'size' is '1_0'"),
        (b"size,colour,weight\ninf,red,2\n", "row 1: 'size' is 'inf'"),
        (b"size,colour,weight\n\xff,red,2\n", "no CSV in UTF-8"),
        (b"size,colour,weight\n" + b"1,red,2\n" * 10_001, "more than 10,000 rows"),
        (b'size,colour,weight\n1,"' + b"r" * 200_000 + b'",2\n', "field larger than field limit"),
    ],
)
def test_tables_that_are_no_rows_are_refused_in_a_sentence(
    served: Served, body: bytes, sentence: str
) -> None:
    answer = served.send(body, "text/csv")
    assert answer.status == 422
    assert sentence in answer.error


def test_who_may_not_and_what_is_not_there(served: Served) -> None:
    body = json.dumps({"rows": [ROW]}).encode()
    kind = {"content_type": "application/json"}
    assert served.call("/predict", "POST", body, token=None, **kind).status == 401
    assert served.call("/predict", "POST", body, token="x" * 43, **kind).status == 401
    assert served.call("/predict", "POST", body, token="ä" * 30, **kind).status == 401
    for path in ("/schema", "/metrics", "/", "/nothing"):
        assert served.call(path, token=None).status == 401
    assert served.call("/predict", "POST", body, token=served.opened.keys.viewer, **kind).status == 403
    assert served.call("/schema", token=served.opened.keys.viewer).status == 200
    for host in ("evil.example", "127.0.0.1.nip.io", "", "a@127.0.0.1"):
        assert served.call("/healthz", token=None, host=host).status == 421
    assert served.call("/healthz", token=None, host="localhost").status == 200
    assert [served.get(path).status for path in ("/predict", "/nothing")] == [405, 404]
    assert "GET /schema" in served.get("/nothing").error


@pytest.mark.parametrize(
    "kind",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx"],
)
def test_other_types_are_refused(served: Served, kind: str) -> None:
    assert served.send(b"{}", kind).status == 415


def test_a_body_is_no_larger_than_it_may_be(served: Served) -> None:
    assert served.send(b" " * 8_000_001).status == 413
    assert served.send(b"x", content_length="50000000").status == 413
    fits = json.dumps({"rows": [ROW]}).encode().ljust(8_000_000)
    assert served.send(fits).status == 200


def test_a_body_in_chunks_is_counted_too(served: Served) -> None:
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    assert served.send(chunk * 9 + b"0\r\n\r\n", transfer_encoding="chunked").status == 413


def test_beyond_this_machine_it_asks_for_a_token_of_ones_own(home: Path) -> None:
    with pytest.raises(InvalidStudy, match="--token-file"):
        open_server(kept(home, "fruit"), Door("0.0.0.0"))


def test_a_certificate_that_is_none_is_said_before_anything_begins(tmp_path: Path) -> None:
    (tmp_path / "cert").write_text("none")
    with pytest.raises(InvalidStudy, match="belong together"):
        Door(cert=tmp_path / "cert").check()
    with pytest.raises(InvalidStudy, match="cannot be used"):
        Door(cert=tmp_path / "cert", key=tmp_path / "cert").check()
    with pytest.raises(InvalidStudy, match="No such file"):
        Door(cert=tmp_path / "gone", key=tmp_path / "cert").check()


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([1e308, -1e308, 10**308, 10**309, "1e999", "\ud800", "\x00", "=1+1"])
)
JSONS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["size", "colour", "weight", "sold"])
ROWS = st.fixed_dictionaries({"size": JSONS, "colour": JSONS, "weight": JSONS}) | st.dictionaries(
    NAMES | st.text(max_size=5), JSONS, max_size=5
)
BODIES = (
    st.builds(
        lambda rows: json.dumps({"rows": rows}).encode("utf-8", "surrogatepass"), st.lists(ROWS, max_size=4)
    )
    | st.builds(lambda value: json.dumps(value).encode(), JSONS | st.fixed_dictionaries({"rows": JSONS}))
    | st.binary(max_size=200)
    | st.builds(lambda cells: b"size,colour,weight\n" + cells, st.binary(max_size=60))
    | st.text(alphabet='size,colour\n\r"weight;1.5e9\x00', max_size=80).map(
        lambda text: f"size,colour,weight\n{text}".encode()
    )
)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(body=BODIES, kind=st.sampled_from(["application/json", "application/json", "text/csv", "text/html"]))
def test_whatever_is_sent_there_is_a_sentence_for_it(served: Served, body: bytes, kind: str) -> None:
    restarts = served.opened.endpoint.predictor.restarts
    answer = served.send(body, kind)
    assert answer.status in (200, 415, 422), answer.body
    if answer.status != 200:
        assert answer.error
    elif kind == "application/json":
        assert answer.json["predictions"]
    assert served.opened.endpoint.predictor.restarts == restarts


ODD = st.fixed_dictionaries(dict.fromkeys(("when", "paid", "zone", "note", "price", "class"), SCALARS))
MILD = st.fixed_dictionaries(
    {
        "when": st.none() | st.datetimes().map(lambda when: when.isoformat()),
        "paid": st.booleans() | st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "zone": SCALARS.filter(lambda value: not isinstance(value, float) or abs(value) < 1e308),
        "note": st.none() | st.text(max_size=10),
        "price": st.none() | st.integers(-(10**300), 10**300),
        "class": st.none() | st.sampled_from(["a", "b", "c", "\ud800", "\x00", ""]),
    }
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ODD | MILD, min_size=1, max_size=3))
def test_odd_values_are_predicted_or_refused(odd: Served, rows: list[Any]) -> None:
    answer = odd.send(json.dumps({"rows": rows}).encode())
    assert answer.status in (200, 422), answer.body
    assert answer.json


# --- the process with the model ----------------------------------------------------------------


def pid_of(served: Served) -> int:
    pid = served.opened.endpoint.predictor.pid
    assert pid is not None
    return pid


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def until_well(served: Served) -> None:
    until(lambda: served.call("/healthz", token=None).status == 200)


def test_a_killed_process_is_started_again_and_says_so(served: Served) -> None:
    before = served.get("/metrics").json
    pid = pid_of(served)
    os.kill(pid, signal.SIGSTOP)
    answers = []
    asking = threading.Thread(target=lambda: answers.append(served.predict(ROW)))
    asking.start()
    until(lambda: bool(served.opened.endpoint.predictor._waiting))
    os.kill(pid, signal.SIGKILL)
    asking.join(60)
    assert answers[0].status == 503
    assert "died while it was asked (killed (SIGKILL)" in answers[0].error
    assert answers[0].headers["retry-after"] == "5"
    until_well(served)
    assert served.predict(ROW).status == 200
    assert pid_of(served) != pid
    health = served.call("/healthz", token=None).json
    assert health["restarts"] == before["restarts"] + 1
    assert "SIGKILL" in health["last_restart"]["why"]
    after = served.get("/metrics").json
    assert after["errors"] == before["errors"] + 1
    assert "SIGKILL" in after["last_error"]["error"]


def test_a_prediction_that_takes_too_long_is_ended(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("luthier.serving.predictor.ANSWER_SECONDS", 0.3)
    os.kill(pid_of(served), signal.SIGSTOP)
    answer = served.predict(ROW)
    assert (answer.status, "took longer than 0.3 s" in answer.error) == (503, True)
    monkeypatch.undo()
    until_well(served)
    assert served.predict(ROW).status == 200
    assert "longer" in served.call("/healthz", token=None).json["last_restart"]["why"]


def test_what_takes_too_much_memory_says_so(serve: Callable[..., Served], tmp_path: Path) -> None:
    from sklearn.kernel_approximation import RBFSampler
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    X = np.random.default_rng(0).normal(size=(20, 2))
    model = make_pipeline(RBFSampler(n_components=100_000, random_state=0), Ridge()).fit(X, X[:, 0])
    save_model(tmp_path, "wide", model, meta={"task": "regression"}, data=Data.of(X, X[:, 0]))
    served = serve(kept(tmp_path, "wide"), memory=3 * 2**30)
    row = {"x0": 1.0, "x1": 2.0}
    one = served.predict(row).json
    assert (one["classes"], one["probabilities"]) == (None, None)
    answer = served.predict(*[row] * 10_000)
    assert answer.status == 503
    assert "more than the 3.0 GiB of memory" in answer.error
    until_well(served)
    assert served.predict(row).json == one
    assert served.get("/healthz").json["last_restart"]["why"] == "out of memory"


def test_the_process_that_listens_loads_no_model_and_the_other_ends_with_it(
    home: Path, tmp_path: Path
) -> None:
    import sys

    code = f"""
import sys, threading
from luthier.serving.door import Door
from luthier.serving.serve import open_server
from luthier.serving.source import kept
def began(opened):
    print(opened.endpoint.predictor.pid, [m for m in ("sklearn", "skops", "pandas", "pickle5", "joblib") if m in sys.modules], flush=True)
open_server(kept({str(home)!r}, "fruit"), Door(port=0)).run(began=began)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as front:
        assert front.stdout is not None
        pid, _, loaded = front.stdout.readline().strip().partition(" ")
        assert loaded == "[]"
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert any(
            line.startswith("Max core file size") and line.split()[4] == "0" for line in limits.splitlines()
        )
        assert "LUTHIER_KEY" not in Path(f"/proc/{pid}/environ").read_text()
        front.kill()
    until(lambda: not Path(f"/proc/{pid}").exists())


def test_what_cannot_be_loaded_is_said_at_once(tmp_path: Path) -> None:
    model = keep(tmp_path)
    source = kept(tmp_path, "fruit")
    (model.path / "model.skops").write_bytes(b"else")
    with pytest.raises(ModelError, match="has changed since it was saved"):
        open_server(source, Door(port=0)).run()
