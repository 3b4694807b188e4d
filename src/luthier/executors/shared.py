"""Anything as a file that several processes map into memory: its large arrays lie in it as they are, one copy for all.

What is small, or no array, is one pickle. Arrays of a megabyte or more stay outside of it (pickle protocol 5, PEP 574), whatever
holds them - frames, sparse matrices, objects - and follow in the file. Those who read it map the file copy-on-write: its pages are
shared until somebody writes to them, so arrays may be written to as they could be before they were sent. Arrays that are mapped
from a file of the caller's already are only named.
"""

from __future__ import annotations

import io
import mmap
import pickle
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import cloudpickle
import numpy as np
from numpy.typing import NDArray

LEAST = 1_000_000
"""Bytes from which an array lies outside of the pickle. joblib shares from here on too, so estimators are used to it."""
ALIGNED = 64
"""Where arrays begin: at multiples of this, as NumPy's own do."""

PLAIN = (np.ndarray, np.memmap)

Array = NDArray[Any]
_NUMBER = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Packed:
    """Something pickled, with views of its large arrays; nothing of those is copied."""

    pickled: bytes
    arrays: tuple[memoryview, ...]

    @property
    def size(self) -> int:
        """In bytes, as a file."""
        places = self._places()
        return places[-1][0] + places[-1][1]

    def write(self, file: IO[bytes]) -> None:
        """To a file, from its beginning."""
        places = self._places()
        numbers = [len(places), *(number for place in places for number in place)]
        file.write(struct.pack(f"<{len(numbers)}Q", *numbers))
        for (start, _), part in zip(places, self._parts, strict=True):
            file.seek(start)
            file.write(part)
        file.flush()

    @property
    def _parts(self) -> tuple[bytes | memoryview, ...]:
        return (self.pickled, *self.arrays)

    def _places(self) -> list[tuple[int, int]]:
        """Where each part begins, and its length."""
        places = []
        end = _NUMBER.size * (2 * len(self.arrays) + 3)
        for part in self._parts:
            start = -(-end // ALIGNED) * ALIGNED
            places.append((start, len(part)))
            end = start + len(part)
        return places


def pack(value: object) -> Packed:
    """`value` for a file; raises whatever its parts raise that cannot be pickled."""
    arrays: list[memoryview] = []

    def stays_inside(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes >= LEAST:
            arrays.append(view)
        return view.nbytes < LEAST

    with io.BytesIO() as file:
        _Pickler(file, pickle.HIGHEST_PROTOCOL, buffer_callback=stays_inside).dump(value)
        return Packed(file.getvalue(), tuple(arrays))


def read(fd: int) -> Any:
    """What was written to the open file, which is closed; its arrays are views of the mapped file."""
    with open(fd, "rb") as file:
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    (parts,) = _NUMBER.unpack_from(data)
    numbers = struct.unpack_from(f"<{2 * parts}Q", data, _NUMBER.size)
    pickled, *arrays = (
        data[start : start + length] for start, length in zip(numbers[::2], numbers[1::2], strict=True)
    )
    return pickle.loads(pickled, buffers=arrays)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Knows arrays that NumPy would pickle as a copy: of mapped files, and parts of larger ones."""

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) not in PLAIN or obj.nbytes < LEAST or obj.dtype.hasobject:
            return super().reducer_override(obj)
        return _mapped(obj) or _part(obj) or _whole(obj)


def _whole(array: Array) -> Any:
    """As NumPy pickles what lies in one piece: outside."""
    one_piece = array if array.flags.forc else np.ascontiguousarray(array)
    return np.asarray(one_piece).__reduce_ex__(pickle.HIGHEST_PROTOCOL)


def _part(array: Array) -> tuple[Any, ...] | None:
    """As a view of the array that it is all of; in pieces, also of one that is not much larger."""
    whole: Any = array.base
    if type(whole) not in PLAIN or not whole.flags.forc or whole.dtype.hasobject:
        return None
    if whole.nbytes > (array.nbytes if array.flags.forc else 2 * array.nbytes):
        return None
    offset = _address(array) - _address(whole)
    return _view, (whole, array.dtype, array.shape, offset, array.strides, array.flags.writeable)


def _view(whole: Array, dtype: Any, shape: Any, offset: int, strides: Any, writeable: bool) -> Array:
    found: Array = np.ndarray(shape, dtype, whole.ravel(order="K"), offset, strides)
    found.flags.writeable = writeable
    return found


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


# --- files that the caller has mapped ----------------------------------------------------------


def _mapped(array: Array) -> tuple[Any, ...] | None:
    """As a place in the file that the array is mapped from; None for others, and where changes were kept from the file."""
    source = _source(array)
    if source is None or source.mode == "c" or source.filename is None or not array.flags.forc:
        return None
    path, mapping = Path(source.filename), source._mmap  # type: ignore[attr-defined]
    first = _address(np.frombuffer(mapping, np.uint8))
    if not _is_mapped(path, first):
        return None
    before = source.offset - source.offset % mmap.ALLOCATIONGRANULARITY  # what np.memmap maps begins there
    offset = before + _address(array) - first
    order = "C" if array.flags.c_contiguous else "F"
    mode = "c" if array.flags.writeable else "r"  # what a worker writes is its own
    return _map, (type(array) is np.memmap, str(path), array.dtype, mode, offset, array.shape, order)


def _source(array: Any) -> np.memmap[Any, Any] | None:
    """The mapped file that an array is a view of."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap) and isinstance(getattr(array, "_mmap", None), mmap.mmap):
            return array
        array = array.base
    return None


def _is_mapped(path: Path, address: int) -> bool:
    """Whether it is still this file that is mapped there; a file that took its name has other rows."""
    try:
        now = path.stat()
        regions = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return False
    for region in regions:
        span, _, _, _, inode, *_ = region.split(maxsplit=5)
        start, end = (int(number, 16) for number in span.split("-"))
        if start <= address < end:
            return int(inode) == now.st_ino
    return False


def _map(as_it_is: bool, *place: Any) -> Array:
    found: Array = np.memmap(*place)
    return found if as_it_is else np.asarray(found)
