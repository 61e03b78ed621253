#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""BACKUP while tasks come and end: the file is a store that a coordinator can start with."""

import os
import shutil
import sqlite3
import threading

import harness
from fwclient import Client, refused
from harness import check, equal, until


class Load(threading.Thread):
    """Submits batches and waits for their results, until told to stop."""

    def __init__(self, address):
        super().__init__(daemon=True)
        self.address, self.stop_asked, self.rounds, self.error = address, threading.Event(), 0, None
        self.results = {}

    def run(self):
        client = Client(self.address)
        try:
            while not self.stop_asked.is_set():
                ids = client.submit_many([{"name": "token"}] * 50)
                self.results.update((r.task_id, r.data) for r in client.wait_results(ids))
                self.rounds += 1
        except Exception as e:  # pylint: disable=broad-exception-caught
            self.error = e
        finally:
            client.close()

    def stop(self):
        self.stop_asked.set()
        self.join()
        if self.error:
            raise self.error


def test_under_load(sandbox):
    controld, worker = sandbox.pair("--result-cache-size=1000000", worker_flags=["--concurrency=2"])
    client, stage = sandbox.client(), sandbox.stage()
    held = client.submit("hold", stage.directory)
    stage.wait_started()
    # Enough that the copy takes more than one step.
    big = client.submit_many([{"name": "echo", "raw": os.urandom(50000)} for _ in range(200)])
    client.wait_results(big)
    load = Load(sandbox.client_address)
    load.start()
    until(lambda: load.rounds > 3, "some load")
    before, rounds = dict(load.results), load.rounds
    path = sandbox.path("copy.sqlite")
    equal(client.request("BACKUP", path)[0], "ACK")
    until(lambda: load.rounds > rounds + 1, "more load")
    load.stop()
    equal([n for n in os.listdir(sandbox.directory) if n.startswith("copy")], ["copy.sqlite"])
    equal(os.stat(path).st_mode & 0o777, 0o600)
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        equal(db.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
    db.close()

    # What the running one has is not touched.
    worker.signal(15)
    controld.kill()
    stage.open_gate()
    worker.wait_end()
    original = sandbox.state_directory
    sandbox.state_directory = sandbox.path("restored")
    os.mkdir(sandbox.state_directory)
    shutil.copy(path, f"{sandbox.state_directory}/tasks.sqlite")
    second = sandbox.controld("--result-cache-size=1000000", "--heartbeat=0.1", "--inactive-after=0.3", name="second")
    client = sandbox.client()
    for task_id, data in before.items():
        equal(client.status(task_id)["result"], data, "of before the backup")
    for task_id in big:
        equal(client.status(task_id)["status"], "success")
    check(client.status(held)["status"] in ("queued", "assigned", "running"), "it had not ended")
    sandbox.subworker("sw2")
    client.watch(held)
    equal(client.result(held).status, "success")
    second.kill()

    sandbox.state_directory = original
    sandbox.controld("--result-cache-size=1000000", name="third")
    client = sandbox.client()
    for task_id, data in load.results.items():
        equal(client.status(task_id)["result"], data, "in the original")


def test_refusals(sandbox):
    sandbox.pair()
    client = sandbox.client()
    taken = sandbox.path("taken")
    with open(taken, "w", encoding="ascii") as f:
        f.write("mine")
    equal(refused(client.request, "BACKUP", "relative.sqlite").code, "bad-argument")
    for path, text in ((taken, "exists"), (sandbox.path("no/such/directory"), "No such file")):
        error = refused(client.request, "BACKUP", path)
        equal(error.code, "bad-argument")
        check(text in error.text and path in error.text, error.text)
    with open(taken, encoding="ascii") as f:
        equal(f.read(), "mine")
    equal(client.call("noop").status, "success")


def test_memory_only(sandbox):
    sandbox.controld("--durability=none")
    error = refused(sandbox.client().request, "BACKUP", sandbox.path("x"))
    equal(error.code, "bad-argument")
    check("none" in error.text, error.text)


harness.main(globals())
