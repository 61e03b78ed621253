#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Load is spread evenly: three subworkers, 10 000 tasks of a millisecond."""

import harness
from harness import check, equal

N = 10000
WINDOW = 1000


def test_spread(sandbox):
    controld = sandbox.controld(f"--result-cache-size={N}")
    names = ["sw1", "sw2", "sw3"]
    for name in names:
        sandbox.subworker(name, modules="mytasks")
        controld.wait_line(f"{name} registered")
    client = sandbox.client()
    ids, done = [], 0
    while done < N:
        while len(ids) < N and len(ids) - done < WINDOW:
            ids += client.submit_many([{"name": "sleep", "args": [0.001]}] * 100)
        done += 100
        results = client.wait_results(ids[done - 100:done])
        equal({r.status for r in results}, {"success"})
    shares = {n: w["tasks_done"] for n, w in client.workers()["subworkers"].items()}
    print(f"shares: {shares}")
    equal(sum(shares.values()), N)
    for name in names:
        check(abs(shares[name] - N / 3) <= N / 3 * 0.10, f"not within 10 % of even: {shares}")


def test_no_hoarding(sandbox):
    """Long tasks are not taken ahead: whoever is idle gets the next one."""
    controld = sandbox.controld()
    for name in ("sw1", "sw2"):
        sandbox.subworker(name, "--concurrency=2")
        controld.wait_line(f"{name} registered")
    client, stage = sandbox.client(), sandbox.stage()
    # Short tasks teach the subworkers to prefetch ...
    client.wait_results(client.submit_many([{"name": "noop"}] * 1000))
    # ... and long ones must still all run at once.
    ids = client.submit_many([{"name": "hold", "args": [stage.directory]}] * 4)
    stage.wait_started(4)
    loads = {n: w["load"] for n, w in client.workers()["subworkers"].items()}
    equal(loads, {"sw1": 2, "sw2": 2})
    stage.open_gate()
    client.wait_results(ids)


harness.main(globals())
