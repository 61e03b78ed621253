#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Tasks that are to be queued later, and tasks that may be too late."""

import json
import os
import time
from datetime import datetime, timedelta, timezone

import harness
from harness import check, equal, until


def cli(sandbox, *argv, **kwargs):
    return sandbox.cli(*argv, environment={"FASTWORKER_BASE_ADDRESS": sandbox.client_address}, **kwargs)


def submit(client, name, *args, **options):
    return client.submit(name, *args, options=json.dumps(options))


def seconds(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def test_countdown(sandbox):
    controld, _ = sandbox.pair()
    client = sandbox.client()
    late, now = submit(client, "echo", "late", countdown=0.5), client.submit("echo", "now")
    equal(client.result(now).value["args"][0], "now", "it stands in nobody's way")
    status = client.status(late)
    if status["status"] == "scheduled":  # else this machine is very slow
        equal(round(seconds(status["due_at"]) - seconds(status["created_at"]), 3), 0.5)
    equal(client.result(late).value["args"][0], "late")
    status = client.status(late)
    check(seconds(status["started_at"] or status["completed_at"]) - seconds(status["created_at"]) >= 0.5, f"{status}")
    equal(client.info("STATS")["tasks"]["scheduled"], 0)
    check(controld.status is None, "it lives")


def test_eta(sandbox):
    sandbox.pair()
    client = sandbox.client()
    moment = datetime.now(timezone.utc) + timedelta(seconds=0.3)
    ids = [submit(client, "echo", 1, eta=moment.isoformat()), submit(client, "echo", 2, eta=moment.timestamp()),
           submit(client, "echo", 3, eta="2001-01-01T00:00:00+01:00")]
    equal([client.result(i).value["args"][0] for i in ids], [1, 2, 3])
    for task_id in ids[:2]:
        check(seconds(client.status(task_id)["completed_at"]) >= moment.timestamp() - 0.001, "not before its time")


def test_order_of_due(sandbox):
    """They run in the order of their times, not of their submits."""
    sandbox.pair()
    client, path = sandbox.client(), sandbox.path("file")
    at = time.time() + 0.3
    ids = [submit(client, "record", path, i, eta=at + (9 - i) * 0.001) for i in range(10)]
    client.wait_results(ids)
    with open(path, encoding="ascii") as f:
        equal([int(n) for n in f.read().split()], list(range(9, -1, -1)))


def test_restart(sandbox):
    controld, _ = sandbox.pair()
    client = sandbox.client()
    soon, late = submit(client, "echo", "soon", countdown=1), submit(client, "echo", "late", countdown=3600)
    before = client.status(late)
    controld.kill()
    second = sandbox.controld(name="second")
    second.wait_line("sw1 registered")
    again = sandbox.client()
    again.watch(soon)
    equal(again.result(soon).value["args"][0], "soon")
    after = again.status(late)
    equal((after["status"], after["due_at"]), ("scheduled", before["due_at"]))
    verb, fields = again.request("CANCEL", late)
    equal((verb, fields[1]), ("CANCELLED", b"cancelled"))
    again.watch(late)
    equal(again.result(late).status, "cancelled")


def test_expires(sandbox):
    sandbox.pair()
    client, stage = sandbox.client(), sandbox.stage()
    first = client.submit("hold", stage.directory)
    stage.wait_started()
    capacity = next(w["capacity"] for w in client.workers()["subworkers"].values())
    fill = [client.submit("echo", i) for i in range(capacity)]
    late, never = submit(client, "echo", "late", expires=0.2), submit(client, "echo", "x", countdown=3600, expires=3601)
    result = client.result(late)
    equal((result.status, result.error), ("expired", "expired: it was not begun in time"))
    check("expires_at" in client.status(never), "it is said when")
    stage.release()
    client.wait_results([first, *fill])
    in_time = submit(client, "echo", "in time", expires=3600)
    equal(client.result(in_time).value["args"][0], "in time")


def test_expired_before_it_came(sandbox):
    """With a subworker that is free: it is never given to that."""
    sandbox.pair()
    client, path = sandbox.client(), sandbox.path("file")
    for _ in range(20):
        result = client.result(submit(client, "record", path, 1, expires="2020-01-01T00:00:00Z"))
        equal((result.status, result.error), ("expired", "expired: it was not begun in time"))
    equal(client.call("echo", 1).status, "success")
    check(not os.path.exists(path), "none of them ran")


def test_expires_while_retrying(sandbox):
    sandbox.pair()
    client = sandbox.client()
    task_id = submit(client, "fail-with", "no luck", max_retries=5, retry_delay=60, expires=2)
    result = client.result(task_id)
    equal((result.status, result.error),
          ("expired", "expired before its next attempt; attempt 1 ended as failure: no luck"))
    equal([a["error"] for a in client.status(task_id)["history"]], ["no luck"])


def test_no_more_wake_ups(sandbox):
    """However many are scheduled for later, the coordinator does not look at them."""
    controld = sandbox.controld()
    sandbox.subworker("sw1")
    client = sandbox.client()
    options = json.dumps({"countdown": 3600})
    for _ in range(20):
        client.submit_many([{"name": "echo", "options": options}] * 500, mode="")
    equal(client.info("STATS")["tasks"]["scheduled"], 10000)
    client.call("echo", 1)
    before, at = harness.cpu_seconds(controld.pid), time.monotonic()
    until(lambda: time.monotonic() - at > 2, "two seconds")
    check(harness.cpu_seconds(controld.pid) - before < 0.2, "it sleeps")


def test_command_line(sandbox):
    sandbox.pair()
    task_id = cli(sandbox, "submit", "--task-name", "echo", "--countdown", "1h", "--expires", "2h", "--non-blocking").stdout.strip()
    for verb in (("status", "--task-id", task_id), ("list", "--status", "scheduled")):
        text = cli(sandbox, *verb).stdout
        check("scheduled" in text and ("Due" in text or "DUE" in text), text)
    lines = [{"task_name": "echo", "args": [1], "countdown": 0.1}, {"task_name": "echo", "eta": "yesterday"}]
    done = cli(sandbox, "batch", stdin="".join(json.dumps(line) + "\n" for line in lines))
    results = [json.loads(line) for line in done.stdout.splitlines()]
    equal(sorted(r["status"] for r in results), ["refused", "success"], done.stderr)
    for bad in (("--eta", "1h"), ("--expires", "never"), ("--countdown", "1", "--eta", "2030-01-01")):
        check(cli(sandbox, "submit", "--task-name", "echo", *bad).returncode == 2, f"{bad}")


if __name__ == "__main__":
    harness.main(globals())
