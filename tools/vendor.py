"""Fetches third-party scripts, the studio's and those of its tests, at exact versions from npm, and writes down what they are.

    python tools/vendor.py            fetch what PACKAGES says, check it against vendor.json, write it anew

The files are kept in the repository, so nobody needs npm but who changes a version here: name it below, run this, look at
the difference. The hash of a package is npm's own (sha512 of the tarball); `npm pack` refuses what does not fit it.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
STUDIO = {
    "htmx.org@4.0.1": {"dist/htmx.min.js": "htmx.min.js", "LICENSE": "htmx.LICENSE.txt"},
    "echarts@6.1.0": {
        "dist/echarts.min.js": "echarts.min.js",
        "LICENSE": "echarts.LICENSE.txt",
        "NOTICE": "echarts.NOTICE.txt",
    },
}
TESTS = {"axe-core@4.14.1": {"axe.min.js": "axe.min.js", "LICENSE": "axe.LICENSE.txt"}}
PACKAGES = {"src/luthier/studio/static/vendor": STUDIO, "tests/browser/vendor": TESTS}
"""By the folder they are kept in."""


def fetched(package: str, wanted: dict[str, str], folder: Path) -> dict[str, object]:
    """Put the files of a package in place; what to write down about it."""
    with tempfile.TemporaryDirectory() as name:
        told = subprocess.run(
            ["npm", "pack", package, "--json", "--pack-destination", name],
            check=True,
            capture_output=True,
            text=True,
        )
        (about,) = json.loads(told.stdout)
        with tarfile.open(next(Path(name).glob("*.tgz"))) as archive:
            read = {path: archive.extractfile(f"package/{path}") for path in ("package.json", *wanted)}
            texts = {path: file.read() for path, file in read.items() if file is not None}
    files = {}
    for path, short in wanted.items():
        text = texts[path].replace(b"\r\n", b"\n")
        # No source map is shipped, so nothing shall ask for one.
        text = b"\n".join(line for line in text.split(b"\n") if not line.startswith(b"//# sourceMappingURL="))
        (folder / short).write_bytes(text)
        files[short] = {"from": path, "sha256": hashlib.sha256(text).hexdigest(), "bytes": len(text)}
    return {
        "version": about["version"],
        "licence": json.loads(texts["package.json"])["license"],
        "integrity": about["integrity"],
        "files": files,
    }


def renew(folder: Path, packages: dict[str, dict[str, str]]) -> None:
    """Fetch all packages of a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / "vendor.json"
    before = json.loads(lock.read_text()) if lock.exists() else {}
    found = {
        package.rpartition("@")[0]: fetched(package, wanted, folder) for package, wanted in packages.items()
    }
    for name, about in found.items():
        old = before.get(name, about)
        if old["version"] == about["version"] and old["integrity"] != about["integrity"]:
            raise SystemExit(
                f"vendor: {name} {about['version']} is not what it was: {old['integrity']} in vendor.json"
            )
        print(f"{name} {about['version']}, {about['licence']}")
    lock.write_text(json.dumps(found, indent=2) + "\n")


def main() -> None:
    for folder, packages in PACKAGES.items():
        renew(ROOT / folder, packages)


if __name__ == "__main__":
    main()
