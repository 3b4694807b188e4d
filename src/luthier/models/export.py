"""A version as a folder that runs elsewhere, without Luthier: `python predict.py in.csv out.csv`."""

from __future__ import annotations

import hashlib
import json
import os
import pprint
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from luthier.errors import ModelError
from luthier.estimators.data import Data
from luthier.models.card import card, yaml_head
from luthier.models.files import dump, restore, types_in
from luthier.models.manifest import installed, typical_row
from luthier.models.notes import noted
from luthier.models.registry import (
    ModelVersion,
    content_of,
    history_of,
    show_model,
    unsigned,
    write_file,
    write_manifest,
)

MODEL = "model.skops"
BROUGHT = ("threadpoolctl",)
"""What the libraries of a model need besides, and predictions depend on."""


def export_model(
    home: Path | str,
    name: str,
    to: Path | str,
    version: int | None = None,
    *,
    onnx: Data | str | None = None,
    trust: bool = False,
) -> Path:
    """Write the champion, or a version, to a new folder, or a .zip of one, and answer with its path.

    In it are the model (skops), model.json with the hashes of all files and its signature, the card, predict.py, pinned
    requirements.txt, a Dockerfile and an example of a row. With `onnx`, the name of a table or a `Data`, there is
    model.onnx, too, if it says the same as the model about all of those rows; otherwise ModelError says how it differs.

    Raises ModelError also where the place is taken, for a model saved with joblib, and for one not signed on this machine
    without `trust`: what is exported is signed anew.
    """
    model = show_model(home, name, version)
    to = Path(to).expanduser()
    if to.exists():
        raise ModelError(f"{str(to)!r} exists already. Name a new folder, or a new file that ends in .zip.")
    if not model.signed and not trust:
        raise ModelError(
            f"{model.what} {unsigned(model)} An export would be signed on this machine; if you know who made it, say so "
            "with trust=True (--trust)."
        )
    if model.manifest.get("serializer") != "skops":
        raise ModelError(
            f"{model.what} was saved with {model.manifest.get('serializer')}, and loading that runs code. Only models saved "
            "with skops are exported."
        )
    files, manifest = _files(model, history_of(home, name), onnx)
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        hidden = Path(tempfile.mkdtemp(prefix=f".{to.name}-", dir=to.parent))
        try:
            hidden.chmod(0o755)
            for file, content in files.items():
                (hidden / file).parent.mkdir(parents=True, exist_ok=True)
                write_file(hidden / file, content)
            write_manifest(hidden, manifest)
            made = hidden
            if to.suffix == ".zip":
                made = _zipped(hidden, f"{name}-{model.version}")
            made.rename(to)
        finally:
            shutil.rmtree(hidden, ignore_errors=True)
    except OSError as error:
        raise ModelError(f"{str(to)!r} cannot be written: {error.strerror or error}.") from error
    return to


def _files(
    model: ModelVersion, events: Any, onnx: Data | str | None
) -> tuple[dict[str, bytes], dict[str, Any]]:
    content = content_of(model)
    estimator, coded = _without_labels(restore(content, "skops", trust=True, what=model.what.rstrip(",")))
    if coded:
        content = dump(estimator, "skops")
    types = types_in(content)
    files = _vendored(model, types)
    manifest = {**model.manifest, "exported": {"coded": coded}}
    files |= {
        MODEL: content,
        "predict.py": _predict(manifest, content, types, coded),
        "server.py": Path(__file__).with_name("standalone_server.py").read_bytes(),
        "requirements.txt": _requirements(manifest),
        "Dockerfile": _dockerfile(manifest),
        "input_example.json": json.dumps(
            [typical_row(manifest["inputs"])], indent=2, ensure_ascii=False
        ).encode(),
    }
    if onnx is not None:
        from luthier.models.onnx import as_onnx

        files["model.onnx"], manifest["exported"]["onnx"] = as_onnx(model, estimator, onnx)
    files["MODEL_CARD.md"] = (
        yaml_head(manifest) + card(noted(manifest, model.version, events), events)
    ).encode()
    manifest["files"] = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return files, manifest


def _vendored(model: ModelVersion, types: list[str]) -> dict[str, bytes]:
    """The modules of Luthier that the model's own steps are in, where each stands by itself."""
    files: dict[str, bytes] = {}
    for name in types:
        if not name.startswith("luthier."):
            continue
        module = name.rpartition(".")[0].split(".")
        source = Path(__file__).parents[2].joinpath(*module).with_suffix(".py").read_bytes()
        if b"import luthier" in source or b"from luthier" in source:
            raise ModelError(
                f"{model.what} holds {name}, which does not run without Luthier. Predict with `luthier models predict`."
            )
        files["/".join(module) + ".py"] = source
        for depth in range(1, len(module)):
            files["/".join([*module[:depth], "__init__.py"])] = b""
    return files


def _without_labels(estimator: Any) -> tuple[Any, bool]:
    """The estimator without Luthier's wrapper, and whether its predictions are numbers of classes."""
    from luthier.estimators.labels import Labelled

    if isinstance(estimator, Labelled):
        return estimator.classifier_, True
    return estimator, False


def _predict(manifest: Mapping[str, Any], content: bytes, types: list[str], coded: bool) -> bytes:
    source = Path(__file__).with_name("standalone.py").read_text(encoding="utf-8")
    inputs = [
        {key: column[key] for key in ("name", "type", "levels") if key in column}
        for column in manifest["inputs"]
    ]
    about = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "types": types,
        "frame": manifest["container"] == "frame",
        "coded": coded,
        "classes": manifest["output"].get("classes"),
        "inputs": inputs,
    }
    start, _, rest = source.partition("MODEL: dict[str, Any] = {}")
    written = f"MODEL: dict[str, Any] = {pprint.pformat(about, width=110, sort_dicts=False)}"
    return f"{start}{written}\n{rest.partition(chr(10))[2]}".encode()


def _requirements(manifest: Mapping[str, Any]) -> bytes:
    pinned = dict(manifest.get("libraries") or {})
    for name in BROUGHT:
        version = installed(name)
        if version is not None:
            pinned.setdefault(name, version)
    head = f"# Python {manifest.get('python')}\n"
    return (head + "".join(f"{name}=={version}\n" for name, version in sorted(pinned.items()))).encode()


def _dockerfile(manifest: Mapping[str, Any]) -> bytes:
    python = ".".join(str(manifest.get("python", "3.11")).split(".")[:2])
    lines = (
        '# docker build -t model . && docker run --rm -v "$PWD:/data" model /data/in.csv /data/out.csv',
        "# docker run --rm -e TOKEN -p 127.0.0.1:9000:9000 --entrypoint python model server.py 9000 0.0.0.0",
        f"FROM python:{python}-slim",
        "RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*",
        "WORKDIR /model",
        "COPY requirements.txt .",
        "RUN pip install --no-cache-dir -r requirements.txt",
        "COPY . .",
        "USER nobody",
        'ENTRYPOINT ["python", "predict.py"]',
    )
    return ("\n".join(lines) + "\n").encode()


def _zipped(folder: Path, root: str) -> Path:
    """The folder's files in a zip beside them, under one folder."""
    path = folder / ".zip"
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file != path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.write(file, f"{root}/{file.relative_to(folder).as_posix()}")
    with path.open("rb") as written:
        os.fsync(written.fileno())
    return path
