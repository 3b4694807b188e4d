"""Whatever is sent, the studio has a sentence for it: to every address, in every form there is, as bytes that are no request."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import unescape
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.studio.addresses import KNOWN, addresses, filled, parameters, routes
from tests.studio.conftest import Served

ANSWERS = (200, 303, 304, 307, 400, 401, 403, 404, 405, 409, 413, 415, 421, 422, 503)
HERE = settings(
    max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
TEXT = st.text(max_size=30) | st.sampled_from(
    ["first", "0", "..", "%00", "\x00", "ä" * 20, "first/t/0", "a/b"]
)
VALUES = st.text(max_size=40) | st.sampled_from(
    [
        "", "0", "-1", "1", "5", "1e999", "-1e999", "nan", "inf", "1_000", "٣", "9" * 400, "1.5", "0x10", "None", "true", "[1, 2]",
        "{}", '{"a": 1}', "[" * 3000, "x" * 20000, "\x00", "\ud7ff", "../../etc/passwd", "<script>", "=1+1", "first", "a,b,c", "1..5",
        "score>0.8 lr:1e-4..1e-2", "state:complete,-pruned", '"', "((((", "*" * 50, "\n\n", "on", "range", "multiple", "grid", "7:0,7:1",
    ]
)  # fmt: skip


def fields_of(studio: Served) -> dict[str, dict[str, list[str]]]:
    """The forms of all pages: by address, the fields and the values that they offer."""
    found: dict[str, dict[str, list[str]]] = {}
    for path in addresses(studio, "GET"):
        if path.endswith("/events"):
            continue
        text = studio.get(path, accept="text/html").body.decode(errors="replace")
        for action, inside in re.findall(r'<form[^>]*action="([^"]*)"[^>]*>(.*?)</form>', text, re.DOTALL):
            form = found.setdefault(unescape(action).partition("?")[0], {})
            for tag in re.findall(r"<(?:input|select|textarea|button)[^>]*>", inside):
                name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
                if name is not None:
                    form.setdefault(unescape(name[1]), []).append(unescape(value[1]) if value else "")
    return found


def multipart(fields: dict[str, str]) -> str:
    """A form with a file in it."""
    parts = [
        f'--abc\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    file = '--abc\r\ncontent-disposition: form-data; name="file"; filename="../a.csv"\r\n\r\na,b\r\n1,=2\r\n'
    return "".join(parts) + file + "--abc--\r\n"


KINDS: dict[str, tuple[str, Callable[[dict[str, str]], str]]] = {
    "form": ("application/x-www-form-urlencoded", lambda fields: urlencode(fields, errors="replace")),
    "multipart": ("multipart/form-data; boundary=abc", multipart),
    "json": ("application/json", json.dumps),
    "torn": ("multipart/form-data; boundary=abc", lambda fields: multipart(fields)[: 30 + len(fields)]),
    "unbound": ("multipart/form-data", multipart),
}


@pytest.mark.usefixtures("no_processes")
def test_whatever_is_in_a_form_there_is_a_sentence_for_it(studio: Served, first: str) -> None:
    forms = fields_of(studio)
    assert {"more"} <= forms["/s/first/add"].keys()
    assert {"theme"} <= forms["/settings/theme"].keys()
    names = sorted({name for form in forms.values() for name in form})
    wrong: dict[str, str] = {}

    @settings(HERE, max_examples=150, phases=[Phase.generate])
    @given(st.data())
    def fuzz(data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(addresses(studio, "POST")))
        form = forms.get(path, {})
        # One or two fields are odd: where all are, the first of them is refused, and the others never looked at.
        odd = data.draw(st.sets(st.sampled_from(sorted(form)), max_size=2)) if form else set()
        own = {
            name: data.draw(VALUES if name in odd else st.sampled_from(values))
            for name, values in form.items()
        }
        other = data.draw(st.dictionaries(st.sampled_from(names) | TEXT, VALUES, max_size=3))
        kind, write = KINDS[data.draw(st.sampled_from(["form", "form", "form", *KINDS]))]
        body = write(own | other).encode("utf-8", "replace").decode()
        answer = studio.post(path, body, content_type=kind)
        if answer.status not in ANSWERS or not (answer.body or answer.status == 303):
            wrong[f"{path} {answer.status}"] = body[:2000]

    fuzz()
    assert wrong == {}


@pytest.mark.usefixtures("no_processes")
@HERE
@given(st.data())
def test_whatever_is_asked_for_there_is_a_sentence_for_it(
    studio: Served, first: str, data: st.DataObject
) -> None:
    named = [
        route.path
        for route in routes(studio)
        if "GET" in (route.methods or ()) and not route.path.endswith("/events")
    ]
    path = data.draw(st.sampled_from(named))
    values = dict(KNOWN)
    for name in parameters(path):
        if data.draw(st.booleans()):
            values[name] = data.draw(TEXT)
    asked = data.draw(
        st.dictionaries(
            st.sampled_from(
                [
                    "f",
                    "sel",
                    "x",
                    "y",
                    "color",
                    "view",
                    "axes",
                    "by",
                    "from",
                    "to",
                    "q",
                    "state",
                    "said",
                    "sort",
                    "after",
                    "t",
                    "s",
                    "m",
                    "base",
                    "all",
                    "draft",
                    "estimator",
                    "score",
                    "page",
                    "n",
                    "w",
                ]
            )
            | TEXT,
            VALUES,
            max_size=5,
        )
    )
    query = urlencode(asked, errors="replace")
    address = f"{filled(path, values)}?{query}"
    answer = studio.get(address)
    assert answer.status in ANSWERS, (address, answer.status)


@HERE
@given(
    method=st.sampled_from(["GET", "POST", "HEAD"]),
    parts=st.lists(
        TEXT
        | st.sampled_from(["s", "t", "part", "best.json", "curve.json", "pause", "stop", "add", "static"]),
        max_size=5,
    ),
    field=TEXT,
    value=TEXT,
    name=st.sampled_from(["more", "from", "said", "token", "v"]),
    ours=st.booleans(),
)
def test_whatever_address_is_made_up_there_is_a_sentence_for_it(
    studio: Served, first: str, method: str, parts: list[str], field: str, value: str, name: str, ours: bool
) -> None:
    begin = ["s", "first"] if ours else []
    path = "/" + "/".join(quote(part, safe="") for part in begin + parts)
    if path.endswith("/events"):
        return
    query = f"{quote(name)}={quote(value)}&{quote(field)}={quote(value)}"
    body = query if method == "POST" else None
    answer = studio.call(f"{path}?{query}", method, body, token=studio.token)
    assert answer.status in ANSWERS, (path, answer.status)


@settings(HERE, max_examples=100)
@given(
    st.binary(max_size=300)
    | st.builds(
        lambda a, b: a + b"\r\nhost: 127.0.0.1\r\n" + b, st.binary(max_size=60), st.binary(max_size=200)
    )
)
def test_bytes_that_are_no_request_do_no_harm(studio: Served, request_: bytes) -> None:
    assert b" 500 " not in studio.raw(request_ + b"\r\n\r\n")[:20]
