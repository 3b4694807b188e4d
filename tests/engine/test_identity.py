"""Who is dead can be told on the same machine, and is never guessed of another."""

import subprocess
import sys

from luthier.engine.identity import is_gone, new_worker

PRINT_WORKER = "from luthier.engine.identity import new_worker; print(new_worker(), flush=True); input()"


def test_names_are_unique_and_their_own_process_is_alive() -> None:
    one, other = new_worker(), new_worker()
    assert one != other
    assert not is_gone(one)


def test_a_process_is_gone_once_it_ended_even_while_nobody_waited_for_it() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PRINT_WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        worker = child.stdout.readline().strip()
        assert not is_gone(worker)
        child.kill()
        child.stdout.read()  # returns when the process has let go of its end
        while not is_gone(worker):
            pass
    assert is_gone(worker)


def test_a_reused_process_number_does_not_keep_the_dead_alive() -> None:
    machine, pid, _, serial = new_worker().split("/")
    assert is_gone(f"{machine}/{pid}/12345/{serial}")


def test_workers_of_other_machines_and_strange_names_are_left_to_their_leases() -> None:
    _, pid, started, serial = new_worker().split("/")
    assert not is_gone(f"elsewhere/{pid}/12345/{serial}")
    assert not is_gone("somebody")
    assert not is_gone(f"elsewhere/999999999/{started}/{serial}")
