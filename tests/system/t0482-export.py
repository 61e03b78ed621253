#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""`fastworker export` at one coordinator, `fastworker import` at another: tasks keep what they were submitted with."""

import json

import harness
from fwclient import new_id, refused
from harness import check, equal

UNIQUE = {"unique": "nightly: report"}
RETURNS = {"unique": "weekly", "unique_policy": "return", "durability": "none"}
MEMORY_ONLY = {"durability": "none"}


def cli(sandbox, *argv, status=0, **kwargs):
    done = sandbox.cli(*argv, environment={"FASTWORKER_BASE_ADDRESS": sandbox.client_address}, **kwargs)
    equal(done.returncode, status, f"{argv}: {done.stderr}")
    return done


def coordinator_without_workers(sandbox, name):
    """It knows the tasks that there are, so that it takes them, and nobody runs them."""
    controld = sandbox.controld(name=name)
    worker = sandbox.subworker(f"{name}-worker")
    controld.wait_line(f"{name}-worker registered")
    worker.stop()
    return controld


def export_queued(sandbox):
    output = cli(sandbox, "export", "--status=queued").stdout
    return output, [json.loads(line) for line in output.splitlines()]


def test_options(sandbox):
    controld = coordinator_without_workers(sandbox, "first")
    tasks = [{"name": "echo", "args": [i], "options": json.dumps(options) if options else ""}
             for i, options in enumerate(({}, UNIQUE, RETURNS, MEMORY_ONLY))]
    tasks[0]["priority"] = "low"
    tasks[3]["priority"] = "critical"
    ids = sandbox.client().submit_many(tasks, "")
    lines, exported = export_queued(sandbox)
    equal([t["task_id"] for t in exported], ids)
    equal([t["options"] for t in exported], [{}, UNIQUE, RETURNS, MEMORY_ONLY])
    controld.stop()

    sandbox.state_directory = sandbox.path("other")
    controld = coordinator_without_workers(sandbox, "second")
    for _ in range(2):
        equal(cli(sandbox, "import", stdin=lines).stdout, "Imported 4 tasks.\n")
    client = sandbox.client()
    equal(client.info("QUEUES")["total_queued"], 4)
    _, imported = export_queued(sandbox)
    for key in ("task_id", "name", "priority", "arguments"):
        equal([t[key] for t in imported], [t[key] for t in exported])
    kept = {key: value for key, value in RETURNS.items() if key != "unique_policy"}
    equal([t["options"] for t in imported], [{}, UNIQUE, kept, MEMORY_ONLY])

    # They are in force, and not just for show.
    equal(refused(client.submit, "echo", options=json.dumps(UNIQUE)).code, "exists")
    equal(client.submit("echo", options=json.dumps(RETURNS), mode=""), ids[2])
    stranger = dict(exported[2], task_id=new_id())
    done = cli(sandbox, "import", stdin=json.dumps(stranger), status=7)
    equal(done.stdout, "Imported 0 tasks; 1 could not be taken.\n")
    check("line 1: " in done.stderr and "unique key" in done.stderr, done.stderr)
    controld.kill()
    sandbox.controld(name="third")
    client = sandbox.client()
    equal([t["task_id"] for t in export_queued(sandbox)[1]], ids[:2])
    for task_id in ids[2:]:
        equal(refused(client.status, task_id).code, "unknown-task")
    sandbox.subworker("sw1")
    client.watch(*ids[:2])
    equal([r.value["args"] for r in client.wait_results(ids[:2])], [[0], [1]])


harness.main(globals())
