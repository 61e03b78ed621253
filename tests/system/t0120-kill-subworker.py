#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A subworker that dies or hangs in the middle of a task: the task runs elsewhere, and one result comes."""

import os
import signal

import harness
from harness import check, equal, until


def two(sandbox, *flags):
    controld = sandbox.controld("--reconnect-within=0", *flags)
    workers = {name: sandbox.subworker(name) for name in ("sw1", "sw2")}
    for name in workers:
        controld.wait_line(f"{name} registered")
    return controld, workers


def other(name):
    return {"sw1": "sw2", "sw2": "sw1"}[name]


def test_killed(sandbox):
    controld, workers = two(sandbox)
    client, stage = sandbox.client(), sandbox.stage()
    task_id = client.submit("hold", stage.directory)
    (started_id, attempt, runner_pid), = stage.wait_started()
    equal((started_id, attempt), (task_id, 1))
    victim = client.status(task_id)["worker"]

    workers[victim].kill()
    (started_id, attempt, second_pid), = stage.wait_started()
    equal((started_id, attempt), (task_id, 2))
    until(lambda: not os.path.exists(f"/proc/{runner_pid}"), "the end of the orphaned runner")
    controld.wait_line(f"{victim} is gone.*1 task queued again")
    equal(client.status(task_id)["worker"], other(victim))
    check(os.path.exists(f"/proc/{second_pid}"), "the second attempt runs")
    stage.release()

    result = client.result(task_id)
    equal((result.status, result.value), ("success", 2))
    status = client.status(task_id)
    equal((status["worker"], status["attempt"]), (other(victim), 2))
    workers_now = client.workers()
    equal(workers_now["active_subworkers"], 1)
    equal(workers_now["subworkers"][victim]["status"], "inactive")


def test_killed_with_many(sandbox):
    """Everything that the dead one held, run or not, ends exactly once."""
    _, workers = two(sandbox)
    client, stage = sandbox.client(), sandbox.stage()
    held = client.submit_many([{"name": "hold", "args": [stage.directory]}] * 2)
    started = stage.wait_started(2)
    ids = client.submit_many([{"name": "echo", "args": [i]} for i in range(500)])
    victim = client.status(started[0][0])["worker"]
    workers[victim].kill()
    stage.open_gate()
    for i, result in enumerate(client.wait_results(ids)):
        equal((result.status, result.value["args"]), ("success", [i]))
    equal([r.status for r in client.wait_results(held)], ["success"] * 2)


def test_hung(sandbox):
    """SIGSTOP: the connection stays, the heartbeats end. Its result comes too late and is not taken."""
    controld, workers = two(sandbox, "--heartbeat=0.2", "--inactive-after=1")
    client, stage = sandbox.client(), sandbox.stage()
    task_id = client.submit("hold", stage.directory)
    stage.wait_started()
    victim = client.status(task_id)["worker"]

    workers[victim].signal(signal.SIGSTOP)
    (_, attempt, _), = stage.wait_started()
    equal(attempt, 2)
    controld.wait_line(f"{victim} was silent.*1 task queued again")
    equal(client.workers()["subworkers"][victim]["status"], "inactive")
    stage.open_gate()
    result = client.result(task_id)
    equal((result.status, result.value), ("success", 2))

    start = len(controld.lines)
    workers[victim].signal(signal.SIGCONT)
    controld.wait_line(f"{victim} registered", start)
    equal(client.status(task_id)["worker"], other(victim))
    equal(client.status(task_id)["result"], b"2")
    until(lambda: client.workers()["subworkers"][victim]["load"] == 0, "nothing left at the victim")
    # It is in service again.
    workers[other(victim)].stop()
    equal(client.call("echo", 1).status, "success")


def test_last_one_killed(sandbox):
    """Nobody else is there: the task waits, says for what, and runs when somebody comes."""
    controld = sandbox.controld("--reconnect-within=0")
    worker = sandbox.subworker("sw1")
    controld.wait_line("sw1 registered")
    client, stage = sandbox.client(), sandbox.stage()
    task_id = client.submit("hold", stage.directory)
    stage.wait_started()
    worker.kill()
    status = until(lambda: (s := client.status(task_id)) and s["status"] == "queued" and s, "queued again")
    check("hold" in status["waits_for"], f"waits_for: {status}")
    sandbox.subworker("sw2")
    stage.wait_started()
    stage.release()
    equal(client.result(task_id).value, 2)


harness.main(globals())
