#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Cancel: waiting tasks end at once, running ones are stopped, finished ones stay as they are."""

import os

import harness
from harness import check, equal, until


def cancel(client, task_id):
    verb, fields = client.request("CANCEL", task_id)
    equal((verb, fields[0].decode()), ("CANCELLED", task_id))
    return fields[1].decode(), fields[2].decode()


def test_queued(sandbox):
    sandbox.pair()
    client, stage = sandbox.client(), sandbox.stage()
    first = client.submit("hold", stage.directory)
    stage.wait_started()
    ids = [client.submit("record", sandbox.path("file"), i) for i in range(3)]
    equal(cancel(client, ids[1]), ("cancelled", "cancelled"))
    result = client.result(ids[1])
    equal((result.status, result.data, result.started), ("cancelled", b"", 0))
    check(result.error and result.completed > 0, f"{result}")
    equal(cancel(client, ids[1]), ("finished", "cancelled"))
    stage.release()
    client.wait_results([first, ids[0], ids[2]])
    with open(sandbox.path("file"), encoding="ascii") as f:
        equal(f.read().split(), ["0", "2"], "it never ran")
    equal(client.info("STATS")["tasks"]["cancelled"], 1)


def test_running(sandbox):
    sandbox.pair()
    client, stage = sandbox.client(), sandbox.stage()
    task_id = client.submit("hold", stage.directory)
    (_, _, pid), = stage.wait_started()
    until(lambda: client.status(task_id)["status"] == "running", "running")
    equal(cancel(client, task_id), ("stopping", "running"))
    result = client.result(task_id)
    equal((result.status, result.data), ("cancelled", b""))
    until(lambda: not os.path.exists(f"/proc/{pid}"), "the end of its process")
    equal(client.call("echo").status, "success", "the slot is free")
    equal(cancel(client, task_id), ("finished", "cancelled"))


def test_prefetched(sandbox):
    """Those that a subworker has taken ahead end as cancelled, too."""
    sandbox.pair()
    client, stage = sandbox.client(), sandbox.stage()
    client.wait_results(client.submit_many([{"name": "noop"}] * 1000))
    first = client.submit("hold", stage.directory)
    ids = client.submit_many([{"name": "record", "args": [sandbox.path("file"), i]} for i in range(20)])
    stage.wait_started()
    for task_id in ids[::2]:
        check(cancel(client, task_id)[0] in ("cancelled", "stopping"), "cancelled or stopping")
    equal({r.status for r in client.wait_results(ids[::2])}, {"cancelled"})
    stage.release()
    equal({r.status for r in client.wait_results([first, *ids[1::2]])}, {"success"})
    with open(sandbox.path("file"), encoding="ascii") as f:
        equal(f.read().split(), [str(i) for i in range(1, 20, 2)])


def test_finished(sandbox):
    sandbox.pair()
    client = sandbox.client()
    task_id = client.submit("echo", 1)
    client.result(task_id)
    equal(cancel(client, task_id), ("finished", "success"))
    equal(client.status(task_id)["status"], "success")


def test_at_a_dead_worker(sandbox):
    """Told to stop at a subworker that dies before: cancelled, not run again."""
    sandbox.controld("--reconnect-within=0")
    worker = sandbox.subworker("sw1")
    sandbox.daemons[0].wait_line("sw1 registered")
    client, stage = sandbox.client(), sandbox.stage()
    task_id = client.submit("hold", stage.directory)
    stage.wait_started()
    worker.signal(19)
    equal(cancel(client, task_id)[0], "stopping")
    worker.kill()
    equal(client.result(task_id).status, "cancelled")


harness.main(globals())
