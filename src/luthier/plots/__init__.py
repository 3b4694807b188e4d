"""Pictures of a study: interactive in a notebook and as HTML, still as PNG and SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from luthier.errors import InvalidStudy, did_you_mean
from luthier.plots.kinds import KINDS, picture
from luthier.study import History

FORMS = (".html", ".svg", ".png")

__all__ = ["FORMS", "KINDS", "Plots", "picture", "save"]


def save(trials: History, kind: str, path: Path, names: Sequence[str] = ()) -> None:
    """Draw a plot of that kind into a file, in the form that its suffix says.

    Raises UnknownName, InvalidParams, InvalidStudy for a plot that cannot be, MissingExtra without the extra 'plot'.
    """
    form = path.suffix.lower()
    if form not in FORMS:
        raise InvalidStudy(
            f"the file {str(path)!r} ends in {form or 'no suffix'!r}; plots are written as .html, .svg or .png."
            + did_you_mean(form, FORMS).replace(f" There is: {', '.join(FORMS)}.", "")
        )
    drawn = picture(trials, kind, names)
    if form == ".html":
        from luthier.plots.web import to_html

        text = to_html(drawn)
        _written(path, lambda: path.write_text(text, encoding="utf-8"))
    else:
        from luthier.plots.files import save as save_file

        _written(path, lambda: save_file(drawn, path, form[1:]))


def _written(path: Path, write: Callable[[], object]) -> None:
    try:
        write()
    except OSError as error:
        raise InvalidStudy(
            f"cannot write {str(path)!r}: {error.strerror or error}. Choose another file."
        ) from None


class Plots:
    """`study.plot`: Plotly figures of the trials as of now, and `save` for files. Needs the extra 'plot'."""

    def __init__(self, look: Callable[[], History]) -> None:
        self._look = look

    def _figure(self, kind: str, *names: str) -> Any:
        from luthier.plots.web import to_plotly

        return to_plotly(picture(self._look(), kind, names))

    def history(self) -> Any:
        """Every trial's value by its number, and the best so far."""
        return self._figure("history")

    def parallel(self) -> Any:
        """Every trial as a line through its parameters to its value."""
        return self._figure("parallel")

    def slice(self, *names: str) -> Any:
        """The objective along parameters; without names along the six that matter most."""
        return self._figure("slice", *names)

    def contour(self, a: str | None = None, b: str | None = None) -> Any:
        """The objective over two parameters; without names over the two that matter most."""
        return self._figure("contour", *(name for name in (a, b) if name is not None))

    def importance(self) -> Any:
        """Which parameters explain how much of the objective's variance."""
        return self._figure("importance")

    def timeline(self) -> Any:
        """When each trial ran."""
        return self._figure("timeline")

    def distribution(self) -> Any:
        """What share of the trials is at least as good as a value."""
        return self._figure("distribution")

    def save(self, kind: str, path: str | Path, *names: str) -> None:
        """Draw into a file: 'history', 'parallel', 'slice', ... as .html, .svg or .png."""
        save(self._look(), kind, Path(path), names)
