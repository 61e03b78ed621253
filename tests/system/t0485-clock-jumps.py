#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The wall clock is set while work is under way. Leases, heartbeats, idle and drain times and the age of results go
by a clock that nobody can set: no jump loses a task, runs one twice, or ends anything early or never. Only what is
shown to people follows the jump, and over a restart the age of results, as there is no other clock then."""

import ctypes
import datetime
import mmap
import os
import signal
import subprocess
import time

import harness
from fwclient import Refused
from harness import BUILD, check, equal, until

DAY = 86400
JUMPS = (DAY, -DAY, 30, -30, 0)
# A jump of 30 s is longer than a lease; and no machine is so busy that a heartbeat takes that long.
LEASE = ("--heartbeat=0.1", "--inactive-after=20")


class Clock:
    """The wall clock of the daemons that are started with its environment."""

    def __init__(self, sandbox, name="clock"):
        path = sandbox.path(name)
        with open(path, "wb") as f:
            f.write(bytes(mmap.PAGESIZE))
        with open(path, "r+b") as f:
            self._nsec = ctypes.c_int64.from_buffer(mmap.mmap(f.fileno(), mmap.PAGESIZE))
        options = sandbox.environment.get("ASAN_OPTIONS", "")
        self.environment = {"LD_PRELOAD": f"{BUILD}/tests/modules/.libs/shift-clock.so", "SHIFT_CLOCK_FILE": path}
        if harness.sanitized():
            self.environment["ASAN_OPTIONS"] = f"{options}:verify_asan_link_order=0".lstrip(":")

    def set(self, seconds):
        """So many seconds off the real time; and it is checked that a program sees that."""
        self._nsec.value = seconds * 1_000_000_000
        date = subprocess.run(["date", "+%s"], env=dict(os.environ, **self.environment), stdout=subprocess.PIPE,
                              check=True, timeout=harness.PATIENCE)
        check(abs(int(date.stdout) - time.time() - seconds) < 15, f"the clock is not {seconds} s off: {date.stdout}")


def off_by(text):
    """By how much a moment differs from now."""
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (moment - datetime.datetime.now(datetime.timezone.utc)).total_seconds()


def near(text, seconds):
    check(abs(off_by(text) - seconds) < 15, f"{text} is not {seconds} s off")


def wait_heartbeats(client, name, n):
    """Waits until n heartbeats came from a subworker, and the coordinator has looked after time twice."""
    seen = set()

    def enough():
        seen.add(client.workers()["subworkers"][name]["last_seen"])
        return len(seen) > n
    until(enough, f"{n} heartbeats of {name}")


def load_over_jumps(sandbox, clock, at_controld, at_worker):
    environment = [clock.environment if at else None for at in (at_controld, at_worker)]
    controld = sandbox.controld(*LEASE, environment=environment[0])
    worker = sandbox.subworker("sw1", "--concurrency=2", environment=environment[1])
    controld.wait_line("sw1 registered")
    client, stage, record = sandbox.client(), sandbox.stage(), sandbox.path("record")
    held = client.submit("hold", stage.directory)
    (_, _, pid), = stage.wait_started()
    ids = []
    for jump in JUMPS:
        before = client.submit_many([{"name": "record", "args": [record, f"{jump} {i}"]} for i in range(100)])
        clock.set(jump)
        after = client.submit_many([{"name": "record", "args": [record, f"{jump} {100 + i}"]} for i in range(100)])
        wait_heartbeats(client, "sw1", 25)
        if at_controld:
            near(client.status(after[-1])["created_at"], jump)
        ids += before + after
    check(os.path.exists(f"/proc/{pid}"), "the task that ran all the time runs on")
    stage.release()
    equal([r.status for r in client.wait_results([held, *ids])], ["success"] * (1 + len(ids)))
    with open(record, encoding="ascii") as f:
        lines = f.read().splitlines()
    equal((len(lines), len(set(lines))), (len(ids), len(ids)), "each ran once")
    equal(client.status(held)["attempt"], 1)  # of the others, some may have been handed back before they ran
    for task_id in [held, *ids]:
        status = client.status(task_id)
        check(status["created_at"] <= status["started_at"] <= status["completed_at"], f"{status}")
    equal(controld.count_lines("silent|is gone|left"), 0)
    equal(controld.count_lines("registered"), 1)
    equal(worker.count_lines("Lost the control plane|not heard"), 0)


def test_coordinator(sandbox):
    load_over_jumps(sandbox, Clock(sandbox), True, False)


def test_subworker(sandbox):
    load_over_jumps(sandbox, Clock(sandbox), False, True)


def test_whole_machine(sandbox):
    load_over_jumps(sandbox, Clock(sandbox), True, True)


def test_silence_is_noticed(sandbox):
    """Time goes on after the clock was set back: a subworker that hangs loses its lease as ever."""
    clock = Clock(sandbox)
    controld = sandbox.controld("--heartbeat=0.2", "--inactive-after=1", environment=clock.environment)
    worker = sandbox.subworker("sw1", environment=clock.environment)
    controld.wait_line("sw1 registered")
    client, stage = sandbox.client(), sandbox.stage()
    task_id = client.submit("hold", stage.directory)
    stage.wait_started()
    clock.set(-DAY)
    worker.signal(signal.SIGSTOP)
    controld.wait_line("sw1 was silent.*1 task queued again")
    worker.signal(signal.SIGCONT)
    (again, attempt, _), = stage.wait_started()
    equal((again, attempt), (task_id, 2))
    stage.open_gate()
    equal(client.result(task_id).value, 2)


def test_drain(sandbox):
    """A clock that is set does not make a subworker that leaves less patient, or more."""
    for jump, limit, status in ((DAY, 300, "success"), (-DAY, 1, "queued")):
        clock = Clock(sandbox, f"clock{jump}")
        controld = sandbox.controld(*LEASE, name=f"controld{jump}")
        worker = sandbox.subworker("sw1", f"--drain-timeout={limit}", environment=clock.environment)
        controld.wait_line("sw1 registered")
        client, stage = sandbox.client(), sandbox.stage(f"stage{jump}")
        task_id = client.submit("hold", stage.directory)
        (_, _, pid), = stage.wait_started()
        worker.signal(signal.SIGTERM)
        controld.wait_line("sw1 drains")
        clock.set(jump)
        if status == "success":
            wait_heartbeats(client, "sw1", 15)
            check(os.path.exists(f"/proc/{pid}"), "the task may go on")
            stage.release()
            equal(client.result(task_id).value, 1)
        equal(worker.wait_end(), 0)
        equal(client.status(task_id)["status"], status)
        if status == "queued":
            client.request("CANCEL", task_id)
        controld.stop()


def test_results(sandbox):
    """The age of a result is no matter of the wall clock while the coordinator runs; over a restart it is."""
    clock = Clock(sandbox)
    argv = (*LEASE, "--result-cache-ttl=300")
    controld = sandbox.controld(*argv, environment=clock.environment)
    sandbox.subworker("sw1")
    controld.wait_line("sw1 registered")
    client = sandbox.client()
    first = client.submit("echo", 1)
    equal(client.result(first).status, "success")
    for jump in JUMPS:
        clock.set(jump)
        wait_heartbeats(client, "sw1", 15)
        equal(client.status(first)["status"], "success", f"{jump}")
    clock.set(DAY)
    second = client.submit("echo", 2)
    equal(client.result(second).status, "success")

    # Back: the second one ended in the future, which counts as just now. Forward: the first one is a day old.
    for jump, number in ((0, 2), (DAY, 1)):
        controld.stop()
        clock.set(jump)
        controld = sandbox.controld(*argv, environment=clock.environment, name=f"restarted{jump}")
        controld.wait_line("sw1 registered")
        client = sandbox.client()
        equal(client.status(second)["status"], "success")
        if number == 2:
            equal(client.status(first)["status"], "success")
            continue
        try:
            client.status(first)
            check(False, "the first one is still there")
        except Refused as e:
            equal(e.code, "unknown-task", f"{e}")


def test_results_expire(sandbox):
    """Results get old also if the clock was set back."""
    clock = Clock(sandbox)
    controld = sandbox.controld(*LEASE, "--result-cache-ttl=1", environment=clock.environment)
    sandbox.subworker("sw1")
    controld.wait_line("sw1 registered")
    client = sandbox.client()
    task_id = client.submit("echo", 1)
    equal(client.result(task_id).status, "success")
    clock.set(-DAY)

    def is_unknown():
        verb, fields = client.request("STATUS", task_id)
        return verb != "TASK" or b'"unknown"' in fields[0]
    try:
        until(is_unknown, "the result to expire")
    except Refused as e:
        equal(e.code, "unknown-task", f"{e}")


if __name__ == "__main__":
    harness.main(globals())
