"""The command `luthier`: its parts, and what its exit codes mean."""

from __future__ import annotations

from typing import Any

import click

from luthier import __version__
from luthier.cli.output import complain
from luthier.errors import LuthierError, ObjectiveFailed, did_you_mean

OK, NOTHING, USAGE, UNFINISHED, INTERRUPTED = 0, 1, 2, 3, 130

# Each is imported when it is called: `luthier --help` does not wait for a database driver.
COMMANDS = {
    "run": "luthier.cli.run:run",
    "doctor": "luthier.cli.doctor:doctor",
    "list": "luthier.cli.look:list_studies",
    "show": "luthier.cli.look:show",
    "trials": "luthier.cli.look:trials",
    "files": "luthier.cli.files:files",
    "logs": "luthier.cli.logs:logs",
    "schedule": "luthier.cli.look:schedule",
    "compare": "luthier.cli.look:compare",
    "result": "luthier.cli.look:result",
    "importance": "luthier.cli.plot:importance",
    "plot": "luthier.cli.plot:plot",
    "report": "luthier.cli.plot:report",
    "studio": "luthier.cli.studio:studio",
    "stop": "luthier.cli.change:stop",
    "archive": "luthier.cli.change:archive",
    "delete": "luthier.cli.change:delete",
    "note": "luthier.cli.change:note",
    "tag": "luthier.cli.change:tag",
    "models": "luthier.cli.models:models",
    "serve": "luthier.cli.serve:serve",
    "describe": "luthier.cli.describe:describe",
    "replay": "luthier.cli.look:replay",
}


class Commands(click.Group):
    """Commands by name; what Luthier raises on purpose becomes a sentence and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        from importlib import import_module

        module, _, name = COMMANDS[cmd_name].partition(":")
        found: click.Command = getattr(import_module(module), name)
        return found

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"there is no command {args[0]!r}.{did_you_mean(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ObjectiveFailed as error:
            complain(str(error), "stopped")
            ctx.exit(NOTHING)
        except LuthierError as error:
            complain(str(error))
            ctx.exit(USAGE)
        except KeyboardInterrupt:
            complain("stopped at once; the same command goes on where it was.", "interrupted")
            ctx.exit(INTERRUPTED)


@click.group(
    "luthier",
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 all is well; 1 the study ended without a result; 2 something is wrong with the question or "
    "the command; 3 the study was stopped before it was complete; 130 it was interrupted.",
)
@click.version_option(__version__, message="luthier %(version)s")
def main() -> None:
    """Tune the hyperparameters of any machine-learning model.

    Begin with `luthier run study.toml`; then `luthier show NAME` says what came out.
    """
