#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Idempotency keys, unique tasks and tasks in memory only, over a restart."""

import json

import harness
from fwclient import Refused, new_id, refused
from harness import check, equal


def restart(sandbox, controld, name="second", *flags):
    controld.kill()
    second = sandbox.controld(*flags, name=name)
    return second, sandbox.client()


def unique(key, policy=None):
    options = {"unique": key}
    if policy:
        options["unique_policy"] = policy
    return json.dumps(options)


def held(sandbox, **task):
    """A running task, and its stage."""
    stage, client = sandbox.stage(f"stage-{len(sandbox.closers)}"), sandbox.client()
    task_id = client.submit("hold", stage.directory, **task)
    stage.wait_started()
    return task_id, stage


def test_keys(sandbox):
    """Of tasks that wait, run, and have ended."""
    controld, _ = sandbox.pair()
    client = sandbox.client()
    keys = {kind: [new_id(), f"order: {kind}?"]
            for kind in ("ended", "running", "queued")}
    ids = {key: client.submit("echo", key, key=key) for key in keys["ended"]}
    client.wait_results(list(ids.values()))
    stage = sandbox.stage()
    for kind in ("running", "queued"):
        ids.update((key, client.submit("hold", stage.directory, key=key)) for key in keys[kind])
    stage.wait_started()
    for kind in keys.values():
        equal(ids[kind[0]], kind[0], "a UUID is the id")
        check(ids[kind[1]] != kind[1], "another key is not")

    second, client = restart(sandbox, controld)
    for key, task_id in ids.items():
        equal(client.submit("echo", "again", key=key, mode=""), task_id, key)
        equal(client.submit_many([{"name": "echo", "key": key}, {"name": "echo", "key": key}], ""), [task_id] * 2)
    equal(client.info("STATS")["tasks"]["submitted"], 0)
    second.wait_line("sw1 registered")
    stage.open_gate()
    client.watch(*ids.values())
    results = dict(zip(ids, client.wait_results(list(ids.values()))))
    for key in keys["ended"]:
        equal(results[key].value["args"], [key], "the result of the first submit")

    _, client = restart(sandbox, second, "third")
    for key, task_id in ids.items():
        equal(client.submit("echo", key=key, mode=""), task_id, key)


def test_answer_before_result(sandbox):
    """The result of a task that has ended long ago does not overtake the answer to the submit that names it, even when
    that waits for the store because of another submit."""
    sandbox.pair()
    client = sandbox.client()
    known = client.submit("echo", 1, key="k")
    client.result(known)
    for i in range(10):
        other = sandbox.client()
        for correlation, key in (("new", ""), ("again", "k")):
            other.send("SUBMIT", "wait", "echo", "", key, b"{}", "", correlation=correlation)
        named = set()
        while len(other.results) < 2:
            frames = other.receive()
            check(frames is not None, "no answer")
            if frames[0] == b"FW1 ACCEPTED":
                named.add(frames[2])
                continue
            check(set(frames[2::6]) <= named, f"round {i}: a result came before the answer")
            other._collect(frames)  # pylint: disable=protected-access
        check(known in other.results, "both results came")


def test_key_of_a_forgotten_task(sandbox):
    """A key lasts as long as the result of its task."""
    controld, _ = sandbox.pair("--result-cache-size=1")
    client = sandbox.client()
    first = client.submit("echo", 1, key="k")
    client.result(first)
    client.call("noop")
    _, client = restart(sandbox, controld, "second", "--result-cache-size=1")
    check(client.submit("echo", 2, key="k") != first, "it is free again")


def test_unique(sandbox):
    controld, _ = sandbox.pair()
    client = sandbox.client()
    live, stage = held(sandbox, options=unique("nightly"))
    for second_time in (False, True):
        error = refused(client.submit, "noop", options=unique("nightly"))
        equal(error.code, "exists")
        equal(refused(client.submit, "noop", options=unique("nightly", "refuse")).code, "exists")
        equal(client.submit("noop", options=unique("nightly", "return"), mode=""), live)
        batch = [{"name": "noop"}, {"name": "noop", "options": unique("nightly")}]
        error = refused(client.submit_many, batch)
        equal(error.code, "exists")
        check("task 2" in error.text, error.text)
        equal(client.info("LIST", '{"name":"noop"}')["tasks"], [], "nothing of the batch was taken")
        if not second_time:
            controld, client = restart(sandbox, controld)
            controld.wait_line("sw1 registered")
    stage.open_gate()
    client.watch(live)
    equal(client.result(live).status, "success")
    new = client.submit("noop", options=unique("nightly"))
    check(new != live, "it is free when the task has ended")
    equal(client.result(new).status, "success")
    _, client = restart(sandbox, controld, "third")
    check(client.submit("noop", options=unique("nightly")) not in (live, new), "also after a restart")


def test_unique_within_a_batch(sandbox):
    _, worker = sandbox.pair()
    worker.stop()
    client = sandbox.client()
    same = unique("twice", "return")
    ids = client.submit_many([{"name": "noop", "options": same}, {"name": "noop", "options": same}])
    equal(ids[0], ids[1])
    equal(refused(client.submit_many, [{"name": "noop", "options": unique("u")}] * 2).code, "exists")
    equal(client.info("QUEUES")["total_queued"], 1)


def test_unique_and_retried(sandbox):
    """RETRY brings a task back whose unique key another one has by now: the coordinator starts again all the same."""
    controld, _ = sandbox.pair()
    client = sandbox.client()
    first = client.submit("fail-with", "no", options=unique("u"))
    equal(client.result(first).status, "failure")
    second_task, stage = held(sandbox, options=unique("u"))
    refusal = None
    try:
        client.request("RETRY", first)
    except Refused as e:
        refusal = e
    second, client = restart(sandbox, controld)
    second.wait_line("sw1 registered")
    equal(client.submit("noop", options=unique("u", "return"), mode="") in (first, second_task), True)
    stage.open_gate()
    client.watch(first, second_task)
    equal(client.result(second_task).status, "success")
    equal(client.result(first).status, "failure")
    check(refusal is None or refusal.code == "exists", f"{refusal}")


def test_memory_only(sandbox):
    """Gone after a restart, as asked for; those beside them are not."""
    controld, worker = sandbox.pair()
    client = sandbox.client()
    in_memory = json.dumps({"durability": "none"})
    ended = [client.submit("echo", 1, options=in_memory), client.submit("echo", 2)]
    client.wait_results(ended)
    worker.stop()
    queued = client.submit_many([{"name": "echo", "options": in_memory}, {"name": "echo"}] * 10, mode="")
    equal(client.info("QUEUES")["total_queued"], 20)
    _, client = restart(sandbox, controld)
    equal(client.info("QUEUES")["total_queued"], 10)
    equal({t["task_id"] for t in client.info("LIST", "{}")["tasks"]}, {*queued[1::2], ended[1]})
    for task_id in (ended[0], *queued[::2]):
        equal(refused(client.status, task_id).code, "unknown-task")


def test_memory_only_at_a_worker(sandbox):
    """A subworker that runs such a task stops it when the new coordinator does not know it."""
    controld, _ = sandbox.pair()
    task_id, _ = held(sandbox, options=json.dumps({"durability": "none"}))
    second, client = restart(sandbox, controld)
    second.wait_line("sw1 registered")
    equal(client.call("echo", 1).status, "success", "the slot is free")
    equal(refused(client.status, task_id).code, "unknown-task")


def test_options(sandbox):
    sandbox.pair()
    client = sandbox.client()
    for options in ({"durability": "full"}, {"durability": 1}, {"unique": ""}, {"unique": "x" * 65}, {"unique": 5},
                    {"unique": "a\tb"}, {"unique": "a", "unique_policy": "wait"}, {"uniq": "a"}):
        equal(refused(client.submit, "noop", options=json.dumps(options)).code, "bad-argument", f"{options}")
    equal(client.info("STATS")["tasks"]["submitted"], 0)


harness.main(globals())
