"""Command: any program as an objective. It gets its parameters as words, as variables and as a file, and prints its metrics.

tune(Command("python train.py --lr {lr} --depth {depth}"), space, minimize="loss", trials=20)
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from difflib import get_close_matches
from itertools import count
from pathlib import Path
from typing import Any, Literal, get_args

from luthier.clock import SystemClock
from luthier.errors import InvalidStudy, ObjectiveError, Stop, did_you_mean
from luthier.objectives import family, placeholders, programs
from luthier.objectives.context import Context
from luthier.objectives.metrics import Listener, MLflow, Pattern, Said, Source, Tail, likely, pattern_for
from luthier.space import Params, Space
from luthier.study import Failed, Lost

LOG = "output.log"
PARAMS = "params.json"
REPORTS = "metrics.jsonl"
RECORD = "command.json"
"""What is in the work folder of an attempt: all that was printed; the parameters; what `luthier.report` writes; the command and
how it ended."""

LOOK_SECONDS = 0.05
FILES_EVERY = 5
"""What is printed is looked at twenty times a second, files of metrics at every fifth look."""
LAST_LINES = 30
LAST_BYTES = 1 << 16
POLITE = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

Given = Literal["arguments", "environment", "file"]


class CommandFailed(ObjectiveError):
    """The command came to nothing; `outcome` is what that means for its trial."""

    def __init__(self, outcome: Failed | Lost) -> None:
        super().__init__(outcome.error if isinstance(outcome, Failed) else outcome.reason)
        self.outcome = outcome

    def __reduce__(self) -> Any:
        return type(self), (self.outcome,)


@dataclass(frozen=True, slots=True)
class Command:
    """A program that trains and says how well: a Task.

    `command` is split as a shell would, and run without one; a list is taken as it is, and `shell=True` gives the text to
    /bin/sh, values quoted. In it stand `{name}` for a parameter, `{args}` for `--name value` of those without a place of
    their own, `{params_file}` for a JSON file of all, `{python}` for the Python that runs this, and `{trial.number}`, `{trial.attempt}`, `{trial.seed}`,
    `{trial.fidelity}`, `{trial.workdir}`, `{trial.checkpoint}`; `{{` and `}}` are braces. An option whose parameter has no value
    in a trial is left out. The same is in the environment: LUTHIER_PARAM_NAME, LUTHIER_PARAMS (the file), LUTHIER_TRIAL,
    LUTHIER_SEED, LUTHIER_WORKDIR, LUTHIER_FIDELITY, LUTHIER_CHECKPOINT. `params` says where the program looks, so that
    nobody is warned of what is not in the command: "arguments", "environment" or "file".

    Metrics are lines `luthier: step=3 loss=0.21` on stdout or stderr, without a step for the result; lines of JSON in the file
    LUTHIER_METRICS; and what `metrics` names: a regular expression for each, or `Pattern`, `Json`, `MLflow`, `TensorBoard`.
    The result is the last value of each.

    It runs in `cwd`, with `env` added to the environment. Told to end it gets SIGTERM, with its whole process group, and
    after `grace` seconds SIGKILL, with all that it started.
    """

    command: str | Sequence[str]
    _: KW_ONLY
    metrics: Mapping[str, Source | str] = field(default_factory=dict)
    params: Given = "arguments"
    shell: bool = False
    cwd: str | Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    grace: float = 5.0
    wanted: tuple[str, ...] = ()
    fidelity: str | None = None

    def __post_init__(self) -> None:
        _check_command(self.command, self.shell)
        if self.params not in get_args(Given):
            raise InvalidStudy(f"params is {self.params!r}.{did_you_mean(self.params, get_args(Given))}")
        if isinstance(self.grace, bool) or not isinstance(self.grace, int | float) or not self.grace >= 0:
            raise InvalidStudy(f"grace is {self.grace!r}. Use a number of seconds, 0 or more.")
        for name, value in self.env.items():
            if not isinstance(value, str):
                raise InvalidStudy(f"env has {value!r} for {name!r}. Use a text: {name} = {str(value)!r}.")
        sources = {
            name: Pattern(source) if isinstance(source, str) else source
            for name, source in self.metrics.items()
        }
        for name, source in sources.items():
            if not isinstance(source, Source):
                raise InvalidStudy(
                    f"the metric {name!r} comes from {source!r}. Use a regular expression, Pattern, Json, MLflow or TensorBoard."
                )
        object.__setattr__(self, "metrics", sources)
        if not isinstance(self.command, str):
            object.__setattr__(self, "command", tuple(self.command))

    # --- before it runs --------------------------------------------------------------------------

    @property
    def words(self) -> tuple[str, ...]:
        """The command as words with placeholders; for a shell, one."""
        if not isinstance(self.command, str):
            return tuple(self.command)
        return (self.command,) if self.shell else placeholders.words_of(self.command)

    @property
    def text(self) -> str:
        """The command as one would type it."""
        return self.command if isinstance(self.command, str) else _joined(self.command)

    @property
    def about(self) -> dict[str, Any]:
        """What the study is about, as JSON."""
        return {"command": self.text}

    def measured_by(self, metrics: Sequence[str], fidelity: str | None = None) -> Command:
        """The same, which has failed where it does not say all of `metrics`; `fidelity` is a placeholder too."""
        return replace(self, wanted=tuple(metrics), fidelity=fidelity)

    def check(self, space: Space) -> list[str]:
        """What is worth knowing before it runs. Raises ObjectiveError where it cannot run: a placeholder without a parameter,
        a command that is not there.
        """
        missing = placeholders.check(self.words, space, self.fidelity, shell=self.shell)
        _check_variables(space)
        if not self.shell:
            programs.check(self.words, Path(self.cwd or ".").absolute(), self.env)
        if (
            not missing
            or self.params != "arguments"
            or "{params_file}" in self.text
            or "LUTHIER_" in self.text
        ):
            return []
        named = ", ".join(missing)
        return [
            f"the command has no placeholder for {named}: put {{{missing[0]}}} or {{args}} into it. Where it reads LUTHIER_PARAM_... or "
            'the file LUTHIER_PARAMS, say so: params = "environment" or "file".'
        ]

    # --- one trial -------------------------------------------------------------------------------

    def __call__(self, context: Context) -> dict[str, float]:
        """Run it for one trial, pass on what it reports, and return its last metrics."""
        folder = context.workdir.absolute()
        log = folder / LOG
        listener = Listener(
            {name: source for name, source in self.metrics.items() if not isinstance(source, str)},
            log,
            folder / REPORTS,
            folder,
            start=log.stat().st_size if log.exists() else 0,
        )
        words, env = self._filled(context, folder)
        began = SystemClock().now()
        record: dict[str, Any] = {"command": words, "cwd": str(self.cwd or Path.cwd())}
        stopped: str | None = None
        process = self._start(words, env, log)
        try:
            _record(folder, {**record, "pid": process.pid})
            stopped = self._follow(process, listener, context, f"LUTHIER_WORKDIR={folder}")
        finally:
            if process.returncode is None:
                family.kill(process.pid, f"LUTHIER_WORKDIR={folder}")
                process.wait()
            seconds = round(SystemClock().now() - began, 3)
            ended = {"exit_code": process.returncode, "stopped": stopped, "seconds": seconds}
            _record(folder, {**record, **ended, "notes": listener.notes})
        if stopped is not None:
            raise Stop(stopped)
        if process.returncode != 0:
            raise CommandFailed(
                _failure(process.returncode, listener, programs.python_of(self.words, self.env))
            )
        missing = [name for name in self.wanted if name not in listener.results]
        if missing:
            raise CommandFailed(
                Failed(_unsaid(missing[0], listener, self.metrics), _last_lines(listener) or None)
            )
        return dict(listener.results)

    def _filled(self, context: Context, folder: Path) -> tuple[list[str], dict[str, str]]:
        """The words and the environment of a trial; writes the file of its parameters."""
        fidelity = context.fidelity
        whole = int(fidelity) if fidelity is not None and float(fidelity).is_integer() else fidelity
        params = dict(context.params)
        if self.fidelity is not None and whole is not None:
            params[self.fidelity] = whole
        _write_json(folder / PARAMS, params)
        restored = context.restored
        trial = {
            "number": str(context.number),
            "attempt": str(context.attempt),
            "seed": str(context.seed),
            "fidelity": placeholders.text_of(whole),
            "workdir": str(folder),
            "checkpoint": None if restored is None else str(restored.absolute()),
        }
        return self._words(params, trial, folder), self._environment(params, trial, folder)

    def _words(self, params: Params, trial: Mapping[str, str | None], folder: Path) -> list[str]:
        values: dict[str, str | None] = {placeholders.PYTHON: sys.executable}
        values |= {name: placeholders.text_of(value) for name, value in params.items()}
        values |= {f"trial.{name}": value for name, value in trial.items()}
        values[placeholders.PARAMS_FILE] = str(folder / PARAMS)
        placed = {name for word in self.words for name in placeholders.names_in(word)}
        rest = placeholders.options(params, [name for name in params if name not in placed])
        if self.shell:
            return ["/bin/sh", "-c", placeholders.filled_for_shell(self.words[0], values, rest)]
        return placeholders.filled(self.words, values, rest)

    def _environment(self, params: Params, trial: Mapping[str, str | None], folder: Path) -> dict[str, str]:
        inherited = {  # but for what a trial that we run in may have
            name: value
            for name, value in os.environ.items()
            if not name.startswith("LUTHIER_PARAM") and name not in ("LUTHIER_FIDELITY", "LUTHIER_CHECKPOINT")
        }
        given = {
            **{placeholders.variable(name): placeholders.text_of(value) for name, value in params.items()},
            **{f"LUTHIER_{name.upper()}": value for name, value in trial.items() if name != "number"},
            "LUTHIER_TRIAL": trial["number"],
            "LUTHIER_PARAMS": str(folder / PARAMS),
            "LUTHIER_METRICS": str(folder / REPORTS),
        }
        return {
            "PYTHONUNBUFFERED": "1",  # what Python prints shall be seen while it runs
            **self._for_mlflow(folder),
            **inherited,
            **self.env,
            **{name: value for name, value in given.items() if value is not None},
            "PATH": programs.search_path({**inherited, **self.env}),
        }

    def _for_mlflow(self, folder: Path) -> dict[str, str]:
        """Where MLflow writes by default: files in the work folder, which its newer versions have to be allowed, if metrics are
        to be read from them.
        """
        if not any(isinstance(source, MLflow) for source in self.metrics.values()):
            return {}
        return {"MLFLOW_TRACKING_URI": (folder / "mlruns").as_uri(), "MLFLOW_ALLOW_FILE_STORE": "true"}

    def _start(self, words: list[str], env: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
        # One open file for both: what is written appears in the order in which it was, and is there whatever becomes of us.
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            return subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.cwd,
                env=env,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise ObjectiveError(_no_start(words, error, self.cwd)) from None
        finally:
            os.close(output)

    def _follow(
        self, process: subprocess.Popen[bytes], listener: Listener, context: Context, mark: str
    ) -> str | None:
        """Wait for the end, passing on what is said; the reason where the trial was told to end before."""
        stopped: str | None = None
        with _watched(process) as waited:
            for look in count(1):
                if waited(LOOK_SECONDS):
                    break
                new = listener.hear(printed_only=look % FILES_EVERY != 0)
                stopped = self._pass_on(new, listener, context) or context.told
                if stopped is not None:
                    self._end(process, waited, mark)
                    break
            if stopped is not None:
                family.kill(process.pid, mark)
            else:  # what was left in the background; what has gone into a session of its own may have its reasons
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        # Told to end only now, it has come to its result all the same.
        self._pass_on(listener.hear(final=True), listener, context)
        return stopped

    def _pass_on(self, heard: Iterable[Said], listener: Listener, context: Context) -> str | None:
        """Pass on all of it; the reason where the trial is told to end at that."""
        reason: str | None = None
        for said in heard:
            try:
                if said.checkpoint is not None:
                    self._save(said.checkpoint, listener, context)
                elif said.step is not None:
                    context.report(said.step, said.metrics)
            except Stop as stop:
                reason = str(stop)
        return reason

    def _save(self, path: str, listener: Listener, context: Context) -> None:
        """Hand over a checkpoint; where that cannot be the training goes on, and a later one may be kept."""
        folders = [Path(self.cwd or "."), context.workdir]
        found = next((folder / path for folder in folders if (folder / path).exists()), None)
        if found is None:
            where = f"neither in {folders[0].absolute()} nor in the work folder"
            listener.note("checkpoint", f"the checkpoint {path!r} is {where}, so it was not kept.")
            return
        try:
            context.checkpoint(found)
        except ObjectiveError as error:
            listener.note("checkpoint", f"the checkpoint {path!r} was not kept: {error}")

    def _end(self, process: subprocess.Popen[bytes], waited: Any, mark: str) -> None:
        """Ask it to end, and give it and what it started `grace` seconds."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGTERM)
        clock = SystemClock()
        deadline = clock.now() + self.grace
        if not waited(self.grace):
            return
        while clock.now() < deadline and family.others(process.pid, mark):
            clock.sleep(LOOK_SECONDS)


@contextlib.contextmanager
def _watched(process: subprocess.Popen[bytes]) -> Iterator[Any]:
    """A function that waits so many seconds for the end of a process, which stays to be waited for; and answers whether it came."""
    try:
        fd = os.pidfd_open(process.pid)
    except (AttributeError, OSError):  # not on Linux, or an old one
        yield lambda seconds: _has_ended(process, seconds)
        return
    try:
        yield lambda seconds: bool(select.select([fd], [], [], seconds)[0])
    finally:
        os.close(fd)


def _has_ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    return process.returncode is not None


def _record(folder: Path, record: Mapping[str, Any]) -> None:
    with contextlib.suppress(OSError):  # a full disk shall not hide how it ended
        _write_json(folder / RECORD, record)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


# --- what went wrong -----------------------------------------------------------------------------


def _failure(status: int, listener: Listener, python: str | None) -> Failed | Lost:
    """What it means; `python` is the Python that was run, where it is another than ours."""
    lines = _last_lines(listener)
    last = next((line.strip() for line in reversed(lines.splitlines()) if line.strip()), "it printed nothing")
    number = -status if status < 0 else status - 128
    killed = ""
    if status < 0 or number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT):
        with contextlib.suppress(ValueError):
            killed = signal.Signals(number).name
    if status < 0 and number in POLITE:
        return Lost(
            f"the command was ended by signal {number} ({killed}), which came from outside: the machine may be going down"
        )
    if killed == "SIGKILL":
        how = f"the command was killed by signal 9 (SIGKILL{f', exit code {status}' if status > 0 else ''}): perhaps memory ran out"
    elif status < 0 or killed:
        how = f"the command was ended by signal {number}" + (f" ({killed})" if killed else "")
    else:
        how = f"the command failed with exit code {status}"
    told = f"{how}. Its last line: {last[:300]}" if lines else f"{how}; {last}."
    if python is not None and last.startswith("ModuleNotFoundError"):
        told += f". It ran {python}; {{python}} in the command is the Python that runs Luthier"
    return Failed(told, lines or None)


def _last_lines(listener: Listener) -> str:
    try:
        size = listener.log.stat().st_size
    except FileNotFoundError:
        return ""
    lines = list(Tail(listener.log, max(listener.start, size - LAST_BYTES)).lines(final=True))
    return "\n".join(lines[-LAST_LINES:])


def _unsaid(metric: str, listener: Listener, sources: Mapping[str, Any]) -> str:
    """Why a metric is missing, what was seen instead, and what to do."""
    told = f"the command ended without saying {metric!r}, which this study optimises."
    if metric in sources:
        found = f" Nothing was found by {sources[metric]!r}."
    elif listener.results:
        near = get_close_matches(metric, listener.results, n=1, cutoff=0.5)
        found = f" It said {', '.join(map(repr, listener.results))}." + (
            f" Did you mean {near[0]!r}?" if near else ""
        )
        if near:
            return told + found
    else:
        found = ""
    like = likely(Tail(listener.log, listener.start).lines(final=True), metric)
    notes = "".join(f" {note}" for note in listener.notes)
    if like:
        lines = "; ".join(repr(one.line) for one in like)
        pattern = json.dumps(pattern_for(metric, like[-1]))
        remedy = (
            f" Its output has such lines: {lines}. Read them: metrics.{metric} = {pattern}. Or let it print"
        )
    else:
        remedy = " Let it print"
    return f"{told}{found}{notes}{remedy} lines such as 'luthier: step=3 {metric}=0.21', or 'luthier: {metric}=0.21' at its end."


def _no_start(words: Sequence[str], error: Exception, cwd: str | Path | None) -> str:
    if isinstance(error, FileNotFoundError) and cwd is not None and not Path(cwd).is_dir():
        return f"the command is to run in {cwd}, which is no folder."
    if isinstance(error, FileNotFoundError):
        return programs.missing(words[0], Path(cwd or "."), {})
    if isinstance(error, OSError) and error.strerror:
        hint = (
            " Does its first line say which program reads it, as in #!/bin/sh?"
            if error.strerror.startswith("Exec")
            else ""
        )
        return f"the command {words[0]!r} cannot be started: {error.strerror}.{hint}"
    return f"the command {words[0]!r} cannot be started: {error}."


# --- what is there -------------------------------------------------------------------------------


def _check_command(command: Any, shell: bool) -> None:
    if isinstance(command, str):
        if command.strip():
            return
    elif isinstance(command, Sequence) and command and all(isinstance(word, str) for word in command):
        if not shell:
            return
        raise InvalidStudy(
            "a command for a shell is one text, and this is a list. Leave out shell, or write one text."
        )
    raise InvalidStudy(
        f'the command is {command!r}. Write it as you would type it: command = "python train.py --lr {{lr}}".'
    )


def _joined(words: Sequence[str]) -> str:
    """As one would type it; placeholders need no quotes."""
    return " ".join(f"'{word}'" if any(c.isspace() for c in word) or not word else word for word in words)


def _check_variables(space: Space) -> None:
    seen: dict[str, str] = {}
    for name in space:
        other = seen.setdefault(placeholders.variable(name), name)
        if other != name:
            raise ObjectiveError(
                f"the parameters {other!r} and {name!r} would be one variable of the environment, "
                f"{placeholders.variable(name)}. Rename one of them."
            )
