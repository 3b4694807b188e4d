"""One file of a form, read no further than it may be long."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from luthier.studio.words import say

AROUND = 10_000
"""Bytes that a form may have around its file."""


class _TooLong(MultiPartException):
    """Of this kind, since for those the parser closes what it has begun to keep."""


@asynccontextmanager
async def file_of(request: Request, field: str, most: int, large: str) -> AsyncIterator[UploadFile]:
    """The file in that field; a large one is on the disk meanwhile. Raises HTTPException: 413, with the sentence `large`, as soon as it
    is known to be longer than `most` bytes, 422 where there is none.
    """
    limit = most + AROUND
    length = request.headers.get("content-length", "")
    if length.isdigit() and (len(length) > 18 or int(length) > limit):
        raise HTTPException(413, large)

    async def counted() -> AsyncGenerator[bytes, None]:
        read = 0
        try:
            async for part in request.stream():
                read += len(part)
                if read > limit:
                    raise _TooLong("too long")
                yield part
        except ClientDisconnect:
            raise MultiPartException("the browser went away") from None

    parser = MultiPartParser(request.headers, counted(), max_files=1, max_fields=10, max_part_size=AROUND)
    try:
        form = await parser.parse()
    except _TooLong:
        raise HTTPException(413, large) from None
    except (MultiPartException, KeyError, AssertionError):
        raise HTTPException(422, say("models.table.none")) from None
    try:
        found = form.get(field)
        if not isinstance(found, UploadFile) or not found.filename:
            raise HTTPException(422, say("models.table.none"))
        if (found.size or 0) > most:
            raise HTTPException(413, large)
        yield found
    finally:
        await form.close()
