#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The protocol with the service manager."""

import signal

import harness
from harness import check, equal, until


def test_controld(sandbox):
    controld = sandbox.controld()
    client = sandbox.client()
    equal(client.request("PING")[0], "PONG", "READY=1 comes when requests are served")
    controld.wait_message("STATUS", "0 subworkers")
    worker = sandbox.subworker("sw1")
    controld.wait_message("STATUS", "1 subworker active")
    stage = sandbox.stage()
    client.submit("hold", stage.directory)
    stage.wait_started()
    for _ in range(3):
        client.submit("noop")
    controld.wait_message("STATUS", "3 queued, 1 ")
    stage.open_gate()
    controld.wait_message("STATUS", "0 queued, 0 .*4 results")
    worker.stop()
    worker.wait_message("STOPPING", "^1$")
    controld.stop()
    controld.wait_message("STOPPING", "^1$")
    equal(controld.messages.count(("READY", "1")), 1)


def test_subworker_status(sandbox):
    sandbox.controld()
    worker = sandbox.subworker("sw1", "--concurrency=2")
    worker.wait_message("STATUS", "")
    client, stage = sandbox.client(), sandbox.stage()
    task_id = client.submit("hold", stage.directory)
    stage.wait_started()
    worker.wait_message("STATUS", r"\b1\b")
    stage.release()
    client.result(task_id)


def test_watchdog(sandbox):
    """Pings while all is well; none from a process that hangs."""
    for program in ("controld", "subworker"):
        environment = {"WATCHDOG_USEC": "400000"}
        if program == "controld":
            daemon = sandbox.controld(environment=environment)
        else:
            daemon = sandbox.subworker("sw1", environment=environment)
        for _ in range(3):
            daemon.wait_message("WATCHDOG", "^1$", start=len(daemon.messages))
        daemon.signal(signal.SIGSTOP)
        until(lambda d=daemon: stopped(d.pid), "stopped")
        n = daemon.messages.count(("WATCHDOG", "1"))
        daemon.signal(signal.SIGCONT)
        daemon.wait_message("WATCHDOG", "^1$", start=len(daemon.messages))
        check(daemon.messages.count(("WATCHDOG", "1")) > n, "it goes on")


def stopped(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        return f.read().rpartition(")")[2].split()[0] == "T"


def test_watchdog_of_another(sandbox):
    """WATCHDOG_PID names somebody else: no pings."""
    controld = sandbox.controld(environment={"WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"})
    client = sandbox.client()
    # The status is sent by a timer of a second: more than enough for pings each 50 ms.
    sandbox.subworker("sw1")
    controld.wait_message("STATUS", "1 subworker active")
    equal(client.request("PING")[0], "PONG")
    equal([m for m in controld.messages if m[0] == "WATCHDOG"], [])


def test_reloading(sandbox):
    controld = sandbox.controld()
    start = len(controld.messages)
    controld.signal(signal.SIGHUP)
    controld.wait_message("RELOADING", "^1$", start)
    controld.wait_message("READY", "^1$", start)
    keys = [k for k, _ in controld.messages[start:]]
    check(keys.index("RELOADING") < keys.index("READY"), f"{keys}")


def test_signals(sandbox):
    """SIGINT is like SIGTERM; the end is clean also while tasks wait and run."""
    for number in (signal.SIGINT, signal.SIGTERM):
        controld = sandbox.controld(name=f"controld-{number}")
        worker = sandbox.subworker(f"sw-{number}")
        controld.wait_line("registered")
        client, stage = sandbox.client(), sandbox.stage(f"stage-{number}")
        client.submit_many([{"name": "hold", "args": [stage.directory]}] * 3)
        stage.wait_started()
        controld.signal(number)
        equal(controld.wait_end(), 0)
        stage.open_gate()
        worker.signal(number)
        equal(worker.wait_end(), 0)


harness.main(globals())
