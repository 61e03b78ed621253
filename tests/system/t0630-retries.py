#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A task that fails is tried again as often, and as late, as was said; what it said each time is kept."""

import json

import harness
from harness import check, equal, until


def cli(sandbox, *argv, **kwargs):
    return sandbox.cli(*argv, environment={"FASTWORKER_BASE_ADDRESS": sandbox.client_address}, **kwargs)


def submit(client, name, *args, **options):
    return client.submit(name, *args, options=json.dumps(options))


def retrying(client, task_id, n):
    """Waits until so many attempts were followed by another, which it waits for."""
    def is_there():
        status = client.status(task_id)
        return status if (status["status"], status.get("retries")) == ("retrying", n) else None
    return until(is_there, f"retry {n}")


def test_until_the_end(sandbox):
    sandbox.pair()
    client = sandbox.client()
    task_id = submit(client, "fail-with", "no luck", max_retries=2, retry_delay=0.01)
    result = client.result(task_id)
    equal((result.status, result.error), ("failure", "no luck"))
    status = client.status(task_id)
    equal((status["attempt"], status["retries"], status["crashes"]), (3, 2, 0))
    equal([(a["attempt"], a["worker"], a["outcome"], a["error"]) for a in status["history"]],
          [(n, "sw1", "failure", "no luck") for n in (1, 2, 3)])
    for before, after in zip(status["history"], status["history"][1:]):
        check(before["started_at"] <= before["completed_at"] < after["started_at"], f"{before} {after}")
    text = cli(sandbox, "status", "--task-id", task_id).stdout
    for line in ("Retries: 2", "Attempts: 1, ", "failure: no luck"):
        check(line in text, f"{line!r} in {text}")


def test_not_without_being_told(sandbox):
    sandbox.pair()
    client = sandbox.client()
    task_id = client.submit("fail-with", "no luck")
    equal(client.result(task_id).status, "failure")
    status = client.status(task_id)
    equal((status["attempt"], "history" in status, "retries" in status), (1, False, False))


def test_restart_while_it_waits(sandbox):
    controld, _ = sandbox.pair()
    client = sandbox.client()
    later = submit(client, "fail-with", "x" * 2000, max_retries=5, retry_delay=3600)
    before = retrying(client, later, 1)
    equal(before["history"][0]["error"], "x" * 500, "the head of the error")
    check(before["due_at"] > before["created_at"], f"{before}")
    submit(client, "noop")  # once that is accepted, all that was before it is safe, too
    controld.kill()
    second = sandbox.controld(name="second")
    second.wait_line("sw1 registered")
    again = sandbox.client()
    after = again.status(later)
    for key in ("status", "retries", "due_at", "history"):
        equal(after[key], before[key], key)


def test_cancel_and_retry_verb(sandbox):
    sandbox.pair()
    client = sandbox.client()
    task_id = submit(client, "fail-with", "no luck", max_retries=1, retry_delay=3600)
    retrying(client, task_id, 1)
    verb, fields = client.request("CANCEL", task_id)
    equal((verb, [f.decode() for f in fields]), ("CANCELLED", [task_id, "cancelled", "cancelled"]))
    result = client.result(task_id)
    equal((result.status, result.error), ("cancelled", "cancelled before its next attempt"))

    task_id = submit(client, "fail-with", "no luck", max_retries=1, retry_delay=0)
    equal(client.result(task_id).status, "failure")
    equal(client.status(task_id)["retries"], 1)
    equal(client.request("RETRY", task_id)[0], "ACK")
    again = sandbox.client()
    again.watch(task_id)
    equal(again.result(task_id).status, "failure")
    status = again.status(task_id)
    equal((status["attempt"], status["retries"]), (4, 1), "it began anew")
    equal([a["attempt"] for a in status["history"]], [3, 4])


def test_command_line(sandbox):
    sandbox.pair()
    done = cli(sandbox, "submit", "--task-name", "fail-with", "--args", "no luck", "--max-retries", "1", "--retry-delay", "1ms",
                       "--retry-jitter", "0.5", "--retry-backoff", "1.5", "--retry-backoff-max", "5")
    equal(done.returncode, 1, done.stderr)
    for bad in (("--retry-jitter", "2"), ("--retry-backoff", "0.5"), ("--retry-backoff", "x"), ("--max-retries", "-1")):
        check(cli(sandbox, "submit", "--task-name", "fail-with", *bad).returncode not in (0, 1), f"{bad}")


def test_crashes_and_usage(sandbox):
    """Crashes and lost subworkers stand in the history; how the last attempt went is said of the task, and survives."""
    controld, worker = sandbox.pair("--reconnect-within=0")
    client, stage = sandbox.client(), sandbox.stage()
    task_id = client.submit("die", "segv")
    equal(client.result(task_id).status, "dead")
    status = client.status(task_id)
    equal([(a["attempt"], a["outcome"]) for a in status["history"]], [(n, "crash") for n in (1, 2, 3)])
    check(all("exit" in a["error"] or "kill" in a["error"] or "SIG" in a["error"] for a in status["history"]), f"{status}")
    lost = client.submit("hold", stage.directory)
    stage.wait_started()
    until(lambda: client.status(lost)["status"] == "running", "it runs")
    worker.kill()
    until(lambda: client.status(lost)["status"] == "queued", "it was lost")
    sandbox.subworker("sw2")
    stage.wait_started()
    until(lambda: client.status(lost)["status"] == "running", "long enough to be measured")
    stage.release()
    equal(client.result(lost).status, "success")
    status = client.status(lost)
    equal([(a["worker"], a["outcome"]) for a in status["history"]], [("sw1", "lost"), ("sw2", "success")])
    usage = status["usage"]
    check(usage["wall_sec"] > 0 and usage["cpu_sec"] >= 0, f"{usage}")
    check("Usage: CPU " in cli(sandbox, "status", "--task-id", lost).stdout, "shown to people")
    controld.kill()
    sandbox.controld(name="second")
    equal(sandbox.client().status(lost)["usage"], usage)


def test_too_large(sandbox):
    """What would be as large again is not tried again."""
    sandbox.pair(worker_flags=("--max-result=64K",))
    client = sandbox.client()
    task_id = submit(client, "big", 100000, max_retries=3, retry_delay=0.01)
    result = client.result(task_id)
    equal(result.status, "failure")
    check("MaxResultBytes=" in result.error or "result" in result.error, result.error)
    equal(client.status(task_id)["attempt"], 1)


def test_reasons(sandbox):
    sandbox.pair()
    client = sandbox.client()
    for reasons, attempts in ((["timeout", "oom"], 1), (["exception"], 2), (["all"], 2), ([], 1)):
        task_id = submit(client, "fail-with", "x", max_retries=1, retry_delay=0.01, retry_on=reasons)
        equal(client.result(task_id).status, "failure")
        equal(client.status(task_id)["attempt"], attempts, f"{reasons}")


if __name__ == "__main__":
    harness.main(globals())
