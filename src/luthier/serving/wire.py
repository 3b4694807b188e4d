"""What goes between the process that listens and the one that predicts: JSON, and beside it plain bytes. Nothing that is code."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

LENGTHS = struct.Struct(">IQ")
MOST_BYTES = 512 * 2**20
"""Of an answer: more than 10,000 rows with a thousand classes."""


def pack(about: Mapping[str, Any], content: bytes = b"") -> bytes:
    """A message as it goes over the wire: two lengths, JSON, bytes."""
    head = json.dumps(about).encode()
    return LENGTHS.pack(len(head), len(content)) + head + content


def as_json(value: Any) -> bytes:
    """JSON for others: in UTF-8, and a half of a character that stands alone is a question mark."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
