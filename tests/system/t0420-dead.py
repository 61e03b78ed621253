#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A task that kills its runner again and again is dead after the third time; RETRY and PURGE."""

import harness
from fwclient import new_id, refused
from harness import check, equal, until


def is_dead(client, task_id, name="SIGSEGV"):
    result = client.result(task_id)
    equal((result.status, result.data), ("dead", b""))
    check("3 times" in result.error and name in result.error, result.error)
    return True


def dead_ids(client):
    return {t["task_id"] for t in client.info("LIST", '{"status":"dead"}')["tasks"]}


def test_dead(sandbox):
    sandbox.pair()
    client = sandbox.client()
    task_id = client.submit("die", "segv")
    is_dead(client, task_id)
    status = client.status(task_id)
    equal((status["status"], status["attempt"], status["worker"]), ("dead", 3, "sw1"))
    equal(dead_ids(client), {task_id})
    equal(client.call("echo", 1).status, "success", "the others go on")


def test_crashes_are_not_failures(sandbox):
    """A task that fails fails at once, and is not dead."""
    sandbox.pair()
    client = sandbox.client()
    result = client.call("fail-with", "no luck")
    equal(result.status, "failure")
    equal(client.status(result.task_id)["attempt"], 1)
    equal(dead_ids(client), set())


def test_lost_workers_do_not_count(sandbox):
    """That a worker dies is not the fault of its task."""
    controld = sandbox.controld("--reconnect-within=0")
    client, stage = sandbox.client(), sandbox.stage()
    task_id = None
    for i in range(4):
        worker = sandbox.subworker(f"sw{i}")
        controld.wait_line(f"sw{i} registered")
        task_id = task_id or client.submit("hold", stage.directory)
        (_, attempt, _), = stage.wait_started()
        equal(attempt, i + 1)
        worker.kill()
        controld.wait_line(f"sw{i} is gone")
    sandbox.subworker("last")
    stage.wait_started()
    stage.release()
    equal(client.result(task_id).status, "success")


def test_crashes_are_counted_over_a_restart(sandbox):
    """Two crashes before it, and the third one after it."""
    controld, worker = sandbox.pair()
    client, stage = sandbox.client(), sandbox.stage()
    task_id = client.submit("hold-and-die", stage.directory)
    for attempt in (1, 2):
        equal(stage.wait_started()[0][:2], (task_id, attempt))
        stage.release()
    equal(stage.wait_started()[0][:2], (task_id, 3))
    controld.kill()
    second = sandbox.controld(name="second")
    second.wait_line("sw1 registered")
    client = sandbox.client()
    client.watch(task_id)
    stage.release()
    is_dead(client, task_id, "SIGKILL")
    equal(worker.status, None)


def test_retry(sandbox):
    sandbox.pair()
    client, flag = sandbox.client(), sandbox.path("cured")
    task_id = client.submit("die-unless", flag)
    is_dead(client, task_id)
    with open(flag, "w", encoding="ascii"):
        pass
    client.results.clear()
    equal(client.request("RETRY", task_id)[0], "ACK")
    client.watch(task_id)
    result = client.result(task_id)
    equal(result.status, "success")
    status = client.status(task_id)
    equal((status["status"], status["attempt"], status["error"]), ("success", 4, ""))
    equal(dead_ids(client), set())
    error = refused(client.request, "RETRY", task_id)
    equal(error.code, "bad-argument")
    check("success" in error.text, error.text)


def test_retry_has_three_crashes_again(sandbox):
    sandbox.pair()
    client = sandbox.client()
    task_id = client.submit("die", "abort")
    is_dead(client, task_id, "SIGABRT")
    client.results.clear()
    equal(client.request("RETRY", task_id)[0], "ACK")
    client.watch(task_id)
    is_dead(client, task_id, "SIGABRT")
    equal(client.status(task_id)["attempt"], 6)


def test_retry_survives(sandbox):
    """What RETRY has acknowledged is queued after a restart."""
    controld, worker = sandbox.pair()
    client, flag = sandbox.client(), sandbox.path("cured")
    ids = [client.submit("die-unless", flag) for _ in range(3)]
    for task_id in ids:
        is_dead(client, task_id)
    with open(flag, "w", encoding="ascii"):
        pass
    worker.stop()
    equal(client.request("RETRY", *ids)[0], "ACK")
    controld.kill()
    sandbox.controld(name="second")
    client = sandbox.client()
    equal({client.status(i)["status"] for i in ids}, {"queued"})
    client.watch(*ids)
    sandbox.subworker("sw2")
    equal([r.status for r in client.wait_results(ids)], ["success"] * 3)


def test_retry_repeated(sandbox):
    """Asked again, as a client does whose connection broke: it is done, and not twice."""
    _, worker = sandbox.pair()
    client, flag = sandbox.client(), sandbox.path("cured")
    task_id = client.submit("die-unless", flag)
    is_dead(client, task_id)
    with open(flag, "w", encoding="ascii"):
        pass
    client.results.clear()
    worker.stop()
    for _ in range(2):
        equal(client.request("RETRY", task_id)[0], "ACK")
    client.watch(task_id)
    sandbox.subworker("sw2")
    equal(client.result(task_id).status, "success")
    equal(client.status(task_id)["attempt"], 4)


def test_purge(sandbox):
    controld, _ = sandbox.pair()
    client = sandbox.client()
    ids = [client.submit("die", "exit") for _ in range(2)]
    for task_id in ids:
        is_dead(client, task_id, "7")
    equal(client.request("PURGE", ids[0])[0], "ACK")
    equal(dead_ids(client), {ids[1]})
    equal(refused(client.status, ids[0]).code, "unknown-task")
    controld.kill()
    sandbox.controld(name="second")
    client = sandbox.client()
    equal(dead_ids(client), {ids[1]}, "after a restart")
    equal(refused(client.status, ids[0]).code, "unknown-task")


def test_all_or_none(sandbox):
    sandbox.pair()
    client, stage = sandbox.client(), sandbox.stage()
    dead = client.submit("die", "segv")
    is_dead(client, dead)
    done = client.submit("echo", 1)
    client.result(done)
    running = client.submit("hold", stage.directory)
    stage.wait_started()
    for verb, misfit in (("RETRY", done), ("PURGE", running)):
        equal(refused(client.request, verb, dead, misfit).code, "bad-argument")
        equal(refused(client.request, verb, dead, new_id()).code, "unknown-task")
        equal(client.status(dead)["status"], "dead", "nothing was done")
    stage.open_gate()
    equal(client.result(running).status, "success")
    until(lambda: client.info("STATS")["tasks"]["running"] == 0, "the end")


harness.main(globals())
