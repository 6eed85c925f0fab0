"""The JavaScript of mobile/web in Node, on the golden files."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "mobile" / "web"
NODE = shutil.which("node")


@pytest.mark.skipif(NODE is None, reason="Node is missing, see tools/ensure_node.sh")
def test_every_step_gives_what_the_package_gives():
    files = sorted(str(f) for f in (WEB / "test").glob("*.test.mjs"))
    done = subprocess.run(
        [NODE, "--test", "--test-reporter=tap", *files], cwd=WEB, capture_output=True, text=True, timeout=600
    )
    failed = re.findall(r"^not ok \d+ - (.*)$", done.stdout, re.MULTILINE)
    assert not failed, done.stdout[-5000:]
    assert done.returncode == 0, done.stdout + done.stderr
    passed = int(re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE).group(1))
    assert passed >= 22
