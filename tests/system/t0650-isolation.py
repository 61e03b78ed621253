#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A task ends with all that it has started, whatever it does to get away; and harms only itself."""

import os

import harness
from harness import check, equal, until


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
            return f.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def crowd(stage):
    """The numbers of all 50 processes, once they have come up."""
    def read():
        try:
            with open(f"{stage.directory}/pids", encoding="ascii") as f:
                pids = f.read().split()
        except FileNotFoundError:
            return None
        return pids if len(pids) == 50 else None
    return until(read, "50 processes")


def gone(pids, patience=1.0):
    until(lambda: not any(is_alive(pid) for pid in pids), "the end of all processes",
          patience * (10 if harness.sanitized() else 1))


def test_cancel(sandbox):
    sandbox.pair()
    client, stage = sandbox.client(), sandbox.stage()
    task_id = client.submit("crowd", stage.directory, "wait")
    pids = crowd(stage)
    (_, _, runner), = stage.wait_started()
    check(all(is_alive(pid) for pid in pids), "all live")
    client.request("CANCEL", task_id)
    gone(pids + [runner])
    equal(client.result(task_id).status, "cancelled")
    equal(client.call("echo").status, "success", "the slot is free")


def test_crash(sandbox):
    """The runner dies; its processes have nobody who knows them."""
    sandbox.pair()
    client, stage = sandbox.client(), sandbox.stage()
    task_id = client.submit("crowd", stage.directory, "wait")
    pids = crowd(stage)
    (_, _, runner), = stage.wait_started()
    os.kill(runner, 9)
    gone(pids)
    # It is tried again.
    (_, attempt, _), = stage.wait_started()
    equal(attempt, 2)
    client.request("CANCEL", task_id)
    equal(client.result(task_id).status, "cancelled")


def test_left_behind(sandbox):
    """What is left by a task that succeeds ends as well, its runner does not."""
    sandbox.pair()
    client, stage = sandbox.client(), sandbox.stage()
    before = client.call("surroundings").value["pid"]
    equal(client.call("crowd", stage.directory).status, "success")
    gone(crowd(stage), 5)
    equal(client.call("surroundings").value["pid"], before, "the same runner")


def test_timeout(sandbox):
    sandbox.pair()
    client, stage = sandbox.client(), sandbox.stage()
    task_id = client.submit("crowd", stage.directory, "wait", options='{"timeout": 2}')
    pids = crowd(stage)
    result = client.result(task_id)
    equal((result.status, result.error), ("failure", "ran longer than its timeout of 2 s"))
    gone(pids)


harness.main(globals())
