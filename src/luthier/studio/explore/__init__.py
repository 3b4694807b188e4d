"""Understanding a study: explore, learning curves, timeline. Numbers are made by the modules here, one `Panel` for each view."""

from luthier.studio.explore.section import Explore

__all__ = ["Explore"]
