#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The result cache: the least recently used results leave, and none outlives its time."""

import harness
from fwclient import Refused
from harness import equal, until


def cached(client):
    """The ids in the cache; a LIST does not count as use."""
    return {t["task_id"] for t in client.info("LIST", '{"limit":1000}')["tasks"]}


def run(client, n):
    ids = [client.submit("echo", i) for i in range(n)]
    client.wait_results(ids)
    return ids


def is_unknown(client, task_id):
    try:
        client.status(task_id)
        return False
    except Refused as e:
        equal(e.code, "unknown-task")
        return True


def test_size(sandbox):
    sandbox.pair("--result-cache-size=10")
    client = sandbox.client()
    ids = run(client, 20)
    equal(cached(client), set(ids[10:]))
    for task_id in ids[:10]:
        equal(is_unknown(client, task_id), True, task_id)
        client.results.clear()
        client.watch(task_id)
        equal(client.result(task_id).status, "unknown")
    for i, task_id in enumerate(ids[10:], 10):
        equal(client.status(task_id)["status"], "success", str(i))
    equal(client.info("STATS")["cache"]["current_size"], 10)


def test_least_recently_used(sandbox):
    sandbox.pair("--result-cache-size=10")
    client = sandbox.client()
    first = run(client, 10)
    for task_id in (first[7], first[0], first[3]):
        client.status(task_id)
    client.results.clear()
    client.watch(first[5])
    client.result(first[5])
    second = run(client, 6)
    equal(cached(client), {first[7], first[0], first[3], first[5], *second})
    # Of those, 7 was used longest ago, then 0.
    third = run(client, 2)
    equal(cached(client), {first[3], first[5], *second, *third})


def test_size_zero(sandbox):
    """Nothing is kept, but those that wait get their results."""
    sandbox.pair("--result-cache-size=0")
    client = sandbox.client()
    ids = client.submit_many([{"name": "echo", "args": [i]} for i in range(50)])
    equal([r.value["args"] for r in client.wait_results(ids)], [[i] for i in range(50)])
    equal(cached(client), set())
    equal(is_unknown(client, ids[0]), True)


def test_time_to_live(sandbox):
    controld, _ = sandbox.pair("--result-cache-ttl=1")
    client = sandbox.client()
    task_id = run(client, 1)[0]
    equal(client.status(task_id)["status"], "success")
    until(lambda: is_unknown(client, task_id), "the end of its second")
    client.results.clear()
    client.watch(task_id)
    equal(client.result(task_id).status, "unknown")
    result = sandbox.cli("status", f"--address={sandbox.client_address}", "--task-id", task_id)
    harness.check(result.returncode > 0 and "expired or unknown" in result.stderr, f"{result}")
    equal(controld.status, None)


harness.main(globals())
