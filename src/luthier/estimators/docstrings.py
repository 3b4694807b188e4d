"""What a class says about its parameters: the numpydoc section of its docstring, a type and a sentence each."""

from __future__ import annotations

import inspect
import re
import sys

_SECTION = re.compile(r"^(\s*)(Other )?Parameters\s*\n\s*-{3,}\s*\n", re.MULTILINE)
_ENTRY = re.compile(r"^(\*{0,2}[A-Za-z_][\w, *]*?)\s*:\s*(\S.*)$")
_LIKE = re.compile(r"^\s*Like in (\w+)", re.MULTILINE)  # as CatBoostRegressor says of CatBoostClassifier
_ROLE = re.compile(r":[a-z:]+:`~?([^`<]+?)(?:\s*<[^`]*>)?`")


def parameter_docs(cls: type) -> dict[str, tuple[str, str]]:
    """Type words and first sentence of each parameter, from the numpydoc sections of the class and its bases."""
    found: dict[str, tuple[str, str]] = {}
    like = _LIKE.search(cls.__doc__ or "")
    other = getattr(sys.modules.get(cls.__module__), like[1], None) if like else None
    if inspect.isclass(other) and other is not cls:
        found |= parameter_docs(other)
    for base in reversed(cls.__mro__[:-1]):
        for text in (base.__doc__, base.__dict__.get("__init__", base).__doc__):
            found |= _parameters_section(inspect.cleandoc(text or ""))
    return found


def _parameters_section(text: str) -> dict[str, tuple[str, str]]:
    start = _SECTION.search(text)
    if start is None:
        return {}
    lines = text[start.end() :].splitlines()
    filled = [line for line in lines if line.strip()]
    if not filled:
        return {}
    indent = len(filled[0]) - len(filled[0].lstrip())
    found: dict[str, tuple[str, str]] = {}
    names: list[str] = []
    kind, body = "", []
    for i, line in enumerate(lines):
        if not line.strip():
            body.append("")
            continue
        depth = len(line) - len(line.lstrip())
        following = lines[i + 1].strip() if i + 1 < len(lines) else ""
        if depth < indent or (depth == indent and re.fullmatch(r"-{3,}", following)):
            break
        entry = _ENTRY.match(line.strip()) if depth == indent else None
        if entry is None:
            body.append(line.strip())
            continue
        found |= dict.fromkeys(names, _entry(kind, body))
        names = [name.strip(" *") for name in entry[1].split(",")]
        kind, body = entry[2], []
    return found | dict.fromkeys(names, _entry(kind, body))


def _entry(words: str, body: list[str]) -> tuple[str, str]:
    synonym = re.search(r",\s*synonym for (\w+)", words, re.IGNORECASE)
    sentence = _sentence(body) or (f"Synonym for {synonym[1]}." if synonym else "")
    return _kind(words), sentence


def _kind(words: str) -> str:
    """The type in the words of a docstring: int of "int, optional (default=31)", int or None of "Optional[int]"."""
    words = re.sub(r"\s*[,(\[]\s*\[?(optional|default)\b.*$", "", words.strip(), flags=re.IGNORECASE)
    words = re.sub(r",\s*(synonym for|possible values)\b.*$", "", words, flags=re.IGNORECASE).rstrip(",.")
    if re.match(r"(?:typing\.)?[A-Z]\w*\[", words):
        return " or ".join(dict.fromkeys(_hint(words)))
    return re.sub(r"\bstring(s?)\b", r"str\1", words)


def _hint(words: str) -> list[str]:
    """The types of an annotation, without their arguments; None comes last."""
    name, _, inside = words.strip().partition("[")
    name = name.rpartition(".")[2]
    if name == "Optional":
        return [*_hint(inside[:-1]), "None"]
    if name == "Union":
        found = [word for part in _split(inside[:-1]) for word in _hint(part)]
        return sorted(found, key=lambda word: word == "None")
    return [{"NoneType": "None"}.get(name, name.lower() if inside else name)]


def _split(words: str) -> list[str]:
    """At the commas that are in no brackets."""
    parts, depth = [""], 0
    for char in words:
        depth += (char == "[") - (char == "]")
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return parts


def _sentence(lines: list[str]) -> str:
    """The first sentence, after directives such as `.. versionadded::`; lists and ranges are no sentences."""
    paragraph: list[str] = []
    directive = False
    for line in lines:
        directive = line.startswith("..") or (directive and bool(line))
        if paragraph and (not line or line.startswith(("..", "-", "*", "range:", "Possible values"))):
            break
        if line and not directive:
            paragraph.append(line.removeprefix("- "))
    text = _ROLE.sub(r"\1", " ".join(paragraph)).replace("``", "`").replace("\\_", "_")
    if text.startswith("Possible values"):
        return ""
    end = re.search(r"(?<!e\.g)(?<!i\.e)[.](?=\s+[A-Z`\"']|$)", text)
    text = text[: end.end()] if end else text
    return text.removesuffix(":") + "." if text.endswith(":") else text
