#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Sockets passed by the service manager, found by FileDescriptorName=."""

import os
import socket

import harness
from fwclient import Peer
from harness import BUILD, check, equal

LAUNCHER = """
import os, sys
fds = [int(a) for a in sys.argv[1].split(",")]
for target, fd in enumerate(fds, 3):
    assert fd >= 100
    os.dup2(fd, target)
os.environ["LISTEN_FDS"] = str(len(fds))
os.environ["LISTEN_FDNAMES"] = sys.argv[2]
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[3], sys.argv[3:])
"""


def start(sandbox, passed, *flags, name="controld", environment=None):
    """passed: list of (name, socket)."""
    high = [os.dup(s.fileno()) for _, s in passed]
    moved = []
    for fd in high:
        new = 100 + len(moved)
        os.dup2(fd, new)
        os.close(fd)
        moved.append(new)
    argv = ["/usr/bin/python3", "-c", LAUNCHER, ",".join(map(str, moved)), ":".join(n for n, _ in passed),
            f"{BUILD}/fastworker-controld", *flags]
    daemon = sandbox.start(name, argv, environment, pass_fds=moved)
    for fd in moved:
        os.close(fd)
    return daemon


def tcp():
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", 0))
    s.listen(128)
    return s, f"tcp://127.0.0.1:{s.getsockname()[1]}"


def unix(path):
    s = socket.socket(socket.AF_UNIX)
    s.bind(path)
    s.listen(128)
    return s, f"ipc://{path}"


def test_by_name(sandbox):
    """Two for clients, one each for subworkers and discovery, in an order that only names can sort out."""
    client_tcp, client_address = tcp()
    client_unix, unix_address = unix(sandbox.path("control.sock"))
    worker, worker_address = unix(sandbox.path("worker.sock"))
    discovery, discovery_address = tcp()
    daemon = start(sandbox, [("worker", worker), ("client", client_unix), ("discovery", discovery),
                             ("client", client_tcp)]).wait_ready()
    for address in (client_address, unix_address):
        client = sandbox.client(address)
        equal(client.request("PING")[0], "PONG")
    peer = Peer(discovery_address)
    sandbox.closers.append(peer.close)
    found = peer.info("DISCOVER")
    equal(sorted(found["client"]), sorted([client_address, unix_address]))
    equal(found["worker"], [worker_address])

    argv = [f"{BUILD}/fastworker-subworkerd", "--worker-id=sw1", f"--control-plane-address={unix_address}",
            "--task-modules=testtasks"]
    sandbox.start("sw1", argv).wait_ready()
    daemon.wait_line("sw1 registered")
    equal(sandbox.client(unix_address).call("echo", 1).value["args"], [1])
    for s in (client_tcp, client_unix, worker, discovery):
        s.close()


def test_restart_refuses_nobody(sandbox):
    """While the coordinator is away, its sockets take connections, which the next one serves."""
    listening, address = tcp()
    worker, worker_address = unix(sandbox.path("worker.sock"))
    names = [("client", listening), ("worker", worker)]
    first = start(sandbox, names).wait_ready()
    client = sandbox.client(address)
    equal(client.request("PING")[0], "PONG")
    first.stop()
    late = sandbox.client(address)
    late.send("PING", correlation="early")
    start(sandbox, names, name="second").wait_ready()
    equal(late.answer(b"early", "PING")[0], "PONG")
    check(os.path.exists(worker_address[6:]), "the socket file of the service manager stays")
    listening.close()
    worker.close()


def test_wrong_type(sandbox):
    """A datagram socket, one that does not listen, a file: closed with a warning that names it."""
    listening, address = tcp()
    datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagram.bind(("127.0.0.1", 0))
    idle = socket.socket()
    idle.bind(("127.0.0.1", 0))
    with open(sandbox.path("file"), "w", encoding="ascii") as file:
        daemon = start(sandbox, [("worker", datagram), ("client", listening), ("discovery", idle), ("worker", file)])
        daemon.wait_ready()
    daemon.wait_line("is ready")  # what was logged before has been read by then
    equal(daemon.count_lines('passed as "worker"'), 2, "lines about \"worker\"")
    equal(daemon.count_lines('passed as "discovery"'), 1, "lines about the one that does not listen")
    equal(sandbox.client(address).request("PING")[0], "PONG")
    for s in (listening, datagram, idle):
        s.close()


def test_unknown_name(sandbox):
    listening, address = tcp()
    other, _ = tcp()
    daemon = start(sandbox, [("surprise", other), ("client", listening)]).wait_ready()
    daemon.wait_line("surprise")
    equal(sandbox.client(address).request("PING")[0], "PONG")
    # It was closed, not kept: nobody but this test holds it.
    other.close()
    listening.close()


def test_flag_that_loses(sandbox):
    """An address given besides a socket of the same kind is a mistake of the administrator."""
    listening, _ = tcp()
    daemon = start(sandbox, [("client", listening)], f"--base-address={sandbox.client_address}")
    daemon.expect_status = 1
    equal(daemon.wait_end(), 1)
    daemon.wait_line("BaseAddress|--base-address")
    listening.close()


def test_not_for_us(sandbox):
    """LISTEN_PID of another process: nothing is taken."""
    sandbox.controld(environment={"LISTEN_PID": "1", "LISTEN_FDS": "3", "LISTEN_FDNAMES": "client:worker:discovery"})
    equal(sandbox.client().request("PING")[0], "PONG")


harness.main(globals())
