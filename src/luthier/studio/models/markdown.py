"""A model's card as HTML: the few constructs of Markdown that `luthier.models.card` writes. Everything else is text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from markupsafe import Markup, escape

_HEADING = re.compile(r"(#{1,3}) (.*)")
_ROW = re.compile(r"\|(.*)\|")
_RULE = re.compile(r"\|[\s|:-]+\|")


def html(text: str, below: int = 2) -> Markup:
    """Headings (the first `below` levels deeper), lists, tables, paragraphs, `code`; no markup of the text's own ever."""
    return Markup("\n").join(_blocks(text.splitlines(), below))


def _blocks(lines: list[str], below: int) -> Iterator[Markup]:
    at = 0
    while at < len(lines):
        line = lines[at]
        heading = _HEADING.fullmatch(line)
        if heading:
            level = min(6, len(heading[1]) + below)
            yield Markup("<h{0}>{1}</h{0}>").format(level, _inline(heading[2]))
            at += 1
        elif line.startswith("- "):
            items, at = _while(lines, at, lambda one: one.startswith("- "))
            yield Markup("<ul>{}</ul>").format(
                Markup("").join(Markup("<li>{}</li>").format(_inline(item[2:])) for item in items)
            )
        elif _ROW.fullmatch(line):
            rows, at = _while(lines, at, lambda one: bool(_ROW.fullmatch(one)))
            yield _table(rows)
        elif line.strip():
            words, at = _while(
                lines, at, lambda one: bool(one.strip()) and not one.startswith(("- ", "# ", "## "))
            )
            yield Markup("<p>{}</p>").format(_inline(" ".join(words)))
        else:
            at += 1


def _while(lines: list[str], at: int, holds: Callable[[str], bool]) -> tuple[list[str], int]:
    end = at
    while end < len(lines) and holds(lines[end]):
        end += 1
    return lines[at : max(end, at + 1)], max(end, at + 1)


def _table(rows: list[str]) -> Markup:
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows if not _RULE.fullmatch(row)]
    head, *body = cells or [[""]]
    top = Markup("").join(Markup('<th scope="col">{}</th>').format(_inline(cell)) for cell in head)
    under = Markup("").join(
        Markup("<tr>{}</tr>").format(Markup("").join(Markup("<td>{}</td>").format(_inline(c)) for c in row))
        for row in body
    )
    return Markup(
        '<div class="scroll" tabindex="0" role="group" aria-label="{}"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>'
    ).format(", ".join(head), top, under)


def _inline(text: str) -> Markup:
    """`code` is code."""
    pieces = re.split(r"`([^`]+)`", text)
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if i % 2 else escape(piece) for i, piece in enumerate(pieces)
    )
