#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A subworker and its coordinator do not hear each other for longer than a lease lasts: each task runs at one place,
and only the result of the one that holds the lease is taken."""

import os
import signal

import harness
from harness import check, equal, until

SHORT = ("--heartbeat=0.2", "--inactive-after=1")


def two(sandbox):
    controld = sandbox.controld(*SHORT)
    workers = {name: sandbox.subworker(name) for name in ("sw1", "sw2")}
    for name in workers:
        controld.wait_line(f"{name} registered")
    return controld, workers


def test_late_result(sandbox):
    """The subworker hangs; its task comes to an end meanwhile, here and elsewhere. Its result comes too late."""
    controld, workers = two(sandbox)
    client, stage = sandbox.client(), sandbox.stage()
    task_id = client.submit("hold", stage.directory)
    (_, _, pid), = stage.wait_started()
    victim = client.status(task_id)["worker"]
    workers[victim].signal(signal.SIGSTOP)
    controld.wait_line(f"{victim} was silent.*1 task queued again")
    equal(stage.wait_started()[0][1], 2)
    stage.open_gate()  # for both: the runner of the first did not hang
    equal(client.result(task_id).value, 2)
    check(os.path.exists(f"/proc/{pid}"), "the first one is there, and has a result")

    start = len(controld.lines)
    workers[victim].signal(signal.SIGCONT)
    controld.wait_line(f"{victim} registered", start)
    until(lambda: client.workers()["subworkers"][victim]["load"] == 0, "nothing left at the victim")
    status = client.status(task_id)
    equal((status["result"], status["attempt"]), (b"2", 2))
    check(status["worker"] != victim, "it ended at the other one")
    controld.kill()
    sandbox.controld(*SHORT, name="second")
    status = sandbox.client().status(task_id)
    equal((status["result"], status["attempt"]), (b"2", 2))


def test_late_result_before_the_other(sandbox):
    """The late result comes while the second attempt runs: it is not taken either."""
    controld, workers = two(sandbox)
    client, stage = sandbox.client(), sandbox.stage()
    task_id = client.submit("hold", stage.directory)
    (_, _, first_pid), = stage.wait_started()
    victim = client.status(task_id)["worker"]
    workers[victim].signal(signal.SIGSTOP)
    (_, attempt, second_pid), = stage.wait_started()
    equal(attempt, 2)
    start = len(controld.lines)
    workers[victim].signal(signal.SIGCONT)
    controld.wait_line(f"{victim} registered", start)
    until(lambda: not os.path.exists(f"/proc/{first_pid}"), "the end of the first attempt")
    check(os.path.exists(f"/proc/{second_pid}"), "the second one goes on")
    equal(client.pushed, [], "no result yet")
    stage.release()
    equal(client.result(task_id).value, 2)


def test_coordinator_hangs(sandbox):
    """The subworker stops its tasks before the lease ends; they run again when they can."""
    controld, workers = two(sandbox)
    client, stage = sandbox.client(), sandbox.stage()
    ids = client.submit_many([{"name": "hold", "args": [stage.directory]}] * 2)
    pids = [pid for _, _, pid in stage.wait_started(2)]
    controld.signal(signal.SIGSTOP)
    for worker in workers.values():
        worker.wait_line("not heard for too long, stopped 1 task")
    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "the end of the tasks")
    equal(stage.n_waiting(), 0, "nobody else began")
    start = len(controld.lines)
    controld.signal(signal.SIGCONT)
    again = stage.wait_started(2)
    equal({i for i, _, _ in again}, set(ids))
    check(all(attempt >= 2 for _, attempt, _ in again), f"{again}")
    equal(len(controld.lines) >= start, True)
    stage.open_gate()
    for result in client.wait_results(ids):
        equal((result.status, result.value >= 2), ("success", True))


def test_short_absence(sandbox):
    """Shorter than the lease: nothing happens to the tasks."""
    controld = sandbox.controld("--heartbeat=0.2", "--inactive-after=60")
    worker = sandbox.subworker("sw1")
    controld.wait_line("sw1 registered")
    client, stage = sandbox.client(), sandbox.stage()
    task_id = client.submit("hold", stage.directory)
    (_, _, pid), = stage.wait_started()
    for daemon in (worker, controld):
        daemon.signal(signal.SIGSTOP)
        until(lambda d=daemon: stopped(d.pid), "it stands still")
        daemon.signal(signal.SIGCONT)
    client.request("PING")
    stage.release()
    equal(client.result(task_id).value, 1)
    check(os.path.exists(f"/proc/{pid}"), "the runner lives")


def stopped(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        return f.read().rpartition(")")[2].split()[0] == "T"


harness.main(globals())
