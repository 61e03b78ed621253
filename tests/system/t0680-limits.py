#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Limits: concurrency of types and keys, rates, what is paused, labels, draining, ageing. That two tasks never run at once
the tasks show themselves: each makes a directory that must not exist."""

import json
import os
import time
from datetime import datetime

import harness
from harness import check, equal, until
from fwclient import Peer, refused

# Fails if as many as ONCE others of its kind run; else says when it began.
EXCLUSIVE = """[Task]
Input=args
Output=text
Exec=/bin/sh -c 'for i in 1 2 3 4; do if [ $i -le $1 ] && mkdir "$0/$i" 2>/dev/null; then sleep 0.01; rmdir "$0/$i"; exit 0; fi; done; echo "more than $1 at once" >&2; exit 1'
"""
PLAIN = "[Task]\nExec=/bin/true\n"


def put(sandbox, name, text, directory="tasks"):
    os.makedirs(sandbox.path(directory), exist_ok=True)
    with open(f"{sandbox.path(directory)}/{name}.task", "w", encoding="utf-8") as f:
        f.write(text)


def workers(sandbox, controld, *names, modules, flags=(), directory="tasks"):
    result = []
    for name in names:
        start = len(controld.lines)
        result.append(sandbox.subworker(name, f"--module-path={sandbox.path(directory)}:{harness.MODULE_PATH}", *flags,
                                        modules=modules))
        controld.wait_line(f"{name} registered", start=start)
    return result


def statuses(client, ids):
    results = client.wait_results(ids, patience=120)
    return [(r.status, r.error) for r in results]


def type_of(client, name):
    return next(t for t in client.info("TYPES")["types"] if t["name"] == name)


def lock(sandbox, name="lock"):
    os.makedirs(sandbox.path(name), exist_ok=True)
    return sandbox.path(name)


def submit(client, name, *args, options=None, **task):
    return client.submit(name, *args, options=json.dumps(options).encode() if options else b"", **task)


def test_type_concurrency(sandbox):
    """One at a time over three workers with two slots each."""
    put(sandbox, "one", EXCLUSIVE + "Concurrency=1\n")
    put(sandbox, "two", EXCLUSIVE + "Concurrency=2\n")
    controld = sandbox.controld()
    workers(sandbox, controld, "sw1", "sw2", "sw3", modules="one,two", flags=("--concurrency=2",))
    client = sandbox.client()
    equal([type_of(client, n)["concurrency"] for n in ("one", "two")], [1, 2])
    ids = []
    for _ in range(60):
        ids.append(submit(client, "one", lock(sandbox), 1))
        ids.append(submit(client, "two", lock(sandbox, "lock2"), 2))
    equal(statuses(client, ids), [("success", "")] * 120)
    equal([type_of(client, n)["leased"] for n in ("one", "two")], [0, 0])


def test_lowest_counts(sandbox):
    """Of subworkers that differ the strictest counts, and that is said once."""
    put(sandbox, "one", EXCLUSIVE + "Concurrency=1\n", "tasks")
    put(sandbox, "one", EXCLUSIVE + "Concurrency=3\n", "others")
    controld = sandbox.controld()
    workers(sandbox, controld, "sw1", modules="one", flags=("--concurrency=2",))
    workers(sandbox, controld, "sw2", "sw3", modules="one", flags=("--concurrency=2",), directory="others")
    client = sandbox.client()
    equal(type_of(client, "one")["concurrency"], 1)
    equal(controld.count_lines("Subworkers do not agree on the limits of task type one"), 1)
    equal(statuses(client, [submit(client, "one", lock(sandbox), 1) for _ in range(40)]), [("success", "")] * 40)


def test_keys(sandbox):
    """A key counts over types; tasks with other keys, or none, pass by."""
    put(sandbox, "a", EXCLUSIVE)
    put(sandbox, "b", EXCLUSIVE)
    controld = sandbox.controld()
    workers(sandbox, controld, "sw1", "sw2", modules="a,b,testtasks", flags=("--concurrency=4",))
    client, stage = sandbox.client(), sandbox.stage()
    ids = []
    for i in range(40):
        ids.append(submit(client, "ab"[i % 2], lock(sandbox, "k1"), 1, options={"concurrency_key": "k1"}))
        ids.append(submit(client, "ab"[i % 2], lock(sandbox, "k2"), 2,
                          options={"concurrency_key": "k2", "concurrency": 2}))
    equal(statuses(client, ids), [("success", "")] * 80)

    held = submit(client, "hold", stage.directory, options={"concurrency_key": "k1"})
    stage.wait_started()
    waiting = submit(client, "noop", options={"concurrency_key": "k1"})
    equal(client.call("echo", 1, options=b'{"concurrency_key":"k2"}').status, "success")
    equal(client.status(waiting)["waits_for"], 'concurrency limit: 1 with the key "k1" at once')
    equal([t["id"] for t in client.info("QUEUES")["queues"]["normal"]["tasks"]], [waiting])
    stage.release()
    equal(statuses(client, [held, waiting]), [("success", "")] * 2)
    error = refused(client.submit, "noop", options=b'{"concurrency":2}')
    check("goes with" in str(error.text), error.text)


def test_restart_counts_leases(sandbox):
    """What runs on counts after a restart of the coordinator, too."""
    put(sandbox, "one", PLAIN)
    controld = sandbox.controld()
    workers(sandbox, controld, "sw1", modules="one,testtasks", flags=("--concurrency=4",))
    client, stage = sandbox.client(), sandbox.stage()
    held = submit(client, "hold", stage.directory, options={"concurrency_key": "k"})
    stage.wait_started()
    waiting = submit(client, "one", options={"concurrency_key": "k"})
    controld.kill()
    controld = sandbox.controld(name="controld2")
    controld.wait_line("sw1 registered")
    client = sandbox.client()
    client.watch(held, waiting)
    equal(client.call("echo", 1).status, "success")
    equal(client.status(held)["status"], "running")
    equal(client.status(waiting)["waits_for"], 'concurrency limit: 1 with the key "k" at once')
    stage.release()
    equal(statuses(client, [held, waiting]), [("success", "")] * 2)


def test_rate(sandbox):
    """20 in a second: at the start as many at once, and then not more than the bucket gives."""
    put(sandbox, "limited", PLAIN + "RateLimit=20/s\n")
    put(sandbox, "rare", PLAIN + "RateLimit=2/h\n")
    controld = sandbox.controld()
    workers(sandbox, controld, "sw1", modules="limited,rare", flags=("--concurrency=4",))
    client = sandbox.client()
    equal(type_of(client, "limited")["rate_limit"], "20/s")
    ids = [client.submit("limited") for _ in range(60)]
    results = client.wait_results(ids)
    equal({r.status for r in results}, {"success"})
    starts = sorted(r.started for r in results)
    # The bucket gives 20 at once and 20 a second: by the time t after the first submission at most 20 + 20 t tasks can have
    # begun, however slow this machine is.
    began = min(seconds(client.status(i)["created_at"]) for i in ids)
    for n, start in enumerate(starts, 1):
        check(n <= 20 + 20 * (start / 1e6 - began) + 0.001, f"{n} tasks after {start / 1e6 - began} s")

    rare = [client.submit("rare") for _ in range(5)]
    until(lambda: [client.status(i)["status"] for i in rare].count("success") == 2, "two tokens")
    equal(client.call("limited").status, "success")
    waiting = [i for i in rare if client.status(i)["status"] == "queued"]
    equal(len(waiting), 3)
    equal(client.status(waiting[0])["waits_for"], 'rate limit: 2/h of "rare"')


def test_idle(sandbox):
    """Nobody wakes up for tokens that nobody waits for."""
    put(sandbox, "rare", PLAIN + "RateLimit=1/h\n")
    controld = sandbox.controld()
    workers(sandbox, controld, "sw1", modules="rare")
    client = sandbox.client()
    equal(client.call("rare").status, "success")
    before = harness.cpu_seconds(controld.pid)
    submit(client, "rare")
    for _ in range(20):
        equal(client.info("STATS")["tasks"]["queued"], 1)
    check(harness.cpu_seconds(controld.pid) - before < 1, "the coordinator is busy with waiting")


def test_pause(sandbox):
    controld, _ = sandbox.pair()
    client = sandbox.client()
    address = f"--address={sandbox.client_address}"

    r = sandbox.cli("pause", address, "--type", "noop")
    equal((r.returncode, r.stdout), (0, "Task type noop is paused.\n"), r.stderr)
    r = sandbox.cli("pause", address, "--priority", "low", "--json=short")
    equal((r.returncode, json.loads(r.stdout)), (0, {"priority": "low", "paused": True}), r.stderr)
    noop, low = client.submit("noop"), client.submit("echo", 1, priority="low")
    equal(client.call("echo", 2).status, "success")
    for _ in range(2):  # again after a restart
        equal(client.status(noop)["waits_for"], 'type paused: "noop" is to be resumed')
        equal(client.status(low)["waits_for"], "priority paused: low is to be resumed")
        equal(client.info("STATS")["paused"], {"types": ["noop"], "priorities": ["low"], "workers": []})
        equal([p for p, q in client.info("QUEUES")["queues"].items() if q["paused"]], ["low"])
        check(type_of(client, "noop")["paused"], "TYPES shows it")
        check("paused" in sandbox.cli("queues", address).stdout, "queues shows it")
        check("paused" in sandbox.cli("list", "--types", address).stdout, "list --types shows it")
        if controld.name == "controld":
            controld.kill()
            controld = sandbox.controld(name="controld2")
            controld.wait_line("sw1 registered")
            client = sandbox.client()
            client.watch(noop, low)
            equal(client.call("echo", 3).status, "success")
    equal(sandbox.cli("resume", address, "--type", "noop").returncode, 0)
    equal(client.result(noop).status, "success")
    equal(client.status(low)["status"], "queued")
    equal(sandbox.cli("resume", address, "--priority", "low").returncode, 0)
    equal(client.result(low).status, "success")

    equal(refused(client.request, "PAUSE", b'{"priority":"urgent","paused":true}').code, "bad-argument")
    equal(refused(client.request, "PAUSE", b'{"priority":"low"}').code, "bad-argument")
    equal(refused(client.request, "PAUSE", b'{"worker":"nobody","paused":true}').code, "bad-argument")
    equal(refused(client.request, "PAUSE", b'{"type":"a","priority":"low","paused":true}').code, "bad-argument")
    equal(sandbox.cli("pause", address).returncode, 2)


def test_labels(sandbox):
    put(sandbox, "on-gpu", PLAIN + "Label=gpu\n")
    controld = sandbox.controld()
    modules = "on-gpu,testtasks"
    workers(sandbox, controld, "plain", modules=modules)
    client = sandbox.client()
    ids = [submit(client, "noop", options={"labels": ["gpu"]}) for _ in range(5)]
    ids += [client.submit("on-gpu") for _ in range(5)]
    both = submit(client, "on-gpu", options={"labels": ["big"]})
    equal(client.call("noop").status, "success")
    equal(client.status(ids[0])["waits_for"], 'labels: no active subworker that offers "noop" has gpu')
    equal(client.status(both)["waits_for"], 'labels: no active subworker that offers "on-gpu" has big, gpu')
    workers(sandbox, controld, "gpu", modules=modules, flags=("--labels=gpu",))
    equal(statuses(client, ids), [("success", "")] * 10)
    equal({client.status(i)["worker"] for i in ids}, {"gpu"})
    equal(client.status(both)["status"], "queued")
    workers(sandbox, controld, "both", modules=modules, flags=("--labels=gpu,big",))
    equal(client.result(both).status, "success")
    equal(client.status(both)["worker"], "both")
    equal(client.workers()["subworkers"]["both"]["labels"], ["big", "gpu"])

    r = sandbox.cli("submit", f"--address={sandbox.client_address}", "--task-name", "noop", "--label", "gpu",
                    "--label", "big", "--timeout=60")
    equal(r.returncode, 0, r.stderr)
    error = refused(client.submit, "noop", options=b'{"labels":["no way"]}')
    check("labels" in str(error.text), error.text)


def test_local_worker_has_labels(sandbox):
    sandbox.controld("--task-modules=testtasks", "--labels=gpu")
    client = sandbox.client()
    waiting = submit(client, "noop", options={"labels": ["other"]})
    equal(client.result(submit(client, "noop", options={"labels": ["gpu"]})).status, "success")
    equal(client.status(waiting)["status"], "queued")


def register(peer, name, types, slots=1):
    info = {"pid": 1, "host": "here", "version": "1", "local": False,
            "types": [{"name": n, "description": "", "options": o} for n, o in types.items()]}
    equal(peer.request("REGISTER", name, slots, slots, json.dumps(info))[0], "REGISTERED", name)


def test_local_worker_is_not_forgotten(sandbox):
    """What only the local worker may do goes there, though older tasks of the type wait for others that are busy."""
    sandbox.controld("--task-modules=testtasks", "--labels=gpu")
    client = sandbox.client()
    busy = Peer(sandbox.worker_address)
    register(busy, "busy", {"noop": {}})
    waiting = [submit(client, "noop") for _ in range(2)]
    equal(client.result(submit(client, "noop", options={"labels": ["gpu"]})).status, "success")
    check(client.status(waiting[1])["status"] == "queued", "the older one still waits")


def test_limits_go_with_who_set_them(sandbox):
    sandbox.controld()
    client = sandbox.client()
    one, two = Peer(sandbox.worker_address), Peer(sandbox.worker_address)
    register(one, "one", {"limited": {"concurrency": 1}, "other": {}})
    register(two, "two", {"limited": {}})
    equal(type_of(client, "limited")["concurrency"], 1)
    register(one, "one", {"other": {}})
    equal(type_of(client, "limited")["concurrency"], None)


def test_drain(sandbox):
    controld = sandbox.controld()
    first, = workers(sandbox, controld, "sw1", modules="testtasks")
    client, stage = sandbox.client(), sandbox.stage()
    address = f"--address={sandbox.client_address}"
    held = client.submit("hold", stage.directory)
    stage.wait_started()
    r = sandbox.cli("drain", address, "sw1")
    equal((r.returncode, r.stdout), (0, "Subworker sw1 gets no more tasks.\n"), r.stderr)
    equal(client.workers()["subworkers"]["sw1"]["status"], "draining")
    stage.release()
    equal(client.result(held).status, "success", "what it holds it finishes")
    waiting = client.submit("noop")
    workers(sandbox, controld, "sw2", modules="testtasks")
    equal(client.result(waiting).status, "success")
    equal({client.status(client.submit("noop"))["worker"] for _ in range(3)} - {"sw2", None}, set())

    # It stays so when either comes back.
    first.stop()
    controld.wait_line("sw1 left")
    workers(sandbox, controld, "sw1", modules="testtasks")
    equal(client.workers()["subworkers"]["sw1"]["status"], "draining")
    controld.kill()
    controld = sandbox.controld(name="controld2")
    controld.wait_line("sw1 registered")
    controld.wait_line("sw2 registered")
    client = sandbox.client()
    workers_now = client.workers()["subworkers"]
    equal((workers_now["sw1"]["status"], workers_now["sw1"]["drained"]), ("draining", True))
    equal(client.call("noop").status, "success")
    equal(sandbox.cli("drain", address, "sw2").returncode, 0)
    waiting = client.submit("noop")
    equal(client.status(waiting)["waits_for"], 'an active subworker that offers "noop"')
    equal(sandbox.cli("drain", address, "--undo", "sw1").returncode, 0)
    equal(client.result(waiting).status, "success")
    equal(client.status(waiting)["worker"], "sw1")
    equal(sandbox.cli("drain", address, "nobody").returncode, 5)


def test_ageing(sandbox):
    """With AgeingSec=1 s a low task that has waited for two counts as high: by then older than any that comes."""
    sandbox.pair("--ageing=1")
    client, stage = sandbox.client(), sandbox.stage()
    path = sandbox.path("order")
    first = client.submit("hold", stage.directory)
    stage.wait_started()
    low = client.submit("record", path, "low", priority="low")
    created = seconds(client.status(low)["created_at"])
    until(lambda: time.time() > created + 2.2, "two seconds later")
    late = [client.submit("record", path, "high", priority="high") for _ in range(5)]
    stage.release()
    client.wait_results([first, low, *late])
    with open(path, encoding="ascii") as f:
        equal(f.read().split()[0], "low")


def seconds(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


harness.main(globals())
