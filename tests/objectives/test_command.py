"""Commands as trials, with real processes: what they are given, what they say, how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

import luthier as lt
from luthier.errors import InvalidStudy, ObjectiveError
from luthier.executors import Ended, Job, Processes, Reported, worker
from luthier.objectives.command import RECORD, Command
from luthier.objectives.metrics import Listener
from luthier.stopping.threshold import Threshold
from luthier.study import Completed, Failed, Lost, Outcome, Report, Stopped

PYTHON = [sys.executable, "-S", "-c"]
SPACE = lt.Space(lr=lt.Float(0.01, 1), depth=lt.Int(1, 5))


@dataclass
class Ran:
    outcome: Outcome
    reports: list[Report]
    folder: Path

    @property
    def log(self) -> str:
        return (self.folder / "output.log").read_text()

    @property
    def notes(self) -> list[str]:
        return json.loads((self.folder / RECORD).read_text())["notes"]  # type: ignore[no-any-return]

    @property
    def metrics(self) -> dict[str, float]:
        assert isinstance(self.outcome, Completed), self.outcome
        return dict(self.outcome.metrics)

    @property
    def error(self) -> str:
        assert isinstance(self.outcome, Failed), self.outcome
        return self.outcome.error


Run = Callable[..., Ran]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a command for one trial, in this process."""

    def call(
        command: Command | str | Sequence[str],
        params: dict[str, Any] | None = None,
        *,
        told: Callable[[list[Report]], str | None] = lambda _: None,
        wanted: str = "loss",
        **more: Any,
    ) -> Ran:
        task = command if isinstance(command, Command) else Command(command, **more)
        job = Job(7, 1, params or {"lr": 0.5, "depth": 3}, seed=42, workdir=str(tmp_path / "7" / "1"))
        reports: list[Report] = []

        def send(report: Report) -> str | None:
            reports.append(report)
            return told(reports)

        outcome = worker.run(task.measured_by([wanted]), job, wanted, send, None, told=lambda: told(reports))
        return Ran(outcome, reports, tmp_path / "7" / "1")

    return call


def script(text: str) -> list[str]:
    return [*PYTHON, textwrap.dedent(text).replace("{", "{{").replace("}", "}}")]


# --- what it is given ----------------------------------------------------------------------------


def test_placeholders_become_words_and_braces_stay(run: Run) -> None:
    ran = run(
        [
            *script("import sys; print(*sys.argv[1:], sep='|'); print('luthier: loss=1')"),
            "--lr={lr}",
            "{depth}",
            "{trial.number}.{trial.attempt}.{trial.seed}",
            "{{x}}",
            "a b",
        ]
    )
    assert ran.log.splitlines()[0] == "--lr=0.5|3|7.1.42|{x}|a b"


def test_values_are_words_of_their_own_whatever_is_in_them(run: Run) -> None:
    said = "import sys; print(sys.argv[1:]); print('luthier: loss=1')"
    nasty = "a b; $(touch x) 'y' \"z\" {lr}"
    assert run([*script(said), "{name}"], {"name": nasty}).log.splitlines()[0] == repr([nasty])
    ran = run("printf '%s\\n' {name}; echo luthier: loss=1", {"name": nasty}, shell=True)
    assert ran.log.splitlines()[-2] == nasty


def test_the_python_that_runs_us_has_a_name_and_another_is_named_when_it_lacks_a_module(
    run: Run, tmp_path: Path
) -> None:
    said = "import sys; print('luthier: loss=1'); print(sys.executable)"
    assert run(["{python}", "-S", "-c", said]).log.splitlines()[-1] == sys.executable
    other = tmp_path / "bin" / "python"
    other.parent.mkdir()
    other.symlink_to(sys.executable)
    env = {"PATH": f"{other.parent}{os.pathsep}{os.environ['PATH']}"}
    text = run(["python", "-S", "-c", "import no_such_module"], env=env).error
    assert text.endswith(f"It ran {other}; {{python}} in the command is the Python that runs Luthier")


def test_args_are_the_parameters_without_a_place(run: Run) -> None:
    said = "import sys; print(*sys.argv[1:]); print('luthier: loss=1')"
    ran = run([*script(said), "--rate", "{lr}", "{args}"], {"lr": 1e-7, "on": True, "none": None, "n": 2})
    assert ran.log.splitlines()[0] == "--rate 1e-07 --on true --n 2"


def test_an_option_without_a_value_is_left_out(run: Run) -> None:
    said = "import sys; print(*sys.argv[1:]); print('luthier: loss=1')"
    ran = run([*script(said), "-q", "--m", "{m}", "--k={k}", "--lr", "{lr}"], {"lr": 0.5})
    assert ran.log.splitlines()[0] == "-q --lr 0.5"


def test_the_environment_and_the_file_have_it_all(run: Run) -> None:
    ran = run(
        script(
            """
            import json, os
            e = os.environ
            print(json.load(open(e["LUTHIER_PARAMS"])))
            print(e["LUTHIER_PARAM_LR"], e["LUTHIER_PARAM_MODEL__C"], e["LUTHIER_TRIAL"], e["LUTHIER_SEED"], e["MINE"])
            print(os.path.samefile(e["LUTHIER_WORKDIR"], os.path.dirname(e["LUTHIER_PARAMS"])), "LUTHIER_FIDELITY" in e)
            print("luthier: loss=1")
            """
        ),
        {"lr": 0.5, "model__c": "x"},
        env={"MINE": "yes"},
    )
    assert ran.log.splitlines()[:3] == ["{'lr': 0.5, 'model__c': 'x'}", "0.5 x 7 42 yes", "True False"]


def test_the_fidelity_goes_by_its_name(tmp_path: Path) -> None:
    command = Command(
        [
            *script("import sys; print('luthier: loss=' + sys.argv[1] + sys.argv[2])"),
            "{epochs}",
            "{trial.fidelity}",
        ]
    ).measured_by(["loss"], "epochs")
    assert command.check(lt.Space()) == []
    job = Job(0, 1, {"lr": 0.1}, seed=1, fidelity=27.0, workdir=str(tmp_path))
    assert worker.run(command, job, "loss", lambda _: None) == Completed({"loss": 2727.0})
    assert json.loads((tmp_path / "params.json").read_text()) == {"lr": 0.1, "epochs": 27}
    (note,) = Command("bash").measured_by(["loss"], "epochs").check(lt.Space())
    assert note.startswith("the command has no placeholder for epochs")


def test_it_runs_where_it_is_told_to(run: Run, tmp_path: Path) -> None:
    (tmp_path / "say.sh").write_text("#!/bin/sh\npwd; echo luthier: loss=1\n")
    (tmp_path / "say.sh").chmod(0o755)
    command = Command("./say.sh", cwd=tmp_path)
    command.check(SPACE)
    assert run(command).log.splitlines()[0] == str(tmp_path.resolve())


# --- what it says --------------------------------------------------------------------------------


def test_lines_with_a_step_are_reports_and_the_last_value_is_the_result(run: Run) -> None:
    ran = run(
        script(
            """
            import sys
            print("2026-01-01 INFO luthier: step=1 loss=0.5 acc=0.25")
            print("luthier: step=2, loss=4e-1,", file=sys.stderr)
            print("luthier: error: something that Luthier said")
            sys.stdout.write("luthier: loss=0.125")  # no end of line
            """
        ),
    )
    assert ran.reports == [Report(1, {"loss": 0.5, "acc": 0.25}), Report(2, {"loss": 0.4})]
    assert ran.metrics == {"loss": 0.125, "acc": 0.25}
    assert ran.notes == []


def test_json_lines_are_read_from_the_file_that_is_named(run: Run) -> None:
    ran = run(
        script(
            """
            import json, os
            with open(os.environ["LUTHIER_METRICS"], "w") as file:
                for step in range(3):
                    line = {"step": step, "loss": 1 / (step + 1), "val": {"acc": step}, "at": "noon", "none": None}
                    print(json.dumps(line), file=file)
                file.write('{"loss": 0.25}')
            """
        )
    )
    assert ran.reports == [Report(s, {"loss": 1 / (s + 1), "val.acc": s}) for s in range(3)]
    assert ran.metrics == {"loss": 0.25, "val.acc": 2}


def test_patterns_count_steps_or_take_them_from_their_group(run: Run) -> None:
    ran = run(
        script(
            """
            for epoch in (10, 20):
                print(f"epoch {epoch}: val_loss={5 / epoch:.3f} acc {epoch}%", end="\\r")
            """
        ),
        metrics={
            "loss": r"val_loss=([0-9.]+)",
            "acc": lt.Pattern(r"epoch (?P<step>\d+): .* acc (?P<value>\d+)%"),
        },
    )
    assert {r.step: dict(r.metrics) for r in ran.reports if "loss" in r.metrics} == {
        1: {"loss": 0.5},
        2: {"loss": 0.25},
    }
    assert {r.step: dict(r.metrics) for r in ran.reports if "acc" in r.metrics} == {
        10: {"acc": 10},
        20: {"acc": 20},
    }
    assert ran.metrics == {"loss": 0.25, "acc": 20.0}


def test_a_json_file_of_ones_own_is_read_by_key(run: Run) -> None:
    ran = run(
        script(
            """
            import os
            with open(os.path.join(os.environ["LUTHIER_WORKDIR"], "log.jsonl"), "w") as file:
                file.write('{"epoch": 3, "val": {"loss": 0.5}}\\n{"other": 1}\\n')
            """
        ),
        metrics={"loss": lt.Json("val.loss", "log.jsonl", step="epoch")},
    )
    # the step goes by the name that it has in the file
    assert ran.reports == [Report(3, {"loss": 0.5})]


def test_a_file_store_of_mlflow_is_read(run: Run) -> None:
    ran = run(
        script(
            """
            import os
            folder = os.path.join(os.environ["LUTHIER_WORKDIR"], "mlruns/0/abc/metrics/val")
            os.makedirs(folder)
            with open(os.path.join(folder, "loss"), "w") as file:
                file.write("1700000000000 0.5 1\\n1700000001000 0.25 2\\n")
            """
        ),
        metrics={"loss": lt.MLflow("val/loss")},
    )
    assert ran.reports == [Report(1, {"loss": 0.5}), Report(2, {"loss": 0.25})]


def test_reports_come_while_it_runs(run: Run, tmp_path: Path) -> None:
    """It waits for the answer to its first report, which comes only if that was heard."""

    def answer(reports: list[Report]) -> None:
        if reports:
            answer_file.write_text("heard")

    answer_file = tmp_path / "answer"
    ran = run(
        [
            *script(
                """
                import os, sys, time
                print("luthier: step=1 loss=3", flush=True)
                end = time.monotonic() + 20
                while not os.path.exists(sys.argv[1]) and time.monotonic() < end:
                    time.sleep(0.01)
                print("luthier: loss=" + ("1" if os.path.exists(sys.argv[1]) else "2"))
                """
            ),
            str(answer_file),
        ],
        told=answer,
    )
    assert ran.metrics == {"loss": 1.0}


def test_the_log_is_complete_and_in_order(run: Run) -> None:
    ran = run(
        [
            "bash",
            "-c",
            "for i in $(seq 500); do echo out $i; echo err $i >&2; done; printf '\\xff\\x00end'; echo; echo luthier: loss=1",
        ]
    )
    expected = b"".join(b"out %d\nerr %d\n" % (i, i) for i in range(1, 501))
    assert (ran.folder / "output.log").read_bytes() == expected + b"\xff\x00end\nluthier: loss=1\n"


# --- what is odd ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("printed", "note"),
    [
        (
            ["step=1 loss=1", "step=1 loss=2"],
            "loss was reported twice for step 1: 1, then 2. The later one counts.",
        ),
        (["step=5 loss=1", "step=2 loss=2"], "the steps of loss go back, from 5 to 2."),
        (["step=1 loss=nan", "step=2 loss=2"], "loss is NaN at step 1"),
        (["step=1 loss=low", "loss=2"], "was not understood: loss=low is not a number"),
        (["step=1.5 loss=1", "loss=2"], "step=1.5 is not a whole number"),
    ],
)
def test_what_is_odd_is_noted(run: Run, printed: list[str], note: str) -> None:
    ran = run(script("".join(f"print('luthier: {line}')\n" for line in printed)))
    assert ran.metrics == {"loss": 2.0}
    assert len(ran.notes) == 1
    assert note in ran.notes[0]


def test_a_metric_that_is_never_said_comes_with_what_was_seen_and_the_remedy(run: Run) -> None:
    text = run(script("print('start'); print('epoch 2: val_loss=0.5')")).error
    assert text.startswith("the command ended without saying 'loss', which this study optimises.")
    assert "'epoch 2: val_loss=0.5'" in text
    assert 'metrics.loss = "val_loss=([-+.0-9eE]+)"' in text
    assert "luthier: step=3 loss=0.21" in text
    assert "Did you mean 'loss'?" in run(script("print('luthier: loss=1')"), wanted="los").error
    assert "Nothing was found by" in run(script("print('loss 1')"), metrics={"loss": "loss=(.*)"}).error


# --- how it ends ---------------------------------------------------------------------------------


def test_a_command_that_fails_says_why(run: Run) -> None:
    ran = run(script("print('luthier: step=1 loss=1'); raise ValueError('no such luck')"))
    assert ran.error == "the command failed with exit code 1. Its last line: ValueError: no such luck"
    assert isinstance(ran.outcome, Failed)
    assert "Traceback" in (ran.outcome.traceback or "")
    assert ran.reports == [Report(1, {"loss": 1})]
    assert json.loads((ran.folder / RECORD).read_text())["exit_code"] == 1
    assert run(["bash", "-c", "exit 3"]).error == "the command failed with exit code 3; it printed nothing."


def test_a_command_that_is_killed_says_by_what(run: Run) -> None:
    text = run(script("import os; os.kill(os.getpid(), 9)")).error
    assert text.startswith("the command was killed by signal 9 (SIGKILL): perhaps memory ran out")
    assert "SIGKILL, exit code 137" in run(["bash", "-c", "bash -c 'kill -9 $$'; exit $?"]).error
    assert "SIGSEGV" in run(["bash", "-c", "kill -SEGV $$"]).error
    # the machine goes down, say: no fault of the trial's
    assert isinstance(run(["bash", "-c", "kill -TERM $$"]).outcome, Lost)


def test_what_is_left_in_the_background_does_not_hold_it_up(run: Run) -> None:
    began = monotonic()
    ran = run(["bash", "-c", "sleep 60 & echo $!; echo luthier: loss=1"])
    assert ran.metrics == {"loss": 1.0}
    assert monotonic() - began < 10
    assert is_gone(int(ran.log.split()[0]))


def test_what_is_said_behind_the_report_that_ends_it_counts_as_well(run: Run) -> None:
    lines = "".join(f"luthier: step={step} loss={step}\\n" for step in range(1, 50))
    ran = run(
        script(f"import time; print('{lines}', end='', flush=True); time.sleep(60)"),
        told=lambda reports: "hopeless" if reports else None,
    )
    assert ran.outcome == Stopped("hopeless")
    assert len(ran.reports) == 49


def test_told_to_end_it_may_tidy_up(run: Run) -> None:
    ran = run(
        script(
            """
            import signal, sys, time
            def tidy(*_):
                print("luthier: step=2 loss=0.5", flush=True)
                sys.exit(0)
            signal.signal(signal.SIGTERM, tidy)
            print("luthier: step=1 loss=1", flush=True)
            time.sleep(60)
            """
        ),
        told=lambda reports: "hopeless" if reports else None,
        grace=30,
    )
    assert ran.outcome == Stopped("hopeless")
    assert ran.reports == [Report(1, {"loss": 1}), Report(2, {"loss": 0.5})]
    assert json.loads((ran.folder / RECORD).read_text())["stopped"] == "hopeless"


STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = "import time, signal; signal.signal(15, signal.SIG_IGN); print('x', flush=True); time.sleep(60)"
python = [sys.executable, "-S", "-c", child]
children = [subprocess.Popen(python, start_new_session=s, stdout=subprocess.PIPE) for s in (False, True)]
for c in children:
    c.stdout.readline()
lost = subprocess.run(  # a daemon: in a session of its own, and its parent is gone
    [sys.executable, "-S", "-c", "import os, subprocess, sys; print(subprocess.Popen(sys.argv[1:], start_new_session=True, stdout=subprocess.DEVNULL).pid)", *python],
    stdout=subprocess.PIPE, text=True).stdout.split()[0]
print("pids", os.getpid(), *(c.pid for c in children), lost, flush=True)
print("luthier: step=1 loss=1", flush=True)
time.sleep(60)
"""
STUBBORN_BASH = """
trap '' TERM
setsid bash -c 'trap "" TERM; sleep 60' &
a=$!
bash -c 'trap "" TERM; while true; do sleep 1; done' &
echo pids $$ $a $!
echo luthier: step=1 loss=1
while true; do sleep 1; done
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a daemon is found in /proc only")
@pytest.mark.parametrize("command", [script(STUBBORN), ["bash", "-c", STUBBORN_BASH]], ids=["python", "bash"])
def test_one_that_ignores_the_polite_signal_is_killed_and_its_children_with_it(
    run: Run, command: list[str]
) -> None:
    began = monotonic()
    ran = run(command, told=lambda reports: "hopeless" if reports else None, grace=0.3)
    assert ran.outcome == Stopped("hopeless")
    assert monotonic() - began < 20
    pids = pids_in(ran.log)
    assert len(pids) >= 3
    for pid in pids:
        assert is_gone(pid), pid


def pids_in(log: str) -> list[int]:
    """Those of the last line that names them; a shell may say more, as that its child was terminated."""
    lines = [line for line in log.splitlines() if line.startswith("pids ")]
    return [int(pid) for pid in lines[-1].split()[1:]]


def is_gone(pid: int) -> bool:
    """Whether it has ended, or will within ten seconds."""
    end = monotonic() + 10
    while monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
            os.kill(pid, 0)
        except (ProcessLookupError, FileNotFoundError):
            return True
        sleep(0.02)
    return False


# --- in worker processes -------------------------------------------------------------------------


def outcomes(
    pool: Any, jobs: list[Job], *, stop: int | None = None
) -> tuple[dict[int, Outcome], list[Reported]]:
    for job in jobs:
        pool.submit(job)
    found: dict[int, Outcome] = {}
    reports: list[Reported] = []
    end = monotonic() + 40
    while len(found) < len(jobs) and monotonic() < end:
        for event in pool.events(0.5):
            if isinstance(event, Ended):
                found[event.number] = event.outcome
            else:
                reports.append(event)
                if event.number == stop:
                    pool.stop(stop, "asked to")
    return found, reports


def job(number: int, tmp_path: Path) -> Job:
    return Job(number, 1, {"lr": 0.5, "depth": 2}, seed=1, workdir=str(tmp_path / str(number)))


@pytest.mark.skipif(sys.platform != "linux", reason="a daemon is found in /proc only")
def test_a_limit_of_time_is_first_said_politely_and_the_daemons_end_too(tmp_path: Path) -> None:
    polite = """
    import signal, sys, time
    def tidy(*_):
        print("luthier: step=2 loss=0.5", flush=True)
        sys.exit(0)
    signal.signal(signal.SIGTERM, tidy)
    print("luthier: step=1 loss=1", flush=True)
    time.sleep(60)
    """
    for text in (polite, STUBBORN):
        command = Command(script(text), grace=0.5).measured_by(["loss"])
        with Processes(1, seconds=2.5).open(command, "loss") as pool:
            found, reports = outcomes(pool, [job(0, tmp_path)])
        assert found == {0: Failed("ran longer than its limit of 2.5 s")}
        assert [r.report.step for r in reports] == ([1, 2] if text is polite else [1])
    for pid in pids_in((tmp_path / "0" / "output.log").read_text()):
        assert is_gone(pid), pid


def test_a_limit_of_memory_counts_the_children(tmp_path: Path) -> None:
    command = Command(
        script(
            """
            import subprocess, sys, time
            child = "x = bytearray(b'x') * 450_000_000; import time; time.sleep(60)"
            subprocess.Popen([sys.executable, "-S", "-c", child])
            time.sleep(60)
            """
        )
    ).measured_by(["loss"])
    with Processes(1, memory=400e6).open(command, "loss") as pool:
        found, _ = outcomes(pool, [job(0, tmp_path)])
    outcome = found[0]
    assert isinstance(outcome, Failed)
    assert "of memory, more than its limit of 400 MB" in outcome.error


def test_a_stop_reaches_one_that_reports_once_and_the_worker_lives_on(tmp_path: Path) -> None:
    command = Command(
        script("import time; print('luthier: step=1 loss=1', flush=True); time.sleep(60)"), grace=5
    ).measured_by(["loss"])
    began = monotonic()
    with Processes(1).open(command, "loss") as pool:
        found, _ = outcomes(pool, [job(0, tmp_path)], stop=0)
        before = pool._workers[0].process.pid  # type: ignore[attr-defined]
        again, _ = outcomes(pool, [job(1, tmp_path)], stop=1)
        assert pool._workers[0].process.pid == before  # type: ignore[attr-defined]
    assert (found, again) == ({0: Stopped("asked to")}, {1: Stopped("asked to")})
    assert monotonic() - began < 15


@pytest.mark.skipif(not hasattr(signal, "SIGKILL") or sys.platform != "linux", reason="reads /proc")
def test_the_command_ends_with_a_worker_that_is_killed_from_outside(tmp_path: Path) -> None:
    command = Command(
        script("import os, time; print('luthier: step=1 loss=%d' % os.getpid(), flush=True); time.sleep(60)")
    ).measured_by(["loss"])
    with Processes(1).open(command, "loss") as pool:
        pool.submit(job(0, tmp_path))
        pid, ended, end = 0, None, monotonic() + 30
        while ended is None and monotonic() < end:
            for event in pool.events(0.5):
                if isinstance(event, Ended):
                    ended = event.outcome
                else:
                    pid = int(event.report.metrics["loss"])
                    os.kill(pool._workers[0].process.pid, signal.SIGKILL)  # type: ignore[attr-defined]
    assert isinstance(ended, Lost)
    assert is_gone(pid)


def test_a_study_of_commands_in_memory(tmp_path: Path) -> None:
    study = lt.tune(
        lt.Command([*script("import sys; print('luthier: loss=' + sys.argv[1])"), "{lr}", "{depth}"]),
        SPACE,
        minimize="loss",
        trials=4,
        progress=False,
    )
    assert all(trial.metrics["loss"] == trial.params["lr"] for trial in study.trials)
    assert study.spec.about["command"].endswith("{lr} {depth}")


# --- what is wrong before it runs ----------------------------------------------------------------

WRONG = [
    ("pyhton train.py {args}", "there is no command 'pyhton'. Did you mean 'python"),
    ("zzyzx_nothing {args}", "It was looked for in "),
    ("bash {lrr} {depth}", "the placeholder {lrr}, and there is no parameter 'lrr'. Did you mean {lr}?"),
    ("bash {lr:.3f} {depth}", "values are passed as they are. Write {lr}."),
    ("bash {lr {depth}", "a single '{', in '{lr'. Write {{"),
    ("bash 'a {args}", "cannot be split into words: no closing quotation"),
    ("bash --x={args}", "{args} is several words, and is part of one"),
    ("bash x | tee y", "the command has '|', which means something to a shell only. Write shell = true"),
    ("A=1 bash {args}", 'Give it apart: env = { A = "1" }'),
    ("bash trian.sh {args}", "there is no file 'trian.sh' in "),
    ("./train.sh {args}", "may not be executed. Run `chmod +x ./train.sh`"),
    ("./trian.sh {args}", "Did you mean './train.sh'?"),
    ("train.sh {args}", "is meant by './train.sh'"),
]


@pytest.mark.parametrize(("command", "sentence"), WRONG, ids=[c for c, _ in WRONG])
def test_what_cannot_run_is_said_before_it_does(tmp_path: Path, command: str, sentence: str) -> None:
    (tmp_path / "train.sh").write_text("echo")
    with pytest.raises(ObjectiveError) as caught:
        Command(command, cwd=tmp_path).check(SPACE)
    assert sentence in str(caught.value)


def test_a_parameter_without_a_placeholder_is_worth_a_word() -> None:
    (note,) = Command("bash {lr}").check(SPACE)
    assert note.startswith("the command has no placeholder for depth: put {depth} or {args} into it.")
    for command in (
        Command("bash {args}"),
        Command("bash {params_file}"),
        Command("bash", params="environment"),
        Command("bash", params="file"),
        Command("echo $LUTHIER_PARAM_LR", shell=True),
        Command("bash {lr} {depth}"),
    ):
        assert command.check(SPACE) == []


def test_what_may_be_absent_has_to_be_an_option() -> None:
    space = lt.Space(kind=lt.Choice("a", "b"), m=lt.Float(0, 1, when={"kind": "a"}))
    for text in ("bash {kind} --m {m}", "bash {kind} --m={m}", "bash --kind {kind} {args}"):
        assert Command(text).check(space) == []
    with pytest.raises(
        ObjectiveError, match=r"there are trials without a value for 'm'. Write it as an option"
    ):
        Command("bash {kind} {m}").check(space)


def test_parameters_that_would_be_one_variable_are_refused() -> None:
    with pytest.raises(ObjectiveError, match=r"'a\.b' and 'a_b' would be one variable"):
        Command("bash {args}").check(lt.Space({"a.b": lt.Int(1, 2), "a_b": lt.Int(1, 2)}))


def test_settings_that_make_no_sense_are_refused() -> None:
    wrong: list[dict[str, Any]] = [
        {"command": ""},
        {"command": []},
        {"command": ["a"], "shell": True},
        {"command": "a", "metrics": {"loss": 3}},
        {"command": "a", "params": "words"},
    ]
    for bad in wrong:
        with pytest.raises(InvalidStudy):
            Command(**bad)


# --- checkpoints, interrupts, policies -------------------------------------------------------------

RESUMING = """
import os, signal, sys, time
start = 0
if "LUTHIER_CHECKPOINT" in os.environ:
    start = int(open(os.environ["LUTHIER_CHECKPOINT"]).read())
print("from", start, sys.argv[1:], flush=True)
work = os.environ["LUTHIER_WORKDIR"]
for step in range(start + 1, 5):
    with open(os.path.join(work, "state.txt"), "w") as file:
        file.write(str(step))
    print(f"luthier: step={step} loss={1 / step}")
    print("luthier: checkpoint=state.txt", flush=True)
    if step == 2 and start == 0:
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)  # as a machine that goes down
        time.sleep(60)
"""


def test_another_attempt_goes_on_from_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = lt.tune(
        Command([*script(RESUMING), "--lr", "{lr}", "--resume", "{trial.checkpoint}"]),
        {"lr": lt.Float(0, 1)},
        minimize="loss",
        trials=1,
        name="c",
        progress=False,
    )
    (trial,) = study.trials
    assert (trial.attempt, trial.metrics["loss"]) == (2, 0.25)
    assert trial.reported("loss") == {step: 1 / step for step in range(1, 5)}
    first, second = (study.home / "work" / "c" / "0" / n / "output.log" for n in "12")
    assert first.read_text().startswith("from 0 ['--lr', '")
    assert "--resume" not in first.read_text()
    assert second.read_text().startswith("from 2 ['--lr', '")
    assert "'--resume', '/" in second.read_text()
    study.close()


def test_a_checkpoint_that_is_not_there_is_noted(run: Run) -> None:
    ran = run(script("print('luthier: checkpoint=gone.pt'); print('luthier: loss=1')"))
    assert ran.metrics == {"loss": 1.0}
    assert ran.notes[0].startswith("the checkpoint 'gone.pt' is neither in ")


TIDY = """
import os, signal, sys, time
def tidy(*_):
    print("tidied", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, tidy)
print("luthier: step=1 loss=%d" % os.getpid(), flush=True)
time.sleep(60)
"""


def test_at_the_end_of_the_pool_it_may_tidy_up(tmp_path: Path) -> None:
    command = Command(script(TIDY), grace=20).measured_by(["loss"])
    began = monotonic()
    with Processes(1).open(command, "loss") as pool:
        pool.submit(job(0, tmp_path))
        end = monotonic() + 20
        while not pool.events(0.5) and monotonic() < end:
            pass
    assert monotonic() - began < 15
    assert (tmp_path / "0" / "output.log").read_text().splitlines()[-1] == "tidied"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_ends_with_an_engine_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "study.py").write_text(
        "import luthier as lt, sys\n"
        f"lt.tune(lt.Command({script(STUBBORN)!r}), lt.Space(lr=lt.Float(0, 1)), minimize='loss', trials=1, name='c')\n"
    )
    log = tmp_path / ".luthier" / "work" / "c" / "0" / "1" / "output.log"
    engine = subprocess.Popen([sys.executable, "study.py"], cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        end = monotonic() + 30
        while not (log.is_file() and "luthier: step=1" in log.read_text()) and monotonic() < end:
            sleep(0.02)
    finally:
        engine.kill()
        engine.wait()
    pids = pids_in(log.read_text())
    assert len(pids) == 4
    for pid in pids:
        assert is_gone(pid), pid


def test_a_policy_stops_a_command_that_is_no_good(tmp_path: Path) -> None:
    body = """
    import sys, time
    x = float(sys.argv[1])
    for step in range(1, 100):
        print(f"luthier: step={step} loss={x}", flush=True)
        if x > 0.5:
            time.sleep(0.1)
    """
    study = lt.tune(
        Command([*script(body), "{x}"], grace=5),
        {"x": lt.Choice(0.1, 0.9, ordered=True)},
        minimize="loss",
        trials=2,
        algorithm="grid",
        stopping=Threshold(high=0.5),
        progress=False,
    )
    states = {trial.params["x"]: str(trial.state) for trial in study.trials}
    assert states[0.1] == "completed"
    assert states[0.9] == "stopped"
    study.close()


def test_lines_are_found_wherever_the_pieces_of_a_growing_log_end(tmp_path: Path) -> None:
    log = tmp_path / "output.log"
    data = (
        b"noise\r\nluthier: step=1 loss=0.5\rmore noise\n\nx luthier: step=2 loss=0.25\nluthier: loss=0.125"
    )
    for size in (1, 2, 3, 7, 1000):
        log.write_bytes(b"")
        listener = Listener({}, log, tmp_path / "none", tmp_path)
        found = []
        with log.open("ab", buffering=0) as growing:
            for i in range(0, len(data), size):
                growing.write(data[i : i + size])
                found += list(listener.hear())
        found += list(listener.hear(final=True))
        assert [(said.step, dict(said.metrics)) for said in found] == [
            (1, {"loss": 0.5}),
            (2, {"loss": 0.25}),
            (None, {"loss": 0.125}),
        ]
