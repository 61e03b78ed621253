#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A task that nobody ever offered is refused with the names that exist; one that was offered waits and says
for what."""

import harness
from fwclient import Refused
from harness import check, equal, until


def refusal(client, name):
    try:
        client.submit(name)
    except Refused as e:
        return e
    raise harness.Failure(f"{name} was taken")


def test_refused(sandbox):
    sandbox.pair("--startup-grace=0")
    client = sandbox.client()
    error = refusal(client, "ech")
    equal(error.code, "unknown-task-type")
    for name in ('"ech"', "echo", "noop", "hold"):
        check(name in error.text, f"{name} is not in: {error.text}")
    result = sandbox.cli("submit", f"--address={sandbox.client_address}", "--task-name", "ech", "--args", "1")
    check(result.returncode != 0, f"{result}")
    equal(result.stdout, "")
    check("echo" in result.stderr, result.stderr)


def test_refused_when_alone(sandbox):
    """No subworker ever came."""
    sandbox.controld("--startup-grace=0")
    error = refusal(sandbox.client(), "echo")
    equal(error.code, "unknown-task-type")


def test_grace(sandbox):
    """Just after the start a submit is held until a subworker offers the task; if none does, refused."""
    controld = sandbox.controld("--startup-grace=3600")
    client = sandbox.client()
    client.send("SUBMIT", "wait", "echo", "", "", "", "", correlation="early")
    equal(client.request("PING")[0], "PONG")
    sandbox.subworker("sw1")
    controld.wait_line("sw1 registered")
    equal(client.answer(b"early", "SUBMIT")[0], "ACCEPTED")

    controld.stop()
    sandbox.controld("--startup-grace=0.2", name="second")
    equal(refusal(client, "nobody-offers-this").code, "unknown-task-type")


def test_waits(sandbox):
    controld, worker = sandbox.pair()
    client = sandbox.client()
    client.call("echo")
    worker.stop()
    until(lambda: client.workers()["active_subworkers"] == 0, "no active subworker")

    task_id = client.submit("echo", 7)
    status = client.status(task_id)
    equal((status["status"], status["worker"]), ("queued", None))
    check("echo" in status["waits_for"] and "subworker" in status["waits_for"], f"{status['waits_for']}")
    controld.wait_line('"echo" wait: no active subworker')
    listed = client.info("LIST", '{"status":"queued"}')["tasks"]
    equal([t["waits_for"] for t in listed], [status["waits_for"]])

    # Others are not held up by it.
    sandbox.subworker("sw2", modules="mytasks")
    controld.wait_line("sw2 registered")
    equal(client.call("add", 5, 3).value, 8)
    equal(client.status(task_id)["status"], "queued")
    sandbox.subworker("sw3")
    equal(client.result(task_id).value["args"], [7])


harness.main(globals())
