#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Subworkers that are started through their sockets while tasks have to wait, and leave when they have nothing to
do."""

import json
import signal
import socket

import zmq

import harness
from activator import Activator
from fwclient import CONTEXT, Refused, new_id
from harness import check, equal, until


def scaling(client):
    return client.info("STATS")["scaling"]


def states(client):
    return [i["state"] for i in scaling(client)["instances"]]


def pass_ticks(client, n=4):
    """Waits until the coordinator has looked after all that depends on time so many times."""
    until_uptime = client.info("STATS")["uptime_sec"] + n
    until(lambda: client.info("STATS")["uptime_sec"] >= until_uptime, f"{n} seconds of the coordinator")


def expect_quiet(client, activator):
    """Nobody is started, and nobody will be: there is no connection that would have the socket unit do so."""
    before = activator.n_starts()
    pass_ticks(client)
    equal(activator.n_starts(), before, "starts of each instance while there is nothing to do")
    check(not any(unit.has_visitor() for unit in activator.units), "nobody has connected to a socket")
    equal(activator.running(), [])


def test_grow_and_leave(sandbox):
    """Many long tasks start all four, one after the last task none runs, and it stays so until the next task."""
    activator = Activator(sandbox, 4, "--idle-timeout=1")
    controld = sandbox.controld(*activator.flags(), "--wake-after=500ms")
    client, stage = sandbox.client(), sandbox.stage()
    client.call("noop")
    activator.wait_starts(1, 0, 0, 0)
    activator.wait_asleep()

    ids = client.submit_many([{"name": "hold", "args": [stage.directory]}] * 100)
    stage.wait_started(4)
    activator.wait_running(1, 2, 3, 4)
    equal(client.workers()["active_subworkers"], 4)
    equal(states(client), ["running"] * 4)
    controld.wait_line(r'Woke fastworker-subworker@4: tasks "hold" have waited for \d+\.\d s\.')
    stage.open_gate()
    equal({r.status for r in client.wait_results(ids)}, {"success"})

    activator.wait_asleep()
    until(lambda: client.workers()["subworkers"] == {}, "all have said goodbye")
    expect_quiet(client, activator)
    activator.wait_starts(2, 1, 1, 1)
    equal(client.info("STATS")["tasks"]["requeued"], 0, "no task was given to one that left")
    equal(controld.count_lines("no handshake"), 0)
    equal([u.starts[-1].count_lines("no handshake") for u in activator.units], [0] * 4, "waking is no offence")
    equal(states(client), ["asleep"] * 4)

    equal(client.call("echo", 1).value["args"], [1])
    activator.wait_starts(3, 1, 1, 1)


def test_unknown_type(sandbox):
    """All are asked once what they offer; then such a submit is refused at once, and wakes nobody."""
    activator = Activator(sandbox, 3, "--idle-timeout=1")
    controld = sandbox.controld(*activator.flags())
    client = sandbox.client()
    try:
        client.submit("no-such-task")
        check(False, "it was taken")
    except Refused as e:
        equal(e.code, "unknown-task-type")
        check("no subworker ever offered" in e.text and "echo" in e.text, e.text)
    activator.wait_starts(1, 1, 1)
    controld.wait_line("Woke fastworker-subworker@1 to learn what it offers")

    activator.wait_asleep()
    try:
        client.submit("no-such-task")
        check(False, "it was taken")
    except Refused as e:
        check("echo" in e.text, e.text)
    expect_quiet(client, activator)
    equal(activator.n_starts(), [1, 1, 1])


def test_first_of_all(sandbox):
    """Nobody has ever run: the submit is held while the first one tells what it offers."""
    activator = Activator(sandbox, 4)
    sandbox.controld(*activator.flags())
    equal(sandbox.client().call("echo", "x").value["args"], ["x"])
    activator.wait_starts(1, 0, 0, 0)


def test_restart(sandbox):
    """A coordinator that finds nobody knows which types there are, and what waits."""
    activator = Activator(sandbox, 2, "--idle-timeout=1")
    controld = sandbox.controld(*activator.flags())
    client = sandbox.client()
    client.call("echo")
    activator.wait_starts(1, 0)
    activator.wait_asleep()
    controld.stop()

    controld = sandbox.controld(*activator.flags(0), name="off")
    waiting = sandbox.client().submit("echo", 7)
    controld.wait_line('Tasks "echo" wait')
    controld.stop()

    sandbox.controld(*activator.flags(), name="again")
    client = sandbox.client()
    client.watch(waiting)
    equal(client.result(waiting).value["args"], [7])


def test_nobody_there(sandbox):
    """Behind one socket nothing starts, a file is left over from another, a third was never enabled."""
    activator = Activator(sandbox, 4, broken=[1])
    _, stale, disabled, _ = activator.units
    for unit in (stale, disabled):
        unit.disable()
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(stale.path)
    controld = sandbox.controld(*activator.flags(), "--wake-timeout=1", "--wake-after=200ms")
    client, stage = sandbox.client(), sandbox.stage()
    equal(client.call("echo", 1).value["args"], [1])
    activator.wait_starts(1, 0, 0, 1)
    controld.wait_line("fastworker-subworker@1 was woken, but has not registered within 1 s")
    controld.wait_line("Cannot wake fastworker-subworker@2, .*Connection refused.*systemctl status")
    controld.wait_line("Cannot wake fastworker-subworker@3, .*No such file.*systemctl enable --now "
                       "fastworker-subworker@3.socket")
    equal(states(client), ["failed", "failed", "failed", "running"])
    equal([i["error"] for i in scaling(client)["instances"]],
          [None, "Connection refused", "No such file or directory", None])

    # When the socket is enabled, a reload has it found at once.
    disabled.enable()
    controld.signal(signal.SIGHUP)
    ids = [client.submit("hold", stage.directory) for _ in range(2)]
    stage.wait_started(2)
    activator.wait_running(3, 4)
    stage.open_gate()
    client.wait_results(ids)


def test_lost_wake(sandbox):
    """A task that comes at the moment in which the last worker leaves."""
    activator = Activator(sandbox, 1, "--idle-timeout=1")
    controld = sandbox.controld(*activator.flags())
    client = sandbox.client()
    for i in range(5):
        equal(client.call("echo", i).value["args"], [i])
        start = activator.units[0].starts[-1]
        start.wait_line("has had nothing to do for 1 s")
        equal(client.call("echo", "late").value["args"], ["late"])
    equal(controld.count_lines("has not registered"), 0)


def test_task_on_its_way(sandbox):
    """A task that was sent while the worker was about to leave is not run by it, and does not keep it."""
    router = CONTEXT.socket(zmq.ROUTER)
    router.linger = 0
    port = router.bind_to_random_port("tcp://127.0.0.1")
    sandbox.closers.append(router.close)
    address = f"tcp://127.0.0.1:{port}"
    worker = sandbox.subworker("sw1", f"--control-plane-address={address}", "--idle-timeout=1", ready=False)
    task = [new_id().encode(), b"1", b"echo", b"{}", b""]
    seen = []
    while "GOODBYE" not in seen:
        check(router.poll(harness.PATIENCE * 1000), f"nothing came after {seen}")
        peer, verb, correlation, *_ = router.recv_multipart()
        seen.append(verb.decode().partition(" ")[2])
        if seen[-1] == "DISCOVER":
            router.send_multipart([peer, b"FW1 INFO", correlation, json.dumps({"worker": [address]}).encode()])
        elif seen[-1] == "REGISTER":
            router.send_multipart([peer, b"FW1 REGISTERED", correlation, b'{"on_demand":true}'])
        else:
            if seen[-1] == "DRAIN":
                router.send_multipart([peer, b"FW1 TASKS", b"", *task])
            if seen[-1] not in ("CAPACITY", "STARTED"):
                router.send_multipart([peer, b"FW1 ACK", correlation])
    equal(worker.wait_end(), 0)
    check("DRAIN" in seen and "DONE" not in seen, f"{seen}")
    worker.wait_line("has had nothing to do for 1 s")


def test_only_those_that_can_be_woken(sandbox):
    """IdleTimeout= means nothing to a worker that would be missed; a reload that makes it an instance changes that."""
    activator = Activator(sandbox, 1, "--idle-timeout=1")
    with open(sandbox.path("controld.conf"), "w", encoding="ascii") as file:
        file.write("[Workers]\nHeartbeatSec=200ms\n")
    controld = sandbox.controld(*activator.flags()[1:], f"--config={sandbox.path('controld.conf')}")
    sandbox.subworker("other", "--idle-timeout=1")
    controld.wait_line("other registered")
    activator.units[0].visit()
    controld.wait_line("sw1 registered")
    client = sandbox.client()
    pass_ticks(client, 3)
    activator.wait_running(1)
    equal(scaling(client), {"max_instances": 0, "wakes": 0, "failures": 0, "instances": []})

    with open(sandbox.path("controld.conf"), "a", encoding="ascii") as file:
        file.write("[Scaling]\nMaxInstances=1\n")
    controld.signal(signal.SIGHUP)
    activator.wait_asleep()
    pass_ticks(client, 3)
    equal(sorted(client.workers()["subworkers"]), ["other"])


def test_before_local_worker(sandbox):
    """The coordinator works itself only when there is no instance."""
    activator = Activator(sandbox, 1, "--idle-timeout=1")
    controld = sandbox.controld(*activator.flags(), "--task-modules=testtasks", "--local-worker-idle=1")
    client = sandbox.client()
    until(lambda: client.workers()["subworkers"] == {}, "the end of the local worker")
    task_id = client.submit("echo")
    client.result(task_id)
    equal(client.status(task_id)["worker"], "sw1")
    equal(controld.count_lines("Started the local worker"), 1, "at the start, to learn what there is")
    activator.wait_starts(1)
    activator.wait_asleep()
    activator.units[0].disable()
    task_id = client.submit("echo")
    client.result(task_id)
    check(client.status(task_id)["worker"].endswith("-local"), "now it has to")


def test_settings(sandbox):
    for flag in ("--wake-socket=/run/none.sock", "--wake-socket=relative-%i", "--wake-socket=/run/%i/%i",
                 "--wake-socket=/run/%n-%i", f"--wake-socket=/{'x' * 100}%i", "--max-instances=1001"):
        controld = sandbox.controld(flag, ready=False, name=f"bad{len(sandbox.daemons)}")
        controld.expect_status = 1
        equal(controld.wait_end(), 1, flag)
        controld.wait_line("wake-socket|max-instances")


harness.main(globals())
