#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What a task can do and learn from inside, the same for a shell command, a Python function and a C function: the trace
context, progress, being told to stop, asking for another attempt or for none; and what is told of one that crashed."""

import json
import re

import harness
from harness import check, equal, until
from workbench import Workbench

NAMES = ("work.sh", "work.py", "work.c")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

SHELL = '''
    case $1 in
    trace) [ -z "$TRACEPARENT" ] || echo "\\"$TRACEPARENT\\"" ;;
    complain) seq 1000 | sed 's/^/line /' >&2; echo "the last straw" >&2; kill -ABRT $$ ;;
    forbid) echo no-retry >&"$FASTWORKER_REPORT_FD"; echo hopeless >&2; exit 1 ;;
    fail) echo "no luck" >&2; exit 1 ;;
    progress | hold)
        [ "$1" = hold ] || echo "progress 42.5 page 17 of 40" >&3
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
    import sys
    import time

    from fastworker import DoNotRetry, SoftTimeout, current_task, progress, task


    @task(name="work.py")
    def work(what, started):
        me = current_task()
        if what == "trace":
            return me.traceparent
        if what == "complain":
            for n in range(1000):
                print(f"line {n}", file=sys.stderr)
            print("the last straw", file=sys.stderr)
            os.kill(os.getpid(), signal.SIGABRT)
        if what == "forbid":
            raise DoNotRetry("hopeless")
        if what == "fail":
            raise ValueError("no luck")
        if what == "progress":
            progress(42.5, "page 17 of 40")
        try:
            with open(started, "w") as f:
                f.write(f"{me.id} {me.attempt} {os.getpid()}")
                f.write(os.linesep)
            time.sleep(1000)
        except SoftTimeout:
            return "told"
    '''


class Bench(Workbench):
    def __init__(self, sandbox, lines="", decorator=""):
        super().__init__(sandbox, SHELL, PYTHON, lines, decorator)

    def result(self, name, what, **options):
        return self.client.result(self.submit(name, what, **options))


def test_traceparent(sandbox):
    bench = Bench(sandbox)
    for name in NAMES:
        equal(bench.result(name, "trace", traceparent=TRACE).value, TRACE, name)
        equal(bench.result(name, "trace").value, None, name)
        # What is none could do harm in the environment of a command.
        equal(bench.result(name, "trace", traceparent="00-x y").value, None, name)
    said = sandbox.cli("submit", f"--address={sandbox.client_address}", "--task-name", "work.c", "--args", "trace", "-",
                       f"--traceparent={TRACE}")
    equal(json.loads(said.stdout), TRACE, said.stderr)


def test_progress(sandbox):
    bench = Bench(sandbox)
    address = f"--address={sandbox.client_address}"
    for name in NAMES:
        task_id = bench.submit(name, "progress")
        bench.stage.wait_started()
        until(lambda: bench.client.status(task_id).get("progress") == {"percent": 42.5, "text": "page 17 of 40"},
              f"progress of {name}")
        shown = sandbox.cli("status", address, "--task-id", task_id).stdout
        check("Progress: 42.5 %, page 17 of 40\n" in shown, shown)
        waited = sandbox.cli("wait", address, "--progress", "--timeout=1500ms", "--task-id", task_id)
        check(re.match(r"42\.5 %  page 17 of 40\n", waited.stderr), waited.stderr)
        bench.client.request("CANCEL", task_id)
        equal(bench.client.result(task_id).status, "cancelled", name)


def told(bench, name, options):
    # On a busy machine it may be told before it has got ready for that.
    for seconds in (0.5, 3, 20):
        result = bench.result(name, "hold", **options(seconds))
        bench.stage.wait_started(bench.stage.n_waiting())
        if result.status == "success":
            break
    equal((result.status, result.value), ("success", "told"), f"{name}: {result.error}")


def test_soft_timeout_of_a_submit(sandbox):
    bench = Bench(sandbox)
    for name in NAMES:
        told(bench, name, lambda seconds: {"soft_timeout": seconds, "timeout": 1000})


def test_timeouts_of_the_type(sandbox):
    """Those of a submit go before them."""
    bench = Bench(sandbox, "SoftTimeout=500ms\nTimeout=1s\n", ", soft_timeout=0.5, timeout=1")
    for name in NAMES[:2]:
        result = bench.result(name, "hold", soft_timeout=900)
        check("ran longer than" in result.error, f"{name}: {result.error}")
        bench.stage.wait_started(bench.stage.n_waiting())
        told(bench, name, lambda seconds: {"timeout": 1000} if seconds < 1 else {"soft_timeout": seconds, "timeout": 1000})
    shell, = [t for t in bench.client.info("TYPES")["types"] if t["name"] == "work.sh"]
    check(shell["workers"] == ["sw1"], shell)


def test_command_line_timeouts(sandbox):
    bench = Bench(sandbox)
    begin = [f"--address={sandbox.client_address}", "--task-name", "work.c", "--args", "hold",
             f"{bench.stage.directory}/started"]
    r = sandbox.cli("submit", *begin, "--soft-timeout=100ms", "--task-timeout=1000")
    equal((r.returncode, r.stdout), (0, '"told"\n'), r.stderr)
    r = sandbox.cli("submit", *begin, "--task-timeout=100ms")
    equal(r.returncode, 1)
    check("ran longer than its timeout of 0.1 s" in r.stderr, r.stderr)


def test_no_retry(sandbox):
    bench = Bench(sandbox)
    for name in NAMES:
        for what, attempts, text in (("forbid", 1, "hopeless"), ("fail", 3, "no luck")):
            task_id = bench.submit(name, what, max_retries=2, retry_delay=0)
            result = bench.client.result(task_id)
            equal(result.status, "failure", name)
            check(text in result.error, result.error)
            equal(bench.client.status(task_id)["attempt"], attempts, f"{name} {what}")


def test_last_words(sandbox):
    """The last lines of standard error are in the error, at most 2 KiB of them; and all of them are in the log."""
    bench = Bench(sandbox)
    for name in NAMES:
        error = bench.result(name, "complain").error
        check("killed by signal SIGABRT (aborted): line " in error and error.endswith("\nthe last straw"), f"{name}: {error}")
        check(len(error) < 2300 and len(error.splitlines()) > 100, f"{name}: {error}")


if __name__ == "__main__":
    harness.main(globals())
