"""TensorBoard's event files, read without TensorFlow.

events/tensorboardX.events was written by tensorboardX 2.6 (simple_value, beside a text and a histogram), events/tensorboard.events by
tensorboard 2.21's EventFileWriter (tensors of several kinds).
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import luthier as lt
from luthier.executors import Job, worker
from luthier.objectives.command import Command
from luthier.objectives.tensorboard import EventFile, Scalar
from luthier.study import Completed, Report

EVENTS = Path(__file__).parent / "events"


def test_simple_values_are_read() -> None:
    file = EventFile(EVENTS / "tensorboardX.events")
    found = [(s.step, s.value) for s in file.read() if s.tag == "val/loss"]
    assert [step for step, _ in found] == [1, 2, 300]
    assert all(math.isclose(value, 1 / step, rel_tol=1e-6) for step, value in found)
    assert list(file.read()) == []
    assert not file.broken


def test_tensors_of_one_number_are_read() -> None:
    found = [(s.step, s.value) for s in EventFile(EVENTS / "tensorboard.events").read()]
    assert found[:2] == [(0, 1.0), (1, 0.5)]
    assert found[2][0] == 2**33
    assert found[3:] == [
        (7, 0.75),
        (8, 0.1),
        (9, -3.0),
    ]  # float, double, int64; and none of the two numbers at step 10


def test_a_file_is_read_as_it_grows_byte_by_byte(tmp_path: Path) -> None:
    for source in EVENTS.iterdir():
        data = source.read_bytes()
        path = tmp_path / source.name
        path.write_bytes(b"")
        file = EventFile(path)
        found: list[Scalar] = []
        with path.open("ab", buffering=0) as growing:
            for i in range(len(data)):
                growing.write(data[i : i + 1])
                found += file.read()
        assert found == list(EventFile(source).read())
        assert not file.broken


def test_a_damaged_file_is_given_up_without_harm(tmp_path: Path) -> None:
    data = (EVENTS / "tensorboardX.events").read_bytes()
    for i in range(0, len(data), 3):
        path = tmp_path / str(i)
        path.write_bytes(data[:i] + bytes([data[i] ^ 0xFF]) + data[i + 1 :])
        file = EventFile(path)
        assert len(list(file.read())) <= 6
        list(file.read())


def test_a_command_reports_through_event_files(tmp_path: Path) -> None:
    copy = (
        "import os, shutil, sys; d = os.path.join(os.environ['LUTHIER_WORKDIR'], 'runs/a'); os.makedirs(d);"
        "shutil.copy(sys.argv[1], os.path.join(d, 'events.out.tfevents.1.host'))"
    )
    command = Command(
        [sys.executable, "-S", "-c", copy, str(EVENTS / "tensorboardX.events")],
        metrics={"loss": lt.TensorBoard("val/loss"), "other": lt.TensorBoard("other", "runs")},
    )
    reports: list[Report] = []
    job = Job(0, 1, {}, seed=1, workdir=str(tmp_path / "work"))
    outcome = worker.run(command.measured_by(["loss"]), job, "loss", reports.append)
    assert isinstance(outcome, Completed)
    assert math.isclose(outcome.metrics["loss"], 1 / 300, rel_tol=1e-6)
    assert outcome.metrics["other"] == 300.0
    assert {report.step for report in reports} == {1, 2, 300}
