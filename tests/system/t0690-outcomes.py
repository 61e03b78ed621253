#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What becomes of a shell command, a Python function and a C function that are submitted, retried, told to stop,
cancelled, timed out and killed: each with real daemons, and the table in README.md says what was measured here.

With --update writes that table."""

import os
import sys

import harness
from harness import SOURCE, check, equal
from workbench import Workbench

KINDS = (("work.sh", "shell command"), ("work.py", "Python function"), ("work.c", "C function"))
BEGIN, END = "<!-- outcomes: begin -->\n", "<!-- outcomes: end -->\n"
UPDATE = "--update" in sys.argv

SHELL = '''
    case $1 in
    answer) echo 42 ;;
    retry) [ "$FASTWORKER_ATTEMPT" -gt 1 ] || exit 75; echo "$FASTWORKER_ATTEMPT" ;;
    die) kill -KILL $$ ;;
    hold)
        trap 'echo \\"told\\"; exit 0' TERM
        echo "$FASTWORKER_TASK_ID $FASTWORKER_ATTEMPT $$" >"$2"
        sleep 1000 &
        wait
        ;;
    esac
    '''

PYTHON = '''
    import os
    import signal
    import time

    from fastworker import Retry, SoftTimeout, current_task, task


    @task(name="work.py")
    def work(what, started):
        me = current_task()
        if what == "answer":
            return 42
        if what == "retry":
            if me.attempt == 1:
                raise Retry("not yet", after=0)
            return me.attempt
        if what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            with open(started, "w") as f:
                f.write(f"{me.id} {me.attempt} {os.getpid()}")
                f.write(os.linesep)
            time.sleep(1000)
        except SoftTimeout:
            return "told"
    '''


class Bench(Workbench):
    def __init__(self, sandbox):
        super().__init__(sandbox, SHELL, PYTHON)

    def end(self, task_id):
        """(status, how `fastworker wait` exits, and prints)"""
        r = self.sandbox.cli("wait", f"--address={self.sandbox.client_address}", "--timeout=60", "--task-id", task_id)
        info = self.client.status(task_id)
        text = r.stdout.rstrip("\n") or info["error"].splitlines()[0]
        return info["status"], r.returncode, text, info

    def cell(self, task_id):
        status, code, text, info = self.end(task_id)
        attempts = f", attempt {info['attempt']}" if info["attempt"] > 1 else ""
        return f"{status}{attempts}, exit {code}: `{text}`"

    # What is done to a task of that name; the cell.

    def submitted(self, name):
        return self.cell(self.submit(name, "answer"))

    def retried(self, name):
        task_id = self.submit(name, "retry", max_retries=1, retry_delay=0)
        cell = self.cell(task_id)
        history = [attempt["outcome"] for attempt in self.client.status(task_id)["history"]]
        equal(history.count("failure"), 1, f"{name}: {history}")
        return cell

    def told_to_stop(self, name):
        # On a busy machine it may be told before it has got ready for that.
        for seconds in (0.5, 3, 20):
            cell = self.cell(self.submit(name, "hold", soft_timeout=seconds))
            if "told" in cell:
                break
        self.stage.wait_started(self.stage.n_waiting())
        return cell

    def cancelled(self, name):
        task_id = self.submit(name, "hold")
        (running, _, _), = self.stage.wait_started()
        equal(running, task_id)
        equal(self.sandbox.cli("cancel", f"--address={self.sandbox.client_address}", "--task-id", task_id).returncode, 0)
        return self.cell(task_id)

    def timed_out(self, name):
        cell = self.cell(self.submit(name, "hold", timeout=0.5))
        self.stage.wait_started(self.stage.n_waiting())
        return cell

    def killed(self, name):
        return self.cell(self.submit(name, "die"))


ROWS = (("submitted", Bench.submitted), ("retried as it asks", Bench.retried),
        ("told to stop (`soft_timeout`)", Bench.told_to_stop), ("cancelled while it runs", Bench.cancelled),
        ("timed out (`timeout`: 0.5 s)", Bench.timed_out), ("killed by a signal", Bench.killed))


def measure(sandbox):
    bench = Bench(sandbox)
    lines = ["|".join(["", " task ", *(f" {title} " for _, title in KINDS), ""]), "|---" * (len(KINDS) + 1) + "|"]
    for title, function in ROWS:
        lines.append("|".join(["", f" {title} ", *(f" {function(bench, name)} " for name, _ in KINDS), ""]))
    return "\n".join(lines) + "\n"


def test_outcomes(sandbox):
    table = measure(sandbox)
    path = f"{SOURCE}/README.md"
    with open(path, encoding="utf-8") as f:
        text = f.read()
    check(text.count(BEGIN) == 1 and text.count(END) == 1, f"{path} has no place for the table")
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    if UPDATE:
        with open(path, "w", encoding="utf-8") as f:
            f.write(text[:begin] + table + text[end:])
        return
    told = text[begin:end]
    for ours, theirs in zip(table.splitlines(), told.splitlines()):
        equal(ours, theirs, "the table in README.md; --update writes it")
    equal(table, told, "the table in README.md; --update writes it")


if __name__ == "__main__":
    if UPDATE:
        sys.argv.remove("--update")
    harness.main(globals())
