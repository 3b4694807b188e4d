"""Where a server of ours listens and whom it lets in: loopback unless told otherwise, and then only with tokens of one's own."""

from __future__ import annotations

import hmac
import ipaddress
import os
import secrets
import socket
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from luthier.errors import InvalidStudy

Role = Literal["owner", "viewer"]
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
EVERYWHERE = ("0.0.0.0", "::")
SHORTEST = 20
"""Characters of a token: less can be guessed."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The two tokens: who has `owner` may change and use things, who has `viewer` may look."""

    owner: str
    viewer: str

    @classmethod
    def new(cls) -> Keys:
        """Tokens that nobody can guess."""
        return cls(secrets.token_urlsafe(32), secrets.token_urlsafe(32))

    @classmethod
    def read(cls, path: Path) -> Keys:
        """The tokens in a file, one a line: the owner's, and below it, if there is one, that of those who may look.

        Raises InvalidStudy where there is none, where others may read the file, or where a token is short.
        """
        try:
            lines = path.read_text(encoding="utf-8").split()
            others = path.stat().st_mode & 0o077
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidStudy(
                f"the file of tokens {str(path)!r} cannot be read: {error}. Make one: "
                f"(umask 077; openssl rand -hex 32 > {path})"
            ) from error
        if others:
            raise InvalidStudy(
                f"others may read the file of tokens {str(path)!r}. Forbid it: chmod 600 {path}"
            )
        if not 1 <= len(lines) <= 2 or len(set(lines)) < len(lines):
            raise InvalidStudy(
                f"the file of tokens {str(path)!r} has {len(lines)} words. Give one line, the token, and if others may look on a second "
                "line another one for them."
            )
        for token in lines:
            if len(token) < SHORTEST or not token.isascii():
                raise InvalidStudy(
                    f"a token in {str(path)!r} has {len(token)} characters. Take at least {SHORTEST}, that nobody can guess: openssl rand -hex 32"
                )
        return cls(lines[0], lines[1] if len(lines) > 1 else secrets.token_urlsafe(32))

    def role(self, token: str | None) -> Role | None:
        """Whose token it is; the comparison takes the same time whatever is wrong."""
        given = (token or "").encode()
        owner, viewer = (hmac.compare_digest(given, key.encode()) for key in (self.owner, self.viewer))
        return "owner" if owner else "viewer" if viewer else None


@dataclass(frozen=True, slots=True)
class Door:
    """Where to listen, and for whom; `check` refuses what would leave the server open to a network."""

    host: str = "127.0.0.1"
    port: int | None = None
    token_file: Path | None = None
    allow_hosts: tuple[str, ...] = ()
    cert: Path | None = None
    key: Path | None = None

    def check(self) -> None:
        """Raises InvalidStudy where it is not safe to listen."""
        if (self.cert is None) != (self.key is None):
            raise InvalidStudy("--cert and --key belong together. Give both, or neither.")
        if not self.is_local and self.token_file is None:
            raise InvalidStudy(
                f"--host {self.host} lets others on the network in, so it needs a token that you made: --token-file FILE. Make one: "
                "(umask 077; openssl rand -hex 32 > token). Without it, reach this machine from another one with ssh -L PORT:127.0.0.1:PORT"
            )

        if self.cert is not None:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.cert, self.key)
            except OSError as error:  # ssl.SSLError is one
                raise InvalidStudy(
                    f"the certificate {str(self.cert)!r} and the key {str(self.key)!r} cannot be used: {error.strerror or error}."
                ) from error

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def names(self) -> frozenset[str]:
        """The names that a request may be sent to."""
        own = (
            {self.host}
            if self.is_local
            else {self.host, socket.gethostname().lower(), socket.getfqdn().lower()}
        )
        return LOCAL | own | {name.lower() for name in self.allow_hosts}

    def keys(self) -> Keys:
        """The tokens: those of the file, or new ones."""
        return Keys.new() if self.token_file is None else Keys.read(self.token_file)

    def listen(self, otherwise: Iterable[int] = (0,)) -> socket.socket:
        """A socket on the port; where none was asked for, on the first of `otherwise` that is free."""
        ports = [self.port] if self.port is not None else list(otherwise)
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        problem: OSError | None = None
        for port in ports:
            # Named as TCP, else asyncio does not see that it is, and every answer waits 40 ms for Nagle.
            found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            try:
                if os.name == "posix":
                    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                found.bind((self.host, port))
                found.listen(128)
            except OSError as error:
                found.close()
                problem = error
            else:
                return found
        raise InvalidStudy(
            f"nobody can listen on {self.host} port {ports[0]}: {problem}. Give another one with --port, or 0 for any."
        )

    def address(self, port: int) -> str:
        """How others call what listens there."""
        scheme = "http" if self.cert is None else "https"
        host = socket.gethostname() if self.host in EVERYWHERE else self.host
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def bearer(authorization: str) -> str | None:
    """The token in an Authorization header."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def is_ours(hosts: Sequence[str], names: frozenset[str], server: tuple[str, int | None] | None) -> bool:
    """Whether a request with these Host headers was sent to one of our names, or to the very address it arrived at.

    Another name was made to point here by somebody (DNS rebinding).
    """
    if len(hosts) != 1:
        return False
    name = hostname(hosts[0])
    return name in names or (_is_address(name) and server is not None and name == server[0])


def hostname(host: str) -> str:
    """The name in a Host header, without the port."""
    try:
        return (urlsplit(f"//{host}").hostname or "") if "@" not in host else ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
