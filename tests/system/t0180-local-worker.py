#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The coordinator works itself when no subworker can, in a child that is stopped when it has been idle."""

import os

import harness
from harness import check, equal, until


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(p) for p in f.read().split()]


def test_fallback(sandbox):
    controld = sandbox.controld("--task-modules=testtasks", "--local-worker-idle=1")
    client = sandbox.client()
    task_id = client.submit("echo", 1)
    equal(client.result(task_id).value["args"], [1])
    workers = client.workers()
    equal((workers["total_subworkers"], workers["active_subworkers"]), (0, 0))
    local = [n for n, w in workers["subworkers"].items() if w["local"]]
    equal(len(local), 1)
    equal(client.status(task_id)["worker"], local[0])

    # Idle, it ends; and comes back for the next task.
    until(lambda: not children(controld.pid), "the end of the idle local worker")
    until(lambda: client.workers()["subworkers"] == {}, "it is forgotten")
    equal(client.call("echo", 2).value["args"], [2])


def test_none(sandbox):
    """Under systemd no task may run as the coordinator's user: then there is none, and it says what to do."""
    controld = sandbox.controld("--task-modules=testtasks", "--no-local-worker")
    controld.wait_line("no local worker is to be started .*set TaskModules= in subworkerd.conf")
    client = sandbox.client()
    sandbox.subworker("sw1")
    controld.wait_line("sw1 registered")
    task_id = client.submit("echo", 1)
    equal(client.result(task_id).value["args"], [1])
    equal(client.status(task_id)["worker"], "sw1")
    equal(children(controld.pid), [])


def test_subworkers_first(sandbox):
    """With a subworker there, however busy, the local worker gets nothing."""
    controld = sandbox.controld("--task-modules=testtasks", "--local-worker-idle=1")
    sandbox.subworker("sw1")
    controld.wait_line("sw1 registered")
    client, stage = sandbox.client(), sandbox.stage()
    held = client.submit("hold", stage.directory)
    stage.wait_started()
    ids = [client.submit("echo", i) for i in range(20)]
    equal({client.status(i)["status"] for i in ids}, {"queued"})
    stage.release()
    client.wait_results([held, *ids])
    equal({client.status(i)["worker"] for i in ids}, {"sw1"})

    sandbox.daemons[1].kill()
    equal(client.call("echo").status, "success", "now it has to")


def test_crash_in_local_worker(sandbox):
    controld = sandbox.controld("--task-modules=testtasks")
    client = sandbox.client()
    result = client.call("die", "segv")
    equal(result.status, "dead")
    check("SIGSEGV" in result.error, result.error)
    equal(client.call("echo").status, "success")
    equal(controld.status, None)


def test_stops_with_controld(sandbox):
    controld = sandbox.controld("--task-modules=testtasks")
    client = sandbox.client()
    client.call("noop")
    pids = children(controld.pid)
    check(pids, "a local worker runs")
    pids += [p for pid in pids for p in children(pid)]
    controld.kill()
    until(lambda: not any(os.path.exists(f"/proc/{p}") for p in pids), "the end of worker and runners")


def test_local_worker_killed(sandbox):
    """It is started again, and its task runs again."""
    controld = sandbox.controld("--task-modules=testtasks")
    client, stage = sandbox.client(), sandbox.stage()
    task_id = client.submit("hold", stage.directory)
    stage.wait_started()
    for pid in children(controld.pid):
        os.kill(pid, 9)
    (_, attempt, _), = stage.wait_started()
    equal(attempt, 2)
    stage.release()
    equal(client.result(task_id).value, 2)


def test_bad_module(sandbox):
    controld = sandbox.controld("--task-modules=no-such-module", ready=False)
    controld.expect_status = 1
    equal(controld.wait_end(), 1)
    check(any("no-such-module" in line for line in controld.lines), "it says which module")
    check(("READY", "1") not in controld.messages, "it was never ready")


harness.main(globals())
