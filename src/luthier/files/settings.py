"""Files: which files of a study's trials are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from luthier.errors import InvalidStudy, did_you_mean

Which = Literal["last", "all", "best"]


@dataclass(frozen=True, slots=True)
class Files:
    """Which checkpoints of trials are kept, and how many bytes checkpoints and artifacts may take on disk.

    `keep` is "last", the last checkpoint of each trial; "all" of them; or "best", the last one of the `best` best trials and of
    those that may yet be gone on with. Beyond the `quota` the checkpoints and then the artifacts of the worst trials go,
    never those of running trials or of the `best` best.
    """

    keep: Which = "last"
    best: int = 5
    quota: float | None = None

    def __post_init__(self) -> None:
        if self.keep not in get_args(Which):
            raise InvalidStudy(f"files are kept {self.keep!r}.{did_you_mean(self.keep, get_args(Which))}")
        if isinstance(self.best, bool) or not isinstance(self.best, int) or self.best < 1:
            raise InvalidStudy(
                f"the files of the best {self.best!r} are kept. Use a whole number of at least 1."
            )
        if self.quota is not None and (
            isinstance(self.quota, bool | str) or not self.quota > 0  # "10 GB" is for study files
        ):
            raise InvalidStudy(
                f"the quota is {self.quota!r}. Use a number of bytes, as 10e9, or leave it out."
            )

    def to_json(self) -> dict[str, Any]:
        """As a fact of the study."""
        return asdict(self)

    @classmethod
    def of(cls, fact: Mapping[str, Any] | None) -> Files:
        """From the fact; the usual where there is none."""
        return cls(**(fact or {}))
