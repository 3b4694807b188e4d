"""A deployed model's own process: started by whoever deploys, and left alone by it. Its settings are in its arguments, as JSON.

Held, it loads the model first, says `{"loaded": true}` on standard output, and listens once it is told to on standard input: whoever
deploys ends the model before it only then, and not at all if this one cannot be loaded.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

from luthier.errors import LuthierError
from luthier.serving.door import Door
from luthier.serving.serve import LogFile, Opened, open_server, to_stderr
from luthier.serving.source import kept


def main(settings: dict[str, Any]) -> int:
    """Serve until told to end; the exit code."""
    warnings.showwarning = lambda message, *_: to_stderr(f"note: {message}")
    log = LogFile(Path(settings["log"]))
    door = Door("127.0.0.1", settings["port"], Path(settings["token_file"]))
    try:
        source = kept(settings["home"], settings["model"], settings["version"])
        opened = open_server(source, door, log=log)
        if settings["held"]:
            opened.run(loaded=_wait, began=_tell)
        else:
            opened.listen()
            opened.run(patient=True)
    except LuthierError as error:
        to_stderr(str(error))
        if settings["held"]:
            _say({"problem": str(error)})
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def _wait() -> None:
    """Until we are to listen. Whoever started us being gone before it said so, nobody wants us."""
    _say({"loaded": True})
    if not sys.stdin.readline():
        os._exit(1)


def _tell(opened: Opened) -> None:
    """The last word to whoever started us."""
    _say({"listening": opened.address})
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    os.close(null)


def _say(said: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
