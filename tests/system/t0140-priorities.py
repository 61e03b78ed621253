#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Priorities are strict: with one busy slot, what waits comes out in their order, and by age within one."""

import harness
from harness import equal

PRIORITIES = ["critical", "high", "normal", "low"]


def run(sandbox, tasks):
    """Queues the tasks (priority, text) behind a running one and returns the texts in the order they ran."""
    client, stage = sandbox.client(), sandbox.stage()
    first = client.submit("hold", stage.directory)
    stage.wait_started()
    path = sandbox.path("order")
    ids = [client.submit("record", path, text, priority=priority) for priority, text in tasks]
    equal(client.info("QUEUES")["total_queued"], len(tasks), "all wait: nothing is taken ahead of a long task")
    stage.release()
    client.wait_results([first, *ids])
    with open(path, encoding="ascii") as f:
        return f.read().split()


def test_strict(sandbox):
    sandbox.pair()
    # The least important first, and in turn.
    tasks = [(p, f"{p}-{i}") for i in range(100) for p in reversed(PRIORITIES)]
    wanted = [f"{p}-{i}" for p in PRIORITIES for i in range(100)]
    equal(run(sandbox, tasks), wanted)


def test_default_is_normal(sandbox):
    sandbox.pair()
    equal(run(sandbox, [("low", "l"), ("", "n1"), ("Normal", "n2"), ("HIGH", "h")]), ["h", "n1", "n2", "l"])


def test_across_types(sandbox):
    """Tasks of different types share the order."""
    sandbox.pair()
    client, stage = sandbox.client(), sandbox.stage()
    first = client.submit("hold", stage.directory)
    stage.wait_started()
    names = ["noop", "echo", "say", "noop", "say", "echo"]
    ids = [client.submit(name) for name in names]
    equal([t["id"] for t in client.info("QUEUES")["queues"]["normal"]["tasks"]], ids)
    stage.release()
    results = client.wait_results([first, *ids])
    starts = [r.started for r in results]
    equal(starts, sorted(starts))


harness.main(globals())
