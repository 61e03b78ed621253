# SPDX-License-Identifier: MIT
"""A coordinator and a subworker that offers the same task as a shell command (work.sh), in Python (work.py) and in C (work.c,
tests/modules/outcomes.c). What a test asks of the first two is in texts of its own."""

import json
import textwrap

import harness


class Workbench:
    def __init__(self, sandbox, shell, python, lines="", decorator=""):
        """`lines` are further ones of the task file, `decorator` further arguments of @task."""
        self.sandbox = sandbox
        self.write("work-sh", shell)
        self.write("work.sh.task", f"[Task]\nExec=/bin/sh {sandbox.path('work-sh')}\nInput=args\nRetryDelay=0\n{lines}")
        self.write("work_py.py", python.replace('name="work.py"', f'name="work.py"{decorator}'))
        controld = sandbox.controld()
        self.worker = sandbox.subworker(
            "sw1", f"--module-path={sandbox.directory}:{harness.MODULE_PATH}", modules="work.sh.task,work_py,outcomes",
            environment={"PYTHONDONTWRITEBYTECODE": "1"})
        controld.wait_line("sw1 registered")
        self.client = sandbox.client()
        self.stage = sandbox.stage()

    def write(self, name, text):
        with open(self.sandbox.path(name), "w", encoding="utf-8") as f:
            f.write(textwrap.dedent(text).lstrip("\n"))

    def submit(self, name, what, **options):
        """The task tells the stage when it holds."""
        return self.client.submit(name, what, f"{self.stage.directory}/started",
                                  options=json.dumps(options) if options else "")
