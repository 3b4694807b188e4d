"""Scalars from TensorBoard's event files, while they are written: just enough of TFRecord and protobuf, and no TensorFlow.

A file is records of a length (8 bytes), a checksum of it (4), an `Event` of that length and a checksum (4), all little-endian.
`Event`: 2 step, 5 summary; `Summary`: 1 value; `Value`: 1 tag, 2 simple_value, 8 tensor (tensorflow/core/util/event.proto and
framework/summary.proto, tensor.proto).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LONGEST_EVENT = 1 << 30
"""Bytes; a length beyond is no length, so what follows cannot be read."""
_HEAD, _TAIL = 12, 4
_FORMATS = {1: "<f", 2: "<d", 3: "<i", 9: "<q"}  # DT_FLOAT, DT_DOUBLE, DT_INT32, DT_INT64
_LISTS = {5: "<f", 6: "<d"}  # float_val, double_val
_VARINTS = (7, 10)  # int_val, int64_val


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value of a tag."""

    step: int
    tag: str
    value: float


class EventFile:
    """A file that may still grow: each call of `read` answers with the scalars added since the last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._at = 0
        self.broken = False

    def read(self) -> Iterator[Scalar]:
        """The scalars of all records that are complete. Where one cannot be read, `broken` becomes true and nothing more comes."""
        if self.broken:
            return
        with self.path.open("rb") as file:
            file.seek(self._at)
            while len(head := file.read(_HEAD)) == _HEAD:
                (length,) = struct.unpack_from("<Q", head)
                if length > LONGEST_EVENT:
                    self.broken = True
                    return
                event = file.read(length + _TAIL)
                if len(event) < length + _TAIL:
                    return  # the rest is still to be written
                self._at += _HEAD + length + _TAIL
                try:
                    found = list(scalars(event[:length]))
                except (ValueError, IndexError, struct.error):
                    self.broken = True
                    return
                yield from found


def scalars(event: bytes) -> Iterator[Scalar]:
    """The scalars in a serialized Event."""
    step, summaries = 0, []
    for field, value in _fields(event):
        if field == 2 and isinstance(value, int):
            step = _signed(value)
        elif field == 5 and isinstance(value, bytes):
            summaries.append(value)
    for summary in summaries:
        for field, value in _fields(summary):
            if field == 1 and isinstance(value, bytes) and (scalar := _scalar(step, value)) is not None:
                yield scalar


def _scalar(step: int, message: bytes) -> Scalar | None:
    tag, number = "", None
    for field, value in _fields(message):
        if not isinstance(value, bytes):
            continue
        if field == 1:
            tag = value.decode(errors="replace")
        elif field == 2 and len(value) == 4:
            (number,) = struct.unpack("<f", value)
        elif field == 8:
            number = _of_tensor(value)
    return None if number is None else Scalar(step, tag, float(number))


def _of_tensor(message: bytes) -> float | None:
    """The number in a tensor of one; None for any other."""
    kind, content, numbers = 0, b"", []
    for field, value in _fields(message):
        if field == 1 and isinstance(value, int):
            kind = value
        elif field == 4 and isinstance(value, bytes):
            content = value
        elif field in _LISTS and isinstance(value, bytes) and kind in (0, 1, 2):
            size = struct.calcsize(_LISTS[field])
            numbers += [struct.unpack_from(_LISTS[field], value, i)[0] for i in range(0, len(value), size)]
        elif field in _VARINTS:
            numbers += [value] if isinstance(value, int) else _varints(value)
    if content and kind in _FORMATS and len(content) == struct.calcsize(_FORMATS[kind]):
        numbers = list(struct.unpack(_FORMATS[kind], content))
    return float(numbers[0]) if len(numbers) == 1 and kind in _FORMATS else None


# --- the wire format of protobuf -----------------------------------------------------------------


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message: their number, and an int for varints, else bytes. Raises ValueError or IndexError."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        match key & 7:
            case 0:
                number, at = _varint(message, at)
                yield key >> 3, number
                continue
            case 1:
                length = 8
            case 2:
                length, at = _varint(message, at)
            case 5:
                length = 4
            case kind:
                raise ValueError(f"no wire type of protobuf: {kind}")
        if at + length > len(message):
            raise ValueError("a field is longer than its message")
        yield key >> 3, message[at : at + length]
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = message[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at


def _varints(packed: bytes) -> list[int]:
    numbers, at = [], 0
    while at < len(packed):
        number, at = _varint(packed, at)
        numbers.append(_signed(number))
    return numbers


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number
