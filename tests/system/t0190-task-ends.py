#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""How a task may end badly, and that nothing else suffers from it."""

import hashlib

import harness
from harness import check, equal, until


def test_crashes(sandbox):
    """A crash ends nothing but its runner. After the third one the task is not tried again."""
    _, worker = sandbox.pair()
    client = sandbox.client()
    for how, name in (("segv", "SIGSEGV"), ("abort", "SIGABRT"), ("kill", "SIGKILL"), ("exit", "7")):
        result = client.call("die", how)
        equal((result.status, result.data), ("dead", b""), how)
        check(name in result.error and "3 times" in result.error, f"{how}: {result.error}")
        equal(client.status(result.task_id)["attempt"], 3, how)
        check(result.completed >= result.started > 0, f"{how}: times")
        equal(client.call("echo", how).value["args"], [how], "the next one runs")
    equal(worker.status, None)
    check(any("SIGSEGV" in line for line in worker.lines), "the journal has the signal")


def test_crash_beside_others(sandbox):
    """Four slots: a crash in one does not touch the tasks in the others."""
    sandbox.pair(worker_flags=["--concurrency=4"])
    client, stage = sandbox.client(), sandbox.stage()
    held = client.submit_many([{"name": "hold", "args": [stage.directory]}] * 3)
    stage.wait_started(3)
    for _ in range(5):
        equal(client.call("die", "segv").status, "dead")
    stage.open_gate()
    equal([r.value for r in client.wait_results(held)], [1, 1, 1])


def test_failures(sandbox):
    sandbox.pair()
    client = sandbox.client()
    result = client.call("fail-with", "the moon is full \u263e")
    equal((result.status, result.error, result.data), ("failure", "the moon is full \u263e", b""))
    result = client.call("fail-with", "3")
    equal(result.status, "failure")
    check("3" in result.error, result.error)
    result = client.call("fail-with", "-2")
    check("No such file" in result.error, result.error)
    # Arguments that the task does not like are its own affair.
    equal(client.call("record").status, "failure")
    task_id = client.submit_many([{"name": "record", "raw": b"not JSON"}])[0]
    equal(client.result(task_id).status, "failure")


def test_example_module(sandbox):
    sandbox.pair(modules="mytasks")
    client = sandbox.client()
    equal(client.call("add", 5, 3).value, 8)
    equal(client.call("sleep", 0).status, "success")
    equal(client.call("fail").status, "failure")
    result = client.call("crash")
    equal(result.status, "dead")
    check("SIG" in result.error, result.error)
    with open(sandbox.path("text"), "w", encoding="ascii") as f:
        f.write("one two\nthree\n")
    with open(sandbox.path("text"), "rb") as f:
        digest = hashlib.sha256(f.read()).hexdigest()
    check(digest in str(client.call("sha256", sandbox.path("text")).value), "the SHA-256")
    check("3" in str(client.call("wordcount", sandbox.path("text")).value), "three words")
    equal(client.call("sha256", "/does/not/exist").status, "failure")


def test_surroundings(sandbox):
    """What belongs to the daemon does not reach a task."""
    sandbox.pair(worker_flags=())
    value = sandbox.client().call("surroundings").value
    for name in value["environment"]:
        check(not name.startswith(("NOTIFY_", "LISTEN_", "WATCHDOG_", "JOURNAL_STREAM", "CREDENTIALS_")), name)
    # The standard ones, the runner's socket, and what it puts back in the place of standard ones that a task closes.
    check(len(value["descriptors"]) <= 7, f"descriptors: {value['descriptors']}")


def test_output(sandbox):
    """Each line that a task writes is logged as this task's, also when tasks follow each other closely."""
    _, subworker = sandbox.pair()
    client = sandbox.client()
    client.wait_results([client.submit("noop") for _ in range(100)])  # known as short from now on
    ids = []
    for i in range(200):
        ids += [client.submit("print-a", f"a{i}."), client.submit("noop"), client.submit("print-b", f"b{i}.")]
    client.wait_results(ids)
    expected = sorted(f"print-{c}: {c}{i}." for c in "ab" for i in range(200)) * 2
    until(lambda: len(lines_of(subworker)) >= len(expected), "all lines")
    equal(sorted(lines_of(subworker)), sorted(expected))


def lines_of(daemon):
    return [line.split(": ", 1)[1].strip() for line in daemon.lines if ": print-" in line]


def test_many_sizes(sandbox):
    sandbox.pair("--max-result=1M")
    client = sandbox.client()
    for n in (2, 1000, 65536, 1048576):
        equal(len(client.call("big", n).data), n)
    result = client.call("big", 1048577)
    equal(result.status, "failure")
    check("1048576" in result.error, result.error)
    equal(client.call("noop").status, "success")


harness.main(globals())
