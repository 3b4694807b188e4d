"""The scripts of others are the ones that were looked at."""

import hashlib
import json
from pathlib import Path

import pytest

import luthier

STUDIO = Path(luthier.__file__).parent / "studio/static/vendor"
TESTS = Path(__file__).parents[1] / "browser/vendor"
FREE = {"Apache-2.0", "MIT", "BSD-0-Clause", "0BSD", "BSD-3-Clause"}
"""Licences of what goes into the wheel."""


@pytest.mark.parametrize("folder", [STUDIO, TESTS], ids=["studio", "tests"])
def test_every_file_has_the_hash_that_is_written_down_and_nothing_else_is_there(folder: Path) -> None:
    about = json.loads((folder / "vendor.json").read_text())
    files = {name: said for package in about.values() for name, said in package["files"].items()}
    assert {path.name for path in folder.iterdir()} == {*files, "vendor.json"}
    for name, said in files.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == said["sha256"], name


@pytest.mark.parametrize(("folder", "free"), [(STUDIO, FREE), (TESTS, {"MPL-2.0"})], ids=["studio", "tests"])
def test_every_package_has_a_version_and_a_licence_beside_it(folder: Path, free: set[str]) -> None:
    for name, package in json.loads((folder / "vendor.json").read_text()).items():
        assert package["version"], name
        assert package["integrity"].startswith("sha512-"), name
        assert package["licence"] in free
        assert any("LICENSE" in file for file in package["files"])
