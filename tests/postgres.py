"""A real PostgreSQL server for the tests, started in a folder of its own and gone afterwards."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

START_SECONDS = 60
ATTEMPTS = 5


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The SQLAlchemy URL of an empty database on a server of this session's own; skips where it cannot."""
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("NO POSTGRESQL TESTS: psycopg is not installed (extra `postgres`)")
    programs = find_programs()
    if programs is None:
        pytest.skip("NO POSTGRESQL TESTS: no initdb in PATH or /usr/lib/postgresql (package `postgresql`)")
    user = server_user()
    if user is None:
        pytest.skip("NO POSTGRESQL TESTS: PostgreSQL refuses root, and there is no user to run it as")
    with running_server(programs, user) as url:
        yield url


def find_programs() -> Path | None:
    """The folder with PostgreSQL's server programs, the newest where there are several."""

    def version(folder: Path) -> float:
        try:
            return float(folder.parent.name)
        except ValueError:
            return 0.0

    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=version, reverse=True)
    if in_path := shutil.which("initdb"):
        folders.insert(0, Path(in_path).resolve().parent)
    for folder in folders:
        if all(os.access(folder / program, os.X_OK) for program in ("initdb", "postgres")):
            return folder
    return None


def server_user() -> pwd.struct_passwd | None:
    """Who runs the server: ourselves, or somebody humbler where we are root."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


@contextmanager
def running_server(programs: Path, user: pwd.struct_passwd) -> Iterator[str]:
    # Not pytest's tmp_path: that one is closed to other users, and too long for a socket.
    folder = Path(tempfile.mkdtemp(prefix="luthier-pg-"))
    try:
        if os.geteuid() == 0:
            os.chown(folder, user.pw_uid, user.pw_gid)
        make_cluster(programs, user, folder)
        server, url = start(programs, user, folder)
        try:
            yield url
        finally:
            stop(server)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def spawn_options(user: pwd.struct_passwd, folder: Path) -> dict[str, object]:
    options: dict[str, object] = {
        "cwd": folder,
        "env": {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "HOME": str(folder)},
        "stdin": subprocess.DEVNULL,
        "stderr": subprocess.STDOUT,
    }
    if os.geteuid() == 0:
        options |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    return options


def make_cluster(programs: Path, user: pwd.struct_passwd, folder: Path) -> None:
    command = [programs / "initdb", "--pgdata", folder / "data", "--username", "luthier", "--auth", "trust"]
    command += ["--encoding", "UTF8", "--locale", "C", "--no-sync"]
    done = subprocess.run(
        command, check=False, stdout=subprocess.PIPE, text=True, **spawn_options(user, folder)
    )
    if done.returncode != 0:
        raise RuntimeError(f"initdb failed:\n{done.stdout}")


def start(programs: Path, user: pwd.struct_passwd, folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Starts the server on a free port of the loopback, and waits until it answers."""
    log = folder / "log"
    for _ in range(ATTEMPTS):
        port = free_port()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": folder,
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "shared_buffers": "32MB",
            "max_connections": 100,
        }
        command: list[str | Path] = [programs / "postgres", "-D", folder / "data"]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with log.open("wb") as out:
            server = subprocess.Popen(command, stdout=out, **spawn_options(user, folder))
        try:
            if answers(server, folder, port):
                return server, f"postgresql+psycopg://luthier@127.0.0.1:{port}/postgres"
        except BaseException:
            stop(server)
            raise
        stop(server)  # most likely somebody took the port meanwhile: try another
    raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text(errors='replace')}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(server: subprocess.Popen[bytes], folder: Path, port: int) -> bool:
    import psycopg

    deadline = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < deadline:
        try:  # by the socket in our own folder, so that it cannot be a stranger who answers
            psycopg.connect(host=str(folder), port=port, user="luthier", dbname="postgres").close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return True
    return False


def stop(server: subprocess.Popen[bytes]) -> None:
    """Stops at once, without a last checkpoint: the folder is thrown away anyway."""
    if server.poll() is None:
        server.send_signal(signal.SIGQUIT)
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
