"""What docs/extending.md shows passes the contracts, as written."""

import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).parents[1] / "docs/extending.md").read_text(encoding="utf-8")


def test_the_parts_of_the_page_pass_their_contracts(tmp_path: Path) -> None:
    for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        name = re.match(r"# (\w+\.py)", code)
        assert name is not None
        (tmp_path / name[1]).write_text(code)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert len(list(tmp_path.glob("test_*.py"))) == 3
