#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The coordinator is restarted: subworkers and clients come back by themselves."""

import harness
from harness import equal, until


def test_terminated(sandbox):
    controld, worker = sandbox.pair()
    client = sandbox.client()
    equal(client.call("echo", 1).status, "success")
    controld.stop()
    second = sandbox.controld(name="second")
    second.wait_line("sw1 registered")
    equal(client.call("echo", 2).value["args"], [2])
    equal(worker.status, None)


def test_killed_with_work(sandbox):
    """A subworker that holds tasks of a coordinator that knows them no more drops them, and takes new ones."""
    controld, _ = sandbox.pair("--durability=none")
    client, stage = sandbox.client(), sandbox.stage()
    old = client.submit("hold", stage.directory)
    stage.wait_started()
    controld.kill()
    second = sandbox.controld("--durability=none", name="second")
    second.wait_line("sw1 registered")
    client.watch(old)
    equal(client.result(old).status, "unknown")
    equal(client.call("echo", 2, ).value["args"], [2], "the slot was freed")
    until(lambda: client.workers()["subworkers"]["sw1"]["load"] == 0, "nothing is held")


def test_resubmission(sandbox):
    """A client that sends again under its key gets one task, whichever answer was lost."""
    controld, _ = sandbox.pair()
    client = sandbox.client()
    key = "order 66"
    client.submit("echo", 1, key=key)
    controld.kill()
    second = sandbox.controld(name="second")
    second.wait_line("sw1 registered")
    task_id = client.submit("echo", 1, key=key)
    equal(client.submit("echo", 1, key=key), task_id)
    equal(client.result(task_id).status, "success")


def test_many_times(sandbox):
    controld, _ = sandbox.pair()
    client = sandbox.client()
    for i in range(5):
        controld.stop() if i % 2 else controld.kill()
        controld = sandbox.controld(name=f"controld{i}")
        equal(client.call("echo", i).value["args"], [i])


harness.main(globals())
