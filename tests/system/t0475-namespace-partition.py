#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Hosts that lose the network between them, for longer than a lease lasts: each task runs at one place at a time, only
the result of who holds the lease counts, and everybody finds each other again. The hosts are network namespaces."""

import json
import os
import subprocess
import threading

from harness import BUILD, PATIENCE, check, equal, main, until
from netns import Cable, Host

# The subworker gives up half a second before the coordinator does.
SHORT = ("--heartbeat=0.2", "--inactive-after=3")
NEVER_HEARD = "not heard for too long, stopped 1 task"


class Centre:
    """A host with the coordinator, and another one beyond a cable. The test itself uses a unix socket."""

    def __init__(self, sandbox, *flags):
        self.sandbox = sandbox
        self.host, self.remote = Host(sandbox), Host(sandbox)
        self.cable = Cable(self.host, self.remote)
        self.address = f"tcp://{self.cable.near_address}:{sandbox.client_port}"
        self.flags = (f"--base-address=tcp://0.0.0.0:{sandbox.client_port}",
                      f"--local-socket=ipc://{sandbox.path('control.sock')}", *flags)
        self.controld = self.start()

    def start(self, name="controld"):
        self.controld = self.sandbox.controld(*self.flags, name=name, preexec=self.host.enter)
        return self.controld

    def client(self):
        return self.sandbox.client(f"ipc://{self.sandbox.path('control.sock')}")

    def subworker(self, name, host, *flags):
        start = len(self.controld.lines)
        worker = self.sandbox.subworker(name, f"--control-plane-address={self.address}", *flags, preexec=host.enter)
        self.controld.wait_line(f"{name} registered", start)
        return worker


class Batch:
    """`fastworker batch` on a host: a client that goes on submitting and waiting."""

    def __init__(self, sandbox, host, address):
        # pylint: disable=subprocess-popen-preexec-fn,consider-using-with
        self._errors = open(sandbox.path("batch.errors"), "w+", encoding="utf-8")
        self.process = subprocess.Popen([f"{BUILD}/fastworker", "batch", f"--address={address}", "--timeout=600"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
                                        env=sandbox.environment, cwd=sandbox.directory, preexec_fn=host.enter)
        self.results = []
        sandbox.closers.append(self.close)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        for line in self.process.stdout:
            self.results.append(json.loads(line))

    def submit(self, name, *args):
        self.process.stdin.write(json.dumps({"task_name": name, "args": args}) + "\n")
        self.process.stdin.flush()

    def finish(self):
        """Its results, in the order of the lines that it was given; it must end without any complaint."""
        self.process.stdin.close()
        status = self.process.wait(PATIENCE)
        self._thread.join(PATIENCE)
        self._errors.seek(0)
        equal((status, self._errors.read()), (0, ""))
        return sorted(self.results, key=lambda r: r["line"])

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._errors.close()


def is_there(pid):
    return os.path.exists(f"/proc/{pid}")


def n_lines(path):
    with open(path, encoding="utf-8") as f:
        return len(f.readlines())


def lose_worker(sandbox, cut, mend):
    """The task stops where it cannot be seen any more, before it starts elsewhere."""
    centre = Centre(sandbox, *SHORT)
    victim = centre.subworker("sw1", centre.remote)
    client, stage = centre.client(), sandbox.stage()
    task_id = client.submit("hold", stage.directory)
    (_, attempt, pid), = stage.wait_started()
    equal((attempt, client.status(task_id)["worker"]), (1, "sw1"))
    centre.subworker("sw2", centre.host)

    cut(centre.cable)
    (_, attempt, second_pid), = stage.wait_started()
    check(not is_there(pid), "the first execution has ended before the second one began")
    equal((attempt, client.status(task_id)["worker"]), (2, "sw2"))
    victim.wait_line(NEVER_HEARD)
    centre.controld.wait_line("sw1 was silent.*1 task queued again")
    equal(victim.status, None)

    start = len(centre.controld.lines)
    mend(centre.cable)
    centre.controld.wait_line("sw1 registered", start)
    check(is_there(second_pid), "the second execution goes on")
    # It is of use again: both have room for one, so that of two tasks each gets one.
    second = client.submit("hold", stage.directory)
    stage.wait_started()
    equal(client.status(second)["worker"], "sw1")
    stage.open_gate()
    equal([r.value for r in client.wait_results([task_id, second])], [2, 1])
    equal(client.workers()["active_subworkers"], 2)


def test_worker_unplugged(sandbox):
    lose_worker(sandbox, Cable.unplug, Cable.plug)


def test_worker_behind_a_hole(sandbox):
    """Nobody is told: no connection is reset, no packet comes back."""
    lose_worker(sandbox, Cable.drop_all, Cable.pass_all)


def test_worker_is_not_heard(sandbox):
    """Only what the subworker sends is lost."""
    lose_worker(sandbox, Cable.drop_to_near, Cable.pass_to_near)


def test_worker_hears_nothing(sandbox):
    """Only what the coordinator sends is lost."""
    lose_worker(sandbox, Cable.drop_to_far, Cable.pass_to_far)


def test_late_result(sandbox):
    """The task ends while its subworker is cut off, and has another one by the time this becomes known."""
    centre = Centre(sandbox, *SHORT)
    victim = centre.subworker("sw1", centre.remote, "--log-level=debug")
    client, stage = centre.client(), sandbox.stage()
    task_id = client.submit("hold", stage.directory)
    (_, _, pid), = stage.wait_started()
    centre.cable.drop_all()
    stage.release()
    victim.wait_line(r"hold.*attempt 1\): success")
    centre.subworker("sw2", centre.host)
    (_, attempt, second_pid), = stage.wait_started()
    equal(attempt, 2)
    check(is_there(pid), "the runner of the first one, which has a result, was not stopped")
    equal(victim.count_lines(NEVER_HEARD), 0)

    start = len(centre.controld.lines)
    centre.cable.pass_all()
    centre.controld.wait_line(f"sw1 .*1 task.* {task_id}.*not taken", start)
    centre.controld.wait_line("sw1 registered", start)
    equal((client.pushed, client.status(task_id)["status"]), ([], "running"))
    check(is_there(second_pid), "the second one goes on")
    stage.release()
    equal(client.result(task_id).value, 2)
    equal(client.call("noop").status, "success")


def test_result_kept_over_a_cut(sandbox):
    """Nobody else could run it: the result of the first execution is taken when the subworker is back."""
    centre = Centre(sandbox, *SHORT)
    centre.subworker("sw1", centre.remote)
    client, stage = centre.client(), sandbox.stage()
    task_id = client.submit("hold", stage.directory)
    stage.wait_started()
    centre.cable.unplug()
    stage.release()
    centre.cable.plug()
    equal(client.result(task_id).value, 1)
    equal(client.status(task_id)["attempt"], 1)


def client_cut_off(sandbox, *flags):
    centre = Centre(sandbox, *flags)
    for host in (centre.host, centre.remote):
        host.give_up_early()
    centre.subworker("sw1", centre.host)
    centre.subworker("sw2", centre.host)
    return centre, Batch(sandbox, centre.remote, centre.address), centre.client(), sandbox.stage()


def lose_client(sandbox, cut, mend):
    """A client is cut off while it waits for one task and submits another; both connections are given up."""
    centre, batch, client, stage = client_cut_off(sandbox)
    batch.submit("hold", stage.directory)
    (first, _, _), = stage.wait_started()
    cut(centre.cable)
    batch.submit("record", sandbox.path("record"), "x")
    stage.release()
    until(lambda: client.status(first)["status"] == "success", "the end of the first task")
    until(lambda: no_connection(centre.remote, sandbox.client_port), "TCP to give up")
    equal(batch.results, [])
    mend(centre.cable)
    results = batch.finish()
    equal([(r["status"], r["error"]) for r in results], [("success", None)] * 2)
    equal((results[0]["task_id"], results[0]["result"]), (first, 1))
    equal(n_lines(sandbox.path("record")), 1)


def no_connection(host, port):
    return not host.run("ss", "--no-header", "--tcp", "state", "established", f"( dport = :{port} )").strip()


def test_client_unplugged(sandbox):
    lose_client(sandbox, Cable.unplug, Cable.plug)


def test_client_behind_a_hole(sandbox):
    lose_client(sandbox, Cable.drop_all, Cable.pass_all)


def test_client_hears_nothing(sandbox):
    """What it submits arrives and is done, but it does not learn so, and submits it again under the same key."""
    centre, batch, client, stage = client_cut_off(sandbox)
    batch.submit("hold", stage.directory)
    (first, _, _), = stage.wait_started()
    centre.cable.drop_to_far()
    batch.submit("record", sandbox.path("record"), "x")
    until(lambda: os.path.exists(sandbox.path("record")), "the second task to run")
    stage.release()
    until(lambda: client.status(first)["status"] == "success", "the end of the first task")
    until(lambda: no_connection(centre.remote, sandbox.client_port), "TCP to give up")
    equal(batch.results, [])
    centre.cable.pass_to_far()
    equal([(r["status"], r["error"]) for r in batch.finish()], [("success", None)] * 2)
    equal(n_lines(sandbox.path("record")), 1)
    equal(client.info("STATS")["tasks"]["submitted"], 2)


def test_client_while_the_coordinator_restarts(sandbox):
    """What the client waits for goes on without it, at another instance of the coordinator."""
    centre, batch, _, stage = client_cut_off(sandbox)
    batch.submit("hold", stage.directory)
    (first, _, pid), = stage.wait_started()
    centre.cable.drop_all()
    batch.submit("record", sandbox.path("record"), "x")
    # When this is answered, the store knows who holds the task: else whoever registers first may be given it.
    client = centre.client()
    client.request("CANCEL", client.submit("noop", priority="low"))
    centre.controld.kill()
    centre.start("second").wait_line("sw2 registered")
    check(is_there(pid), "the task runs on")
    stage.release()
    client = centre.client()
    until(lambda: client.status(first)["status"] == "success", "the end of the first task")
    centre.cable.pass_all()
    results = batch.finish()
    equal([(r["status"], r["error"]) for r in results], [("success", None)] * 2)
    equal((results[0]["task_id"], results[0]["result"]), (first, 1))
    equal(n_lines(sandbox.path("record")), 1)


main(globals())
