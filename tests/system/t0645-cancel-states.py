#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Cancel in each state that a task can have: what is answered is true, and what STATUS, LIST and the counters say after it
agrees; an attempt that had failed stays told."""

import json

import harness
from fwclient import refused
from harness import check, equal, until


def cancel(client, task_id):
    verb, fields = client.request("CANCEL", task_id)
    equal((verb, fields[0].decode()), ("CANCELLED", task_id))
    return fields[1].decode(), fields[2].decode()


def submit(client, name, *args, **options):
    return client.submit(name, *args, options=json.dumps(options) if options else "")


def state_is(client, task_id, state):
    until(lambda: client.status(task_id)["status"] == state, f"state {state}")


def ends_cancelled(client, task_id, text):
    """Told to who waits, to who asks, and once only."""
    result = client.result(task_id)
    equal((result.status, result.error, result.data), ("cancelled", text, b""))
    status = client.status(task_id)
    equal((status["status"], status["error"]), ("cancelled", text))
    check(status["completed_at"], f"{status}")
    equal(cancel(client, task_id), ("finished", "cancelled"), "again")


def busy(sandbox, client):
    """Its only slot is taken, and so is all that the subworker takes ahead."""
    stage = sandbox.stage()
    first = client.submit("hold", stage.directory)
    stage.wait_started()
    until(lambda: client.status(first)["status"] == "running", "it runs")
    capacity = next(w["capacity"] for w in client.workers()["subworkers"].values())
    return stage, first, [client.submit("echo", i) for i in range(capacity)]


def test_scheduled(sandbox):
    sandbox.pair()
    client = sandbox.client()
    task_id = submit(client, "echo", countdown=3600)
    state_is(client, task_id, "scheduled")
    equal(cancel(client, task_id), ("cancelled", "cancelled"))
    ends_cancelled(client, task_id, "cancelled before it began")
    equal(client.info("STATS")["tasks"]["scheduled"], 0)


def test_waiting_for_tasks(sandbox):
    """What depends on it ends with it; what it depends on does not."""
    sandbox.pair()
    client = sandbox.client()
    first = submit(client, "echo", countdown=3600)
    second = submit(client, "echo", depends_on=[first])
    third = submit(client, "echo", depends_on=[second])
    state_is(client, third, "scheduled")
    equal(cancel(client, second), ("cancelled", "cancelled"))
    ends_cancelled(client, second, "cancelled before it began")
    ends_cancelled(client, third, f"task {second}, on which this one depends, ended with cancelled")
    equal(client.status(first)["status"], "scheduled")


def test_queued_and_assigned(sandbox):
    sandbox.pair()
    client = sandbox.client()
    stage, first, ahead = busy(sandbox, client)
    queued = client.submit("record", sandbox.path("file"), "queued")
    equal(client.status(queued)["status"], "queued")
    equal(cancel(client, queued), ("cancelled", "cancelled"))
    ends_cancelled(client, queued, "cancelled before it began")
    for task_id in ahead:
        state = client.status(task_id)["status"]
        answer = cancel(client, task_id)
        check(answer == ("stopping", "assigned") if state == "assigned" else answer == ("cancelled", "cancelled"),
              f"{state}: {answer}")
        equal(client.result(task_id).status, "cancelled")
        equal(cancel(client, task_id), ("finished", "cancelled"))
    stage.release()
    equal(client.result(first).status, "success")
    equal(client.call("echo").status, "success", "the slot is free, and the lease as well")


def test_running(sandbox):
    sandbox.pair()
    client, stage = sandbox.client(), sandbox.stage()
    task_id = submit(client, "hold", stage.directory, max_retries=5, retry_delay=0)
    stage.wait_started()
    state_is(client, task_id, "running")
    equal(cancel(client, task_id), ("stopping", "running"))
    equal(client.result(task_id).status, "cancelled")
    equal(client.status(task_id)["attempt"], 1, "it is not tried again")
    equal(cancel(client, task_id), ("finished", "cancelled"))


def test_retrying(sandbox):
    """How the attempt went that failed is still told, also after a restart."""
    controld, _ = sandbox.pair()
    client = sandbox.client()
    task_id = submit(client, "fail-with", "no luck", max_retries=5, retry_delay=3600)
    state_is(client, task_id, "retrying")
    equal(cancel(client, task_id), ("cancelled", "cancelled"))
    ends_cancelled(client, task_id, "cancelled before its next attempt")
    equal([(a["attempt"], a["outcome"], a["error"]) for a in client.status(task_id)["history"]],
          [(1, "failure", "no luck")])
    controld.kill()
    sandbox.controld(name="second")
    client = sandbox.client()
    status = client.status(task_id)
    equal((status["status"], status["history"][0]["error"]), ("cancelled", "no luck"))
    equal(cancel(client, task_id), ("finished", "cancelled"))


def test_ended(sandbox):
    sandbox.pair()
    client = sandbox.client()
    for task_id, state in ((client.submit("echo", 1), "success"), (client.submit("fail-with", "x"), "failure"),
                           (client.submit("die", "segv"), "dead"), (submit(client, "echo", expires="2020-01-01T00:00:00Z"), "expired")):
        equal(client.result(task_id).status, state)
        before = client.status(task_id)
        equal(cancel(client, task_id), ("finished", state))
        equal(client.status(task_id), before, "nothing has changed")


def test_unknown(sandbox):
    sandbox.controld()
    client = sandbox.client()
    refusal = refused(client.request, "CANCEL", "01938f2a-7c3b-7c11-9d2e-5b1f00aa93c4")
    check(refusal.code == "unknown-task", f"{refusal}")


harness.main(globals())
