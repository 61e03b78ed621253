#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The Python client in README.md is at most 25 lines of plain pyzmq, and works as it stands there."""

import re
import subprocess
import sys

import harness
from harness import SOURCE, check, equal


def program():
    with open(f"{SOURCE}/README.md", encoding="utf-8") as f:
        blocks = re.findall(r"^```python\n(.*?)^```", f.read(), re.M | re.S)
    blocks = [b for b in blocks if "import zmq" in b]
    equal(len(blocks), 1, "Python blocks with \"import zmq\" in README.md")
    return blocks[0]


def test_text(_sandbox):
    text = program()
    check(len(text.splitlines()) <= 25, f"{len(text.splitlines())} lines")
    check(max(map(len, text.splitlines())) <= 110, "long lines")
    imports = re.findall(r"^\s*(?:import|from)\s+(.*)$", text, re.M)
    for name in re.split(r"[,\s]+", " ".join(imports)):
        check(name in ("zmq", "json", "uuid", "sys", "os", "import", "time"), f"imports {name}")


def test_run(sandbox):
    """Only the port is changed."""
    sandbox.pair(modules="mytasks")
    text = program()
    check("tcp://127.0.0.1:5555" in text, "the documented address")
    text = text.replace("tcp://127.0.0.1:5555", sandbox.client_address)
    result = subprocess.run([sys.executable, "-c", text], env=sandbox.environment, capture_output=True, text=True,
                            timeout=harness.PATIENCE, check=False)
    equal((result.returncode, result.stderr), (0, ""), result.stdout)
    check(re.search(r"\b8\b", result.stdout), f"add(5, 3) gives 8: {result.stdout}")


harness.main(globals())
