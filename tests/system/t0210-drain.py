#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""SIGTERM: a subworker finishes what runs within a deadline and hands the rest back."""

import json
import os
import signal

import zmq

import harness
from fwclient import CONTEXT, Peer
from harness import check, equal, until


def test_finishes(sandbox):
    controld, worker = sandbox.pair(worker_flags=["--concurrency=2"])
    client, stage = sandbox.client(), sandbox.stage()
    running = client.submit_many([{"name": "hold", "args": [stage.directory]}] * 2)
    stage.wait_started(2)
    waiting = [client.submit("echo", i) for i in range(5)]
    worker.signal(signal.SIGTERM)
    worker.wait_message("STOPPING", "^1$")
    until(lambda: client.workers()["subworkers"]["sw1"]["status"] == "draining", "draining")
    stage.open_gate()
    equal([r.value for r in client.wait_results(running)], [1, 1], "they ran to their end, once")
    equal(worker.wait_end(), 0)
    equal({client.status(i)["status"] for i in waiting}, {"queued"})
    sandbox.subworker("sw2")
    controld.wait_line("sw2 registered")
    equal({r.status for r in client.wait_results(waiting)}, {"success"})
    equal({client.status(i)["attempt"] for i in waiting}, {1}, "attempts: what did not start spent none")
    check("sw1" not in client.workers()["subworkers"], "it said goodbye")


def test_deadline(sandbox):
    """What does not end in time is handed back, and runs elsewhere."""
    controld = sandbox.controld()
    sandbox.subworker("sw1", "--drain-timeout=1")
    controld.wait_line("sw1 registered")
    client, stage = sandbox.client(), sandbox.stage()
    task_id = client.submit("hold", stage.directory)
    (_, _, pid), = stage.wait_started()
    sandbox.subworker("sw2")
    controld.wait_line("sw2 registered")
    worker = sandbox.daemons[1]
    worker.signal(signal.SIGTERM)
    stage.wait_started()
    equal(client.status(task_id)["worker"], "sw2")
    equal(worker.wait_end(), 0)
    check(not os.path.exists(f"/proc/{pid}"), "the first run was stopped")
    check(any(k == "EXTEND_TIMEOUT_USEC" for k, _ in worker.messages), "it asked for time while it drained")
    stage.release()
    equal(client.result(task_id).status, "success")


def test_idle(sandbox):
    """Nothing runs: it ends at once, and no prefetched task is lost."""
    controld, worker = sandbox.pair()
    client = sandbox.client()
    client.wait_results(client.submit_many([{"name": "noop"}] * 1000))
    ids = client.submit_many([{"name": "echo", "args": [i]} for i in range(1000)])
    worker.signal(signal.SIGTERM)
    equal(worker.wait_end(), 0)
    sandbox.subworker("sw2")
    controld.wait_line("sw2 registered")
    for i, result in enumerate(client.wait_results(ids)):
        equal((result.status, result.value["args"]), ("success", [i]))


def test_own_endpoint(sandbox):
    """DRAIN at the subworker's own endpoint, after PING and REPORT."""
    port = harness.free_port()
    _, worker = sandbox.pair(worker_flags=[f"--base-address=tcp://127.0.0.1:{port}"])
    client, stage = sandbox.client(), sandbox.stage()
    equal(client.workers()["subworkers"]["sw1"]["address"], f"tcp://127.0.0.1:{port}")
    task_id = client.submit("hold", stage.directory)
    stage.wait_started()
    peer = Peer(f"tcp://127.0.0.1:{port}")
    sandbox.closers.append(peer.close)
    equal(peer.request("PING")[0], "PONG")
    report = peer.info("REPORT")
    equal((report["worker_id"], report["slots"]), ("sw1", 1))
    equal([(t["task_id"], t["name"]) for t in report["running"]], [(task_id, "hold")])
    equal(peer.request("DRAIN")[0], "ACK")
    worker.wait_message("STOPPING", "^1$")
    stage.release()
    equal(client.result(task_id).value, 1)
    equal(worker.wait_end(), 0)


def test_second_signal(sandbox):
    """Whoever is impatient says it twice."""
    _, worker = sandbox.pair(worker_flags=["--drain-timeout=3600"])
    client, stage = sandbox.client(), sandbox.stage()
    task_id = client.submit("hold", stage.directory)
    stage.wait_started()
    worker.signal(signal.SIGTERM)
    worker.wait_message("STOPPING", "^1$")
    worker.signal(signal.SIGTERM)
    equal(worker.wait_end(), 0)
    until(lambda: client.status(task_id)["status"] == "queued", "handed back")


def test_before_it_is_registered(sandbox):
    """A worker that leaves when its registration is on the way says goodbye, too: else the coordinator would give it tasks
    until it notices."""
    router = CONTEXT.socket(zmq.ROUTER)
    router.linger = 0
    sandbox.closers.append(router.close)
    router.bind(sandbox.client_address)

    def receive(*verbs):
        while True:
            check(router.poll(harness.PATIENCE * 1000), f"none of {verbs} came")
            peer, verb, *fields = router.recv_multipart()
            if verb.decode().partition(" ")[2] in verbs:
                return peer, fields

    worker = sandbox.subworker("sw1")
    peer, (correlation, *_) = receive("DISCOVER")
    addresses = [sandbox.client_address]
    router.send_multipart([peer, b"FW1 INFO", correlation, json.dumps(
        {"worker_id": "fake", "version": "0", "protocol": [1, 1], "client": addresses, "worker": addresses}).encode()])
    peer, (correlation, *_) = receive("REGISTER")
    worker.signal(signal.SIGTERM)
    worker.wait_message("STOPPING", "^1$")
    router.send_multipart([peer, b"FW1 REGISTERED", correlation, json.dumps(
        {"worker_id": "fake", "instance": "0" * 32, "version": "0", "heartbeat_usec": 10000000,
         "lease_usec": 30000000, "max_result_bytes": 1 << 20}).encode()])
    peer, (correlation, *_) = receive("GOODBYE")
    router.send_multipart([peer, b"FW1 ACK", correlation])
    equal(worker.wait_end(), 0)


harness.main(globals())
