#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Submit tasks, get results, ask for them."""

import json

import harness
from fwclient import Peer, new_id, refused
from harness import check, equal


def test_one(sandbox):
    sandbox.pair()
    client = sandbox.client()
    task_id = client.submit("echo", 5, "drei", priority="HIGH", kwargs={"x": [1.5, None]})
    result = client.result(task_id)
    equal(result.status, "success")
    equal(result.value, {"args": [5, "drei"], "kwargs": {"x": [1.5, None]}})
    equal(result.error, "")
    check(0 < result.started <= result.completed, f"times {result.started} {result.completed}")

    status = client.status(task_id)
    for key, value in {"task_id": task_id, "name": "echo", "status": "success", "priority": "high",
                       "worker": "sw1", "attempt": 1, "error": ""}.items():
        equal(status[key], value, key)
    for key in ("created_at", "started_at", "completed_at"):
        check(status[key].endswith("Z") and len(status[key]) == 27, f"{key}: {status[key]}")
    check(status["created_at"] <= status["started_at"] <= status["completed_at"], f"times of {status}")
    check("waits_for" not in status, "it waits for nothing")
    equal(status["arguments"], b'{"args": [5, "drei"], "kwargs": {"x": [1.5, null]}}')
    equal(status["result"], status["arguments"])


def test_bytes(sandbox):
    """Arguments and results are not looked at on the way."""
    sandbox.pair()
    client = sandbox.client()
    raw = bytes(range(1, 256)) * 100
    task_id = client.submit_many([{"name": "echo", "raw": raw}])[0]
    equal(client.result(task_id).data, raw)


def test_batch(sandbox):
    sandbox.pair("--startup-grace=0")
    client = sandbox.client()
    ids = client.submit_many([{"name": "echo", "args": [i]} for i in range(1000)])
    equal(len(set(ids)), 1000)
    for i, result in enumerate(client.wait_results(ids)):
        equal(result.value["args"], [i])
    tasks = client.info("STATS")["tasks"]
    equal((tasks["submitted"], tasks["succeeded"], tasks["queued"], tasks["running"]), (1000, 1000, 0, 0))

    # One bad task, and nothing of the batch is taken.
    error = refused(client.submit_many, [{"name": "noop"}] * 5 + [{"name": "nope"}])
    equal(error.code, "unknown-task-type")
    error = refused(client.submit_many, [{"name": "noop"}] * 5 + [{"name": "noop", "raw": b" " * 1048577}])
    equal(error.code, "too-large")
    equal(client.info("STATS")["tasks"]["submitted"], 1000)


def test_keys(sandbox):
    sandbox.pair()
    client = sandbox.client()
    first = client.submit("echo", 1, key="invoice 4711")
    again = client.submit("echo", 2, key="invoice 4711")
    equal(again, first)
    equal(client.result(first).value["args"], [1])
    equal(client.submit("echo", 3, key="invoice 4711"), first, "also when it has ended")
    client.results.clear()
    equal(client.result(first).value["args"], [1])

    chosen = new_id()
    equal(client.submit("echo", 1, key=chosen), chosen, "a UUID as key is the id")
    equal(client.submit("echo", 2, key=chosen.upper()), chosen)
    equal(client.submit_many([{"name": "echo", "key": "twice"}, {"name": "echo", "key": "twice"}])[0],
          client.submit("echo", key="twice"))
    equal(client.info("STATS")["tasks"]["submitted"], 3)


def test_waiting(sandbox):
    sandbox.pair()
    submitter, other = sandbox.client(), sandbox.client()
    stage = sandbox.stage()
    task_id = submitter.submit("hold", stage.directory, mode="")
    stage.wait_started()
    for client in (submitter, other, other):
        client.watch(task_id)
    for client in (submitter, other):
        client.request("PING")
        equal(client.pushed, [])
    harness.until(lambda: submitter.status(task_id)["status"] == "running", "running")
    third = sandbox.client()
    third.watch(task_id)
    equal(third.request("FORGET", task_id)[0], "ACK")
    stage.release()
    equal(submitter.result(task_id).value, 1)
    equal(other.result(task_id).value, 1)
    other.request("PING")
    equal(other.pushed, [], "waiting twice is waiting once")
    third.request("PING")
    equal(third.pushed, [], "it was forgotten")

    # After the end, and for what never was.
    third.watch(task_id)
    equal(third.result(task_id).value, 1)
    unknown = new_id()
    third.watch(unknown)
    result = third.result(unknown)
    equal((result.status, result.data, result.error), ("unknown", b"", "expired or unknown"))
    for verb in ("STATUS", "CANCEL"):
        error = refused(third.request, verb, unknown)
        equal(error.code, "unknown-task")
        check("expired or unknown" in error.text, error.text)


def test_limits(sandbox):
    sandbox.controld("--max-payload=2K", "--max-result=2K", "--max-queued=10", "--max-waits=5",
                     "--startup-grace=0")
    sandbox.subworker("sw1")
    sandbox.daemons[0].wait_line("sw1 registered")
    client = sandbox.client()
    equal(client.call("echo", "x" * 1900).status, "success")
    error = refused(client.submit, "echo", "x" * 2048)
    equal(error.code, "too-large")
    check("MaxPayloadBytes" in error.text, error.text)
    result = client.call("big", 2049)
    equal(result.status, "failure")
    check("2048" in result.error, result.error)
    equal(client.call("big", 2048).status, "success")

    stage = sandbox.stage()
    held = client.submit_many([{"name": "hold", "args": [stage.directory]}] * 5)
    stage.wait_started()
    error = refused(client.submit, "noop")
    equal(error.code, "queue-full")
    check("MaxWaitsPerClient" in error.text, error.text)
    held += client.submit_many([{"name": "hold", "args": [stage.directory]}] * 5, mode="")
    error = refused(client.submit, "noop", mode="")
    equal(error.code, "queue-full")
    check("MaxQueuedTasks" in error.text, error.text)
    stage.open_gate()
    client.wait_results(held[:5])
    client.watch(*held[5:])
    client.wait_results(held)
    equal(client.call("noop").status, "success", "there is room again")


def test_options(sandbox):
    sandbox.pair()
    client = sandbox.client()
    equal(client.call("noop", options="{}").status, "success")
    for options in ('{"retries":3}', "[]", "{", "{}x", "null"):
        error = refused(client.submit, "noop", options=options)
        equal(error.code, "bad-argument", options)
    for options in ('{"limit":0}', '{"limit":1001}', '{"limit":"5"}', '{"status":"done"}', '{"what":1}', "[1]"):
        equal(refused(client.request, "LIST", options).code, "bad-argument", options)


def test_overview(sandbox):
    """The documents of doc/protocol.md."""
    sandbox.pair("--worker-id=boss")
    client, stage = sandbox.client(), sandbox.stage()
    running = client.submit("hold", stage.directory)
    stage.wait_started()
    queued = [client.submit("noop", priority=p) for p in ("low", "critical", "critical")]
    equal(client.request("PING"), ("PONG", []))

    queues = client.info("QUEUES")
    equal(queues["total_queued"], 3)
    equal({p: q["count"] for p, q in queues["queues"].items()}, {"critical": 2, "high": 0, "normal": 0, "low": 1})
    equal(queues["queues"]["critical"]["tasks"], [{"id": i, "name": "noop"} for i in queued[1:]])

    everything = client.info("LIST", "")["tasks"]
    equal([t["task_id"] for t in everything], [*reversed(queued), running], "newest first")
    equal([t["task_id"] for t in client.info("LIST", '{"status":"queued","limit":1}')["tasks"]], queued[2:])
    equal([t["task_id"] for t in client.info("LIST", '{"name":"hold"}')["tasks"]], [running])
    equal(client.info("LIST", '{"name":"nobody-offers-this"}')["tasks"], [])

    types = {t["name"]: t for t in client.info("TYPES")["types"]}
    equal(types["noop"], {"name": "noop", "description": "Does nothing.", "queued": 3, "leased": 0, "concurrency": None,
                          "rate_limit": None, "labels": [], "paused": False, "workers": ["sw1"]})

    verb, fields = client.request("HELLO", '{"name":"test","versions":[1]}')
    welcome = json.loads(fields[0])
    equal((verb, welcome["worker_id"], welcome["protocol"]), ("WELCOME", "boss", [1, 1]))
    equal(welcome["limits"], {"max_payload_bytes": 1048576, "max_result_bytes": 1048576, "max_batch": 1000})

    for address in (sandbox.discovery_address, sandbox.client_address, sandbox.worker_address):
        peer = Peer(address)
        sandbox.closers.append(peer.close)
        found = peer.info("DISCOVER")
        equal((found["worker_id"], found["instance"]), ("boss", welcome["instance"]))
        equal((found["client"], found["worker"]), ([sandbox.client_address], [sandbox.worker_address]))

    workers = client.workers()
    equal((workers["total_subworkers"], workers["active_subworkers"]), (1, 1))
    one = workers["subworkers"]["sw1"]
    equal((one["status"], one["load"], one["slots"], one["local"]), ("active", 1, 1, False))
    equal(one["pid"], sandbox.daemons[1].pid)
    check("noop" in one["types"], one["types"])

    stats = client.info("STATS")
    equal((stats["tasks"]["queued"], stats["tasks"]["submitted"]), (3, 4))
    equal(stats["subworkers"], {"total": 1, "active": 1, "draining": 0, "awaited": 0, "inactive": 0})
    equal((stats["cache"]["max_size"], stats["cache"]["ttl_seconds"]), (10000, 3600))
    stage.open_gate()
    client.wait_results([running, *queued])


harness.main(globals())
