#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The disk of the store is full: submits are refused, what is queued goes on and ends, and when there is room again all
is as before. The state directory is a small file system in a mount namespace of its own."""

import contextlib
import os
import subprocess

import harness
from fwclient import Refused
from harness import check, equal, until

MIB = 1024 * 1024


class SmallDisk:
    """A tmpfs that only those see who are started with `prefix`."""

    def __init__(self, sandbox, mib):
        if os.geteuid() != 0:
            raise harness.Skip("only root can mount a small file system")
        os.makedirs(sandbox.state_directory)
        script = f"mount -t tmpfs -o size={mib}M none '{sandbox.state_directory}' && echo mounted && exec cat"
        self.holder = subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        sandbox.closers.append(self.close)
        if self.holder.stdout.readline() != b"mounted\n":
            raise harness.Skip("mount namespaces cannot be used here")
        self.prefix = ("nsenter", f"--target={self.holder.pid}", "--mount", "--")
        self.directory = f"/proc/{self.holder.pid}/root{sandbox.state_directory}"

    def fill(self):
        """Takes what is there, up to the last page."""
        with open(f"{self.directory}/filler", "ab", buffering=0) as f:
            for size in (MIB, 4096):
                with contextlib.suppress(OSError):
                    while True:
                        f.write(bytes(size))

    def empty(self):
        os.unlink(f"{self.directory}/filler")

    def close(self):
        self.holder.stdin.close()
        self.holder.wait()
        self.holder.stdout.close()


def start(sandbox, mib=24):
    disk = SmallDisk(sandbox, mib)
    controld = sandbox.controld("--max-store=64M", prefix=disk.prefix)
    worker = sandbox.subworker("sw1")
    controld.wait_line("sw1 registered")
    return disk, controld, worker


def refusal(client, **task):
    """What a submit is refused with, or None."""
    try:
        client.submit_many([{"name": "echo", **task}] * 10, "")
        return None
    except Refused as e:
        return e


def submit_if_room(client, *args):
    try:
        return client.submit("echo", *args)
    except Refused as e:
        equal(e.code, "no-space")
        return None


def test_full(sandbox):
    disk, controld, _ = start(sandbox)
    client, stage = sandbox.client(), sandbox.stage()
    running = client.submit("hold", stage.directory)
    stage.wait_started()
    queued = client.submit_many([{"name": "echo", "args": [i]} for i in range(500)])

    disk.fill()
    error = until(lambda: refusal(client, raw=bytes(20000)), "a refusal")
    equal(error.code, "no-space")
    controld.wait_line("No space for new tasks")
    equal(client.info("QUEUES")["total_queued"] >= 500, True)
    accepted = client.info("STATS")["tasks"]["submitted"]

    # What was taken runs, ends, and is told.
    stage.release()
    equal(client.result(running).value, 1)
    for i, result in enumerate(client.wait_results(queued)):
        equal((result.status, result.value["args"]), ("success", [i]))
    equal(refusal(client, raw=b"[]").code, "no-space", "new ones are still refused")
    equal(client.info("STATS")["tasks"]["submitted"], accepted)
    equal(controld.status, None)

    disk.empty()
    until(lambda: refusal(client, raw=b"[]") is None, "an accepted submit")
    controld.wait_line("There is space for new tasks again")
    equal(client.call("echo", "after").value["args"], ["after"])
    equal(controld.count_lines("No space for new tasks"), 1)
    before = {t["task_id"]: t["status"] for t in client.info("LIST", '{"limit":1000}')["tasks"]}
    until(lambda: client.info("QUEUES")["total_queued"] == 0, "an empty queue")

    controld.kill()
    second = sandbox.controld("--max-store=64M", prefix=disk.prefix, name="second")
    second.wait_line("sw1 registered")
    client = sandbox.client()
    equal({t["task_id"] for t in client.info("LIST", '{"limit":1000}')["tasks"]}, set(before))
    for i, task_id in enumerate(queued):
        equal(client.status(task_id)["status"], "success", f"task {i}")
    equal(client.call("echo", 2).status, "success")


def test_killed_while_full(sandbox):
    """Results that were told while the disk was full are there after a kill and a restart on the full disk."""
    disk, controld, worker = start(sandbox)
    client = sandbox.client()
    ids = client.submit_many([{"name": "token"}] * 200)
    disk.fill()
    until(lambda: refusal(client, raw=bytes(20000)), "a refusal")
    results = {r.task_id: r.data for r in client.wait_results(ids)}
    controld.kill()
    disk.fill()
    second = sandbox.controld("--max-store=64M", prefix=disk.prefix, name="second", ready=False)
    second.wait_ready()
    second.wait_line("sw1 registered")
    client = sandbox.client()
    for task_id, data in results.items():
        equal(client.status(task_id)["result"], data)
    disk.empty()
    until(lambda: refusal(client, raw=b"[]") is None, "an accepted submit")
    equal(worker.status, None)


LARGE = b'{"args":["' + b"x" * 100000 + b'"]}'


def keyed(n, prefix="k"):
    return [{"name": "echo", "key": f"{prefix}{i}", "raw": LARGE} for i in range(n)]


def fill_up(client):
    """Submits large tasks under the keys k0, k1, ... until one is refused; the ids of the others, and the refusal."""
    ids = []
    for task in keyed(200):
        try:
            ids += client.submit_many([task])
        except Refused as e:
            return ids, e
    raise harness.Failure("no submit was refused")


def limited(sandbox, *flags):
    controld = sandbox.controld("--max-store=16M", *flags)
    worker = sandbox.subworker("sw1")
    controld.wait_line("sw1 registered")
    worker.stop()
    return controld


def test_limit(sandbox):
    """MaxStoreBytes= is reached: new submits are refused, resent ones are confirmed, and all that was taken ends,
    though its results do not fit into the limit either."""
    for flags in ((), ("--result-cache-size=10",)):
        inner = harness.Sandbox()
        try:
            check_limit(inner, *flags)
            inner.finish()
            print(f"ok with {flags or 'the default cache'}")
        except Exception:
            inner.print_logs()
            raise
        finally:
            inner.destroy()


def check_limit(sandbox, *flags):
    controld = limited(sandbox, *flags)
    client = sandbox.client()
    ids, error = fill_up(client)
    check(100 < len(ids) < 170, f"{len(ids)} tasks of 100000 bytes in 16 MiB")
    equal(error.code, "no-space")
    check("MaxStoreBytes" in error.text and "nothing of this was taken" in error.text, error.text)
    controld.wait_line("No space for new tasks")

    # What was taken is confirmed to a client that asks again; nothing else is taken.
    equal(client.submit_many(keyed(len(ids)), ""), ids)
    for n in (0, 3):
        try:
            client.submit_many([*keyed(n), *keyed(10, "new")], "")
            raise harness.Failure("a submit was not refused")
        except Refused as e:
            equal(e.code, "no-space")
            check(("nothing of this" if n == 0 else "3 of these tasks are known") in e.text, e.text)
    equal(client.info("QUEUES")["total_queued"], len(ids))

    sandbox.subworker("sw2")
    for i, result in enumerate(client.wait_results(ids)):
        equal((result.status, len(result.data) > 100000), ("success", True), f"task {i}")
    equal(client.info("QUEUES")["total_queued"], 0)
    # Now the results hold the room: the oldest make way for what comes.
    until(lambda: refusal(client, raw=LARGE) is None, "room again")
    for _ in range(20):
        until(lambda: refusal(client, raw=LARGE) is None, "room for more")
    controld.wait_line("There is space for new tasks again")
    until(lambda: client.info("QUEUES")["total_queued"] == 0, "an empty queue")
    # Room for the result of the last one is made when that is there.
    again = until(lambda: submit_if_room(client, "after"), "room again")
    check(client.result(again).status == "success", "it goes on")


def test_results_survive_what_would_be_in_vain(sandbox):
    """Queued tasks fill the store: the few results are not dropped, as that would make no room."""
    controld = sandbox.controld("--max-store=16M")
    worker = sandbox.subworker("sw1")
    controld.wait_line("sw1 registered")
    client = sandbox.client()
    ended = [client.call("echo", i).task_id for i in range(20)]
    worker.stop()
    fill_up(client)
    until(lambda: refusal(client, raw=b"[]") is not None, "a full store")
    for task_id in ended:
        equal(client.status(task_id)["status"], "success")


harness.main(globals())
