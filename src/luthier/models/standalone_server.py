"""Answer with predictions: TOKEN=... python server.py [PORT [HOST]]

    curl -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"rows": [{...}]}' http://127.0.0.1:9000/predict

Needs what predict.py needs, and nothing else. TOKEN is a secret of 20 characters or more. GET /healthz answers without it.
`luthier serve` does more: it watches over the model, counts, and takes CSV.
"""

import hmac
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import predict  # type: ignore[import-not-found]  # the file beside this one

TOKEN = os.environ.get("TOKEN", "")
MOST_BYTES, MOST_ROWS = 8_000_000, 10_000
ABOUT = json.loads(Path(__file__).with_name("model.json").read_bytes())
NAMES = [column["name"] for column in ABOUT["inputs"]]
LOCK = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    """One request after the other on a connection; predictions one after the other on all."""

    timeout = 60
    server_version = "luthier"
    sys_version = ""

    def do_GET(self) -> None:
        """Whether it is there."""
        ok = self.path == "/healthz"
        self.say(
            200 if ok else 404,
            {"status": "ok"} if ok else {"error": "there is POST /predict and GET /healthz."},
        )

    def do_POST(self) -> None:
        """Predictions."""
        try:
            self.say(*self.answer())
        except SystemExit as error:  # how predict.py refuses
            self.say(422, {"error": str(error).removeprefix("predict.py: ")})
        except (ValueError, TypeError, LookupError, OverflowError, RecursionError) as error:
            self.say(422, {"error": f"the rows cannot be read: {error}"})

    def answer(self) -> tuple[int, Any]:
        """A status and what to say."""
        given = self.headers.get("Authorization", "").removeprefix("Bearer ").encode()
        if not hmac.compare_digest(given, TOKEN.encode()):
            return 401, {"error": "send the header Authorization: Bearer TOKEN."}
        if self.path != "/predict":
            return 404, {"error": "there is POST /predict and GET /healthz."}
        if self.headers.get_content_type() != "application/json":
            return 415, {"error": "send application/json."}
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or len(length) > 9 or int(length) > MOST_BYTES:
            return 413, {"error": f"send a body of at most {MOST_BYTES:,} bytes, and its length."}
        rows = json.loads(self.rfile.read(int(length)), parse_constant=refuse)["rows"]
        if not isinstance(rows, list) or not 1 <= len(rows) <= MOST_ROWS:
            return 422, {"error": f"send between 1 and {MOST_ROWS:,} rows."}
        X = predict.table(NAMES, [texts(n, row) for n, row in enumerate(rows, 1)], 1, "row")
        with LOCK:
            values, chances = predict.predict(MODEL, X)
        said = {"model": ABOUT["name"], "version": ABOUT["version"], "predictions": values}
        return 200, {**said, "classes": predict.MODEL["classes"], "probabilities": chances}

    def say(self, status: int, said: Any) -> None:
        """Answer, and hang up."""
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def refuse(constant: str) -> Any:
    """NaN and infinities are no JSON."""
    raise ValueError(f"{constant} is no number of JSON; send null")


def texts(n: int, row: Any) -> list[str]:
    """A row as a CSV would have it, its columns in the model's order."""
    if not isinstance(row, dict) or row.keys() != set(NAMES):
        raise ValueError(f"row {n} is no object with exactly these columns: {', '.join(NAMES)}")
    if any(isinstance(value, dict | list) for value in row.values()):
        raise ValueError(f"row {n} holds more than plain values")
    return ["" if row[name] is None else str(row[name]) for name in NAMES]


if __name__ == "__main__":
    if len(TOKEN) < 20 or not TOKEN.isascii():
        sys.exit(
            "server.py: set TOKEN to a secret of at least 20 characters: export TOKEN=$(openssl rand -hex 32)"
        )
    MODEL = predict.load()
    port, host = (
        [*sys.argv[1:], "9000", "127.0.0.1"][:2] if len(sys.argv) != 2 else (sys.argv[1], "127.0.0.1")
    )
    server = ThreadingHTTPServer((host, int(port)), Handler)
    print(f"http://{host}:{server.server_port}/predict", flush=True)
    server.serve_forever()
