#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Rubbish on each endpoint: one logged refusal a peer, no growth, and service goes on."""

import contextlib
import json
import os
import random
import resource
import socket
import struct

import harness
import vectors
from fwclient import Peer, Refused
from harness import SOURCE, check, equal, until

MIB = 1048576
ROUNDS = 300
REFUSED = r"[Rr]efused"


def endpoints(sandbox):
    return {"client": sandbox.client_port, "worker": sandbox.worker_port, "discovery": sandbox.discovery_port}


def refusals(client):
    return client.info("STATS")["messages_refused"]


def connect(port):
    s = socket.create_connection(("127.0.0.1", port), timeout=harness.PATIENCE)
    s.settimeout(harness.PATIENCE)
    return s


def greeting():
    """What a ZMTP 3.0 peer with the NULL mechanism sends first."""
    return b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" + bytes(31)


def zmtp_connect(port, socket_type=b"DEALER"):
    """A raw connection on which the handshake is done."""
    s = connect(port)
    s.sendall(greeting())
    got = b""
    while len(got) < 64:
        got += s.recv(64 - len(got))
    body = b"\x05READY" + b"\x0bSocket-Type" + struct.pack(">I", len(socket_type)) + socket_type
    s.sendall(b"\x04" + bytes([len(body)]) + body)
    flags, size = s.recv(1), s.recv(1)[0]
    equal(flags, b"\x04")
    while size > 0:
        size -= len(s.recv(size))
    return s


def closed_by_peer(s):
    """Reads until the other side closes."""
    with contextlib.suppress(ConnectionResetError):
        while s.recv(65536):
            pass
    s.close()


def send_and_close(s, data):
    """The other side may close as soon as it has seen enough."""
    with contextlib.suppress(OSError):
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
    closed_by_peer(s)


def serve_check(sandbox, client):
    equal(client.call("echo", 1).value["args"], [1], "service goes on")
    for port in endpoints(sandbox).values():
        peer = Peer(f"tcp://127.0.0.1:{port}")
        equal(peer.request("PING")[0], "PONG")
        peer.close()


def test_bytes(sandbox):
    """No ZeroMQ at all."""
    controld, _ = sandbox.pair()
    client = sandbox.client()
    client.call("noop")
    rng = random.Random(2)
    texts = [b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", bytes(1000), b"\xff" * 1000]
    n = 0
    for name, port in endpoints(sandbox).items():
        start = len(controld.lines)
        for data in texts + [rng.randbytes(rng.randrange(12, 2000)) for _ in range(3)]:
            before = refusals(client)
            with connect(port) as s:
                send_and_close(s, data)
            n += 1
            until(lambda b=before: refusals(client) > b, f"refusal of {data[:16]!r} at the {name} endpoint")
        # What has been counted has been logged, but the lines may still be on their way to us.
        until(lambda s=start, t=f"{name} endpoint refused": sum(t in line for line in controld.lines[s:]) >= len(texts) + 3,
              f"lines for all peers at the {name} endpoint")
    for name in endpoints(sandbox):
        equal(controld.count_lines(f"{name} endpoint refused"), len(texts) + 3, f"lines about the {name} endpoint")
    serve_check(sandbox, client)


def test_frames(sandbox):
    """Every vector that is refused is refused by the real daemon, with that code, and the connection lives."""
    controld, _ = sandbox.pair()
    addresses = {"client -> controld": sandbox.client_address, "worker -> controld": sandbox.worker_address,
                 "anyone -> discovery": sandbox.discovery_address}
    peers = {d: Peer(a) for d, a in addresses.items()}
    sandbox.closers += [p.close for p in peers.values()]
    counts = dict.fromkeys(addresses, 0)
    for name in ("any", "client", "worker", "framing"):
        for vector in vectors.read(f"{SOURCE}/tests/vectors/{name}.txt"):
            if vector.direction not in addresses or vector.verdict[0] != "refused" or not vector.frames:
                continue
            if max(len(f) for f in vector.frames) > 2 * MIB:
                continue  # the next test
            peer = peers[vector.direction]
            peer.socket.send_multipart(vector.frames)
            frames = peer.receive()
            check(frames is not None, f"{vector.title}: no answer")
            equal((frames[0], frames[2].decode()), (b"FW1 ERROR", vector.verdict[1]), vector.title)
            if len(vector.frames) > 1 and len(vector.frames[1]) <= 32:
                equal(frames[1], vector.frames[1], vector.title)
            counts[vector.direction] += 1
    check(all(counts.values()) and sum(counts.values()) > 60, f"vectors: {counts}")
    for endpoint in ("client", "worker", "discovery"):
        equal(controld.count_lines(f"Refused a message at the {endpoint} endpoint"), 1,
              f"one line for the one peer at the {endpoint} endpoint")
    client = sandbox.client()
    equal(refusals(client), sum(counts.values()))
    for peer in peers.values():
        equal(peer.request("PING")[0], "PONG", "the peer itself may go on")
    serve_check(sandbox, client)


def test_persistent_peer(sandbox):
    """Somebody who sends nothing but rubbish is answered a hundred times, and logged once."""
    controld, _ = sandbox.pair()
    client = sandbox.client()
    peer = Peer(sandbox.client_address)
    sandbox.closers.append(peer.close)
    for _ in range(1000):
        peer.socket.send_multipart([b"FW1 RUBBISH", b"x"])
    until(lambda: refusals(client) == 1000, "1000 refusals")
    equal(peer.request("PING")[0], "PONG")
    check(peer.n_received - 1 <= 100, f"{peer.n_received - 1} answers")
    serve_check(sandbox, client)
    controld.wait_line("Refused a message at the client endpoint")
    controld.stop()
    equal(controld.count_lines("Refused a message at the client endpoint"), 1)


def test_announced(sandbox):
    """A frame of 1 GiB announced: the connection ends before it comes, and no memory is taken for it."""
    controld, _ = sandbox.pair()
    client = sandbox.client()
    client.call("noop")
    before = harness.rss_bytes(controld.pid)
    for port in endpoints(sandbox).values():
        for size in (1 << 30, (1 << 63) - 1, 100 * MIB):
            s = zmtp_connect(port)
            s.sendall(b"\x02" + struct.pack(">Q", size) + b"FW1 SUBMIT" * 100)
            closed_by_peer(s)
    grown = harness.rss_bytes(controld.pid) - before
    check(grown < 16 * MIB or harness.sanitized(), f"grown by {grown} bytes")
    serve_check(sandbox, client)


def test_no_growth(sandbox):
    """The same rubbish over and over takes no memory."""
    controld, _ = sandbox.pair()
    client = sandbox.client()
    rng = random.Random(3)

    def round_of_rubbish():
        for port in endpoints(sandbox).values():
            with connect(port) as s:
                send_and_close(s, rng.randbytes(100))
            peer = Peer(f"tcp://127.0.0.1:{port}")
            peer.socket.send_multipart([rng.randbytes(30), b"c"])
            check(peer.receive() is not None, "an answer")
            peer.close()

    for _ in range(ROUNDS // 3):
        round_of_rubbish()
    before, files = harness.rss_bytes(controld.pid), harness.descriptors(controld.pid)
    for _ in range(ROUNDS):
        round_of_rubbish()
    grown = harness.rss_bytes(controld.pid) - before
    check(grown < 2 * MIB or harness.sanitized(), f"grown by {grown} bytes in {ROUNDS} rounds")
    until(lambda: harness.descriptors(controld.pid) <= files + 3, "the connections are closed")
    lines = controld.count_lines(REFUSED)
    check(lines <= 70, f"{lines} lines: too many for the journal")
    serve_check(sandbox, client)


def test_half_open(sandbox):
    """Connections that never say anything, as many as descriptors allow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 10000
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, wanted + 1000), hard))
    n = min(wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500)
    controld, _ = sandbox.pair()
    client = sandbox.client()
    client.call("noop")
    before = harness.descriptors(controld.pid)
    sockets, ports = [], list(endpoints(sandbox).values())
    try:
        for i in range(n):
            sockets.append(connect(ports[i % 3]))
            if i % 1000 == 0:
                equal(client.request("PING")[0], "PONG")
        print(f"{n} connections")
        serve_check(sandbox, client)
        # They are closed from the other side when the handshake takes too long.
        until(lambda: harness.descriptors(controld.pid) < before + 50, "the end of the half-open connections")
    finally:
        for s in sockets:
            s.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    lines = controld.count_lines(REFUSED)
    check(lines <= 70, f"{lines} lines in the log")
    serve_check(sandbox, client)


def test_few_descriptors(sandbox):
    """More connections than descriptors: those that are there are served, and the rest when there is room."""
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
    controld = sandbox.controld(preexec=few)
    sandbox.subworker("sw1")
    controld.wait_line("sw1 registered")
    client = sandbox.client()
    client.call("noop")
    sockets = [connect(sandbox.client_port) for _ in range(400)]
    controld.wait_line("could not accept")
    equal(client.call("echo", 1).status, "success")
    for s in sockets:
        s.close()
    late = sandbox.client()
    equal(late.call("echo", 2).status, "success", "a new client after the flood")


def test_registering_again(sandbox):
    """A subworker may change what it offers, to more and to less; what it no longer offers is not its own."""
    sandbox.controld()
    client, worker = sandbox.client(), Peer(sandbox.worker_address)
    sandbox.closers.append(worker.close)
    for n in (1, 300, 2, 0, 301, 7):
        names = [f"task{i}" for i in range(n)]
        types = json.dumps({"types": [{"name": name, "description": ""} for name in names]})
        equal(worker.request("REGISTER", "changeable", 1, 1, types)[0], "REGISTERED")
        equal(client.workers()["subworkers"]["changeable"]["types"], names)
        offered = [t["name"] for t in client.info("TYPES")["types"] if t["workers"]]
        equal(sorted(offered), sorted(names))


def test_worker_endpoint_logic(sandbox):
    """Well-formed messages of somebody who is no subworker, or lies."""
    controld, _ = sandbox.pair()
    client, stage = sandbox.client(), sandbox.stage()
    task_id = client.submit("hold", stage.directory)
    stage.wait_started()
    liar = Peer(sandbox.worker_address)
    sandbox.closers.append(liar.close)

    def code(*message):
        try:
            return liar.request(*message)[0]
        except Refused as e:
            return e.code
    now = "1795523401123456"
    for message in (("HEARTBEAT", 0), ("DONE", task_id, 1, "success", "1", "", now, now, ""), ("DRAIN",), ("GOODBYE",),
                    ("RELEASE", "no reason", task_id, 1)):
        equal(code(*message), "not-registered", message[0])
    equal(code("REGISTER", "sw1", 1, 1, "{}"), "name-in-use")
    for info in ("[]", "{", '{"types":5}', '{"types":[{}]}', '{"types":[{"name":"a b"}]}', '{"pid":"x"}'):
        equal(code("REGISTER", "liar", 1, 1, info), "bad-argument", info)
    for slots in (0, 10000000):
        equal(code("REGISTER", "liar", slots, 1, "{}"), "bad-argument", f"{slots} slots")

    types = json.dumps({"types": [{"name": "liars-own", "description": ""}]})
    equal(code("REGISTER", "liar", 1, 1, types), "REGISTERED")
    equal(code("DONE", task_id, 1, "success", "1", "", now, now, ""), "ACK", "acknowledged, as it is not to come again")
    controld.wait_line("liar reports the end of 1 task that it does not hold")
    equal(code("RELEASE", "mine", task_id, 1), "ACK")
    equal(client.status(task_id)["worker"], "sw1", "nothing came of it")
    equal(code("GOODBYE"), "ACK")
    stage.release()
    equal(client.result(task_id).value, 1)
    check(os.path.exists(f"/proc/{controld.pid}"), "it lives")


harness.main(globals())
