"""Was this model made here? An HMAC of its model.json, which holds the hashes of all its other files.

The key belongs to a person on a machine: `~/.config/luthier/key`, made on first use and readable by nobody else, or
whatever is in the environment's LUTHIER_KEY, for machines that share their models. It is never kept beside them.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from luthier.errors import ModelError

VARIABLE = "LUTHIER_KEY"
SIGNATURE = "SIGNATURE"
SHORTEST = 16
"""Characters of a key in the environment: less can be guessed."""


def sign(content: bytes) -> str:
    """The signature; raises ModelError where there is no key and none can be made."""
    return hmac.new(_key(), content, hashlib.sha256).hexdigest()


def verified(content: bytes, signature: str | None) -> bool:
    """Whether the signature was made with this machine's key. Without a key nothing was."""
    if signature is None:
        return False
    try:
        key = _key(make=False)
    except FileNotFoundError:
        return False
    made = hmac.new(key, content, hashlib.sha256).hexdigest()
    return hmac.compare_digest(made.encode(), signature.strip().encode())


def key_file() -> Path:
    """Where the key is kept, unless the environment brings one."""
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "luthier" / "key"


def _key(*, make: bool = True) -> bytes:
    given = os.environ.get(VARIABLE)
    if given:
        if len(given) < SHORTEST:
            raise ModelError(
                f"the key in {VARIABLE} has {len(given)} characters, which can be guessed. Use at least {SHORTEST}, such as "
                "those of: python -c 'import secrets; print(secrets.token_hex())'"
            )
        return given.encode()
    path = key_file()
    try:
        if make and not path.exists():
            _make(path)
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            key = file.read()
    except FileNotFoundError:
        if not make:
            raise
        raise ModelError(f"the key {str(path)!r} is gone. Try again: a new one is made.") from None
    except OSError as error:
        raise ModelError(
            f"the key that models are signed with cannot be kept in {str(path)!r}: {error.strerror or error}. "
            f"Set {VARIABLE} to a key of your own."
        ) from error
    if mode & 0o077:
        raise ModelError(
            f"others on this machine can read the key {str(path)!r} (its mode is {mode:o}), so signatures mean nothing. "
            f"Delete it, and a new one is made; what it signed then counts as made elsewhere. If nobody has read it: "
            f"chmod 600 {path}"
        )
    if len(key) < SHORTEST:
        raise ModelError(
            f"the key {str(path)!r} is damaged: {len(key)} bytes. Delete it, and a new one is made."
        )
    return key


def _make(path: Path) -> None:
    """Written whole or not at all; of two processes that make one at once, both get the first."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    hidden = path.with_name(f".key-{secrets.token_hex(8)}")
    descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_hex(32).encode())
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(hidden, path)
    finally:
        hidden.unlink()
