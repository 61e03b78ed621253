#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Results and history survive a restart, as far as their number and age allow; LIST goes through them in pages."""

import json
import random

import harness
from fwclient import Refused
from harness import check, equal, until


def listed(client, **options):
    """All pages of a list."""
    found = []
    while True:
        page = client.info("LIST", json.dumps(options))
        found += page["tasks"]
        if not page["truncated"]:
            check("next" not in page, "the last page has no successor")
            return found
        options["after"] = page["next"]


def ids_of(tasks):
    return [t["task_id"] for t in tasks]


def is_unknown(client, task_id):
    try:
        client.status(task_id)
        return False
    except Refused as e:
        equal(e.code, "unknown-task")
        return True


def run(client, n):
    ids = [client.submit("echo", i) for i in range(n)]
    client.wait_results(ids)
    return ids


def test_all_ends(sandbox):
    controld, worker = sandbox.pair()
    client, stage = sandbox.client(), sandbox.stage()
    ids = [client.submit("echo", 1, "\u263e", kwargs={"x": None}, priority="high"),
           client.submit_many([{"name": "echo", "raw": bytes(range(256))}])[0],
           client.submit("fail-with", "no luck \u263e"),
           client.submit("die", "segv"),
           client.submit("big", 1048576)]
    client.wait_results(ids)
    ids.append(client.submit("hold", stage.directory))
    stage.wait_started()
    ids.append(client.submit("noop"))
    for task_id in reversed(ids[-2:]):
        client.request("CANCEL", task_id)
    results = client.wait_results(ids)
    equal([r.status for r in results],
          ["success", "success", "failure", "dead", "success", "cancelled", "cancelled"])
    before = [client.status(i) for i in ids]
    worker.stop()
    for kind in ("killed", "stopped"):
        controld.kill() if kind == "killed" else controld.stop()
        controld = sandbox.controld(name=kind)
        client = sandbox.client()
        equal([client.status(i) for i in ids], before, kind)
        client.watch(*ids)
        for result, was in zip(client.wait_results(ids), results):
            equal(vars(result), vars(was), kind)
        equal(ids_of(listed(client)), ids[::-1], "newest first")
        by_status = client.info("STATS")["cache"]["by_status"]
        equal(by_status, {"success": 3, "failure": 1, "cancelled": 2, "dead": 1, "expired": 0})


def test_number(sandbox):
    controld, _ = sandbox.pair("--result-cache-size=10")
    ids = run(sandbox.client(), 25)
    for size, wanted in ((10, 10), (4, 4), (10, 4)):
        controld.stop()  # after a kill, some that left may be there again
        controld = sandbox.controld(f"--result-cache-size={size}", name=f"controld-{size}-{wanted}")
        client = sandbox.client()
        equal(ids_of(listed(client)), ids[:-wanted - 1:-1], f"size {size}")
        check(all(is_unknown(client, i) for i in ids[:-wanted]), "the others are gone")


def test_age(sandbox):
    controld, _ = sandbox.pair("--result-cache-ttl=3600")
    ids = run(sandbox.client(), 3)
    controld.kill()
    # Their age counts from their end, not from the restart.
    controld = sandbox.controld("--result-cache-ttl=1", name="second")
    client = sandbox.client()
    until(lambda: all(is_unknown(client, i) for i in ids), "the end of their second")
    controld.kill()
    sandbox.controld("--result-cache-ttl=1", name="third")
    client = sandbox.client()
    check(all(is_unknown(client, i) for i in ids), "too old at the start already")
    equal(listed(client), [])


def test_use_keeps(sandbox):
    """The least recently used leave first, after a restart as before."""
    controld, worker = sandbox.pair("--result-cache-size=5")
    ids = run(sandbox.client(), 5)
    controld.kill()
    second = sandbox.controld("--result-cache-size=5", name="second")
    second.wait_line("sw1 registered")
    client = sandbox.client()
    client.status(ids[0])
    new = run(client, 2)
    equal(set(ids_of(listed(client))), {ids[0], *ids[3:], *new})
    equal(worker.status, None)


def test_filters(sandbox):
    controld = sandbox.controld()
    for name in ("sw1", "sw2"):
        sandbox.subworker(name)
        controld.wait_line(f"{name} registered")
    client, stage = sandbox.client(), sandbox.stage()
    held = client.submit_many([{"name": "hold", "args": [stage.directory]}] * 2)
    stage.wait_started(2)
    stage.open_gate()
    client.wait_results(held)
    workers = {client.status(i)["worker"]: i for i in held}
    equal(set(workers), {"sw1", "sw2"})
    first = run(client, 5)
    middle = client.call("fail-with", "x")
    last = run(client, 5)
    for d in sandbox.daemons[1:]:
        d.stop()
    controld.kill()
    sandbox.controld(name="second")
    client = sandbox.client()
    for limit in (1, 3, 1000):
        equal(ids_of(listed(client, name="echo", limit=limit)), last[::-1] + first[::-1])
        equal(ids_of(listed(client, status="failure", limit=limit)), [middle.task_id])
        equal(ids_of(listed(client, status="success", name="fail-with", limit=limit)), [])
        for worker, task_id in workers.items():
            equal(ids_of(listed(client, name="hold", worker=worker, limit=limit)), [task_id])
    equal(ids_of(listed(client, worker="nobody")), [])
    newer = ids_of(listed(client, since=middle.completed))
    older = ids_of(listed(client, until=middle.completed))
    equal(newer + older, ids_of(listed(client)), "each is on one side")
    equal(newer, last[::-1])
    for bad in ({"after": "x"}, {"after": "5"}, {"since": -1}, {"until": "now"}, {"worker": 1}, {"limit": 0}):
        try:
            client.info("LIST", json.dumps(bad))
            raise harness.Failure(f"not refused: {bad}")
        except Refused as e:
            equal(e.code, "bad-argument", f"{bad}")


def test_paging_while_all_moves(sandbox):
    """Between two pages tasks come, end, are purged, and the coordinator is restarted: those that are there all the
    time come exactly once, in order."""
    controld, worker = sandbox.pair()
    client = sandbox.client()
    ids = run(client, 300)
    worker.stop()
    queued = client.submit_many([{"name": "noop"}] * 300, "")
    seed = random.SystemRandom().randrange(1 << 31)
    print(f"seed {seed}")
    rng = random.Random(seed)
    stay = set(ids + queued)
    seen, options, n = [], {"limit": 15}, 0
    while True:
        page = client.info("LIST", json.dumps(options))
        seen += ids_of(page["tasks"])
        if not page["truncated"]:
            break
        options["after"] = page["next"]
        n += 1
        client.submit_many([{"name": "noop"}] * rng.randint(1, 3), "")
        cursor = page["next"].partition("-")[2]
        for task_id in {rng.choice(ids), rng.choice(queued), cursor}:
            if task_id not in stay or rng.random() < 0.3:
                continue
            stay.discard(task_id)
            if task_id in queued:
                client.request("CANCEL", task_id)
            client.request("PURGE", task_id)
        if n % 10 == 0:
            controld.kill()
            controld = sandbox.controld(name=f"controld{n}")
            client = sandbox.client()
    equal(len(seen), len(set(seen)), "none came twice")
    equal([i for i in seen if i in stay], [i for i in (ids + queued)[::-1] if i in stay], "none was skipped")
    check(n > 25, f"{n} pages")


harness.main(globals())
