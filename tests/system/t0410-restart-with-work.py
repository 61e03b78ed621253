#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The coordinator is restarted while subworkers run long tasks: those go on, and end once."""

import os
import signal

import harness
from harness import check, equal, until


def begin(sandbox, *flags, concurrency=3):
    """Two subworkers, each with long tasks on all of its slots, and as many queued: the ids and what runs."""
    controld = sandbox.controld(*flags)
    for name in ("sw1", "sw2"):
        sandbox.subworker(name, f"--concurrency={concurrency}")
        controld.wait_line(f"{name} registered")
    client, stage = sandbox.client(), sandbox.stage()
    ids = client.submit_many([{"name": "hold", "args": [stage.directory]}] * (4 * concurrency))
    started = {i: (attempt, pid) for i, attempt, pid in stage.wait_started(2 * concurrency)}
    until(lambda: client.info("STATS")["tasks"]["running"] == len(started), "the news that they run")
    return controld, stage, ids, started


def settle(sandbox):
    """When this is answered, the store has everything that was before."""
    client = sandbox.client()
    client.request("CANCEL", client.submit("noop", priority="low"))


def check_results(client, ids, started, was_killed):
    """All ended at their first attempt; after a kill, what was not begun may have had one that nobody knows of."""
    client.watch(*ids)
    for task_id, result in zip(ids, client.wait_results(ids)):
        equal(result.status, "success")
        check(result.value in ((1, 2) if was_killed and task_id not in started else (1,)), f"attempt {result.value}")


def check_kept(sandbox, second, stage, ids, started, was_killed=True):
    for name in ("sw1", "sw2"):
        second.wait_line(f"{name} registered")
    again = sandbox.client()
    until(lambda: {again.status(i)["status"] for i in started} == {"running"}, "the news that they run")
    for task_id, (attempt, pid) in started.items():
        status = again.status(task_id)
        equal(status["status"], "running")
        equal(status["attempt"], attempt)
        check(os.path.exists(f"/proc/{pid}"), "its process lives")
    equal(stage.n_waiting(), 0, "nothing was started anew")

    stage.open_gate()
    check_results(again, ids, started, was_killed)
    new = {i for i, _, _ in stage.wait_started(len(ids) - len(started))}
    equal(new, set(ids) - set(started), "those that had waited ran, and only they")
    equal(stage.n_waiting(), 0, "each ran once")
    equal(again.info("STATS")["tasks"]["results_refused"], 0, "no result came in vain")


def test_killed(sandbox):
    controld, stage, ids, started = begin(sandbox)
    settle(sandbox)
    controld.kill()
    check_kept(sandbox, sandbox.controld(name="second"), stage, ids, started)


def test_killed_at_once(sandbox):
    """The store may not know yet that the tasks were handed out, or have begun: the subworkers do."""
    controld, stage, ids, started = begin(sandbox)
    controld.kill()
    check_kept(sandbox, sandbox.controld(name="second"), stage, ids, started)


def test_fence(sandbox):
    """However often the coordinator is killed, no two subworkers are given the same attempt of a task."""
    controld, stage, ids, started = begin(sandbox, concurrency=1)
    seen = {(i, attempt) for i, (attempt, _) in started.items()}
    for n in range(3):
        for daemon in sandbox.daemons[-2:] if n else sandbox.daemons[1:3]:
            daemon.kill()
        controld.kill()
        controld = sandbox.controld("--heartbeat=0.2", "--inactive-after=1", name=f"controld{n}")
        for name in (f"sw{n}a", f"sw{n}b"):
            sandbox.subworker(name)
        for task_id, attempt, _ in stage.wait_started(2):
            check((task_id, attempt) not in seen, f"{task_id} was given attempt {attempt} twice")
            seen.add((task_id, attempt))
    stage.open_gate()
    client = sandbox.client()
    client.watch(*ids)
    equal([r.status for r in client.wait_results(ids)], ["success"] * len(ids))


def test_stopped_and_lost(sandbox):
    """Who was told that a task is being stopped is not surprised: its subworker and the coordinator die, and the task ends
    as cancelled all the same."""
    flags = ("--heartbeat=0.2", "--inactive-after=1")
    controld, stage, ids, started = begin(sandbox, *flags, concurrency=1)
    victim = next(iter(started))
    worker = next(d for d in sandbox.daemons if d.name == sandbox.client().status(victim)["worker"])
    worker.signal(signal.SIGSTOP)
    equal(sandbox.client().request("CANCEL", victim)[1][1], b"stopping")
    controld.kill()
    worker.kill()
    sandbox.controld(*flags, name="second")
    client = sandbox.client()
    client.watch(victim)
    equal(client.result(victim).status, "cancelled")
    stage.open_gate()
    rest = [i for i in ids if i != victim]
    client.watch(*rest)
    equal([r.status for r in client.wait_results(rest)], ["success"] * len(rest))


def test_stopped_meanwhile(sandbox):
    """The subworker did not hear of the wish before the coordinator died; the next one tells it."""
    controld, stage, ids, started = begin(sandbox, concurrency=1)
    victim, (_, pid) = next(iter(started.items()))
    worker = next(d for d in sandbox.daemons if d.name == sandbox.client().status(victim)["worker"])
    worker.signal(signal.SIGSTOP)
    equal(sandbox.client().request("CANCEL", victim)[1][1], b"stopping")
    controld.kill()
    worker.signal(signal.SIGCONT)
    sandbox.controld(name="second")
    client = sandbox.client()
    client.watch(victim)
    equal(client.result(victim).status, "cancelled")
    until(lambda: not os.path.exists(f"/proc/{pid}"), "the end of its process")
    stage.open_gate()
    rest = [i for i in ids if i != victim]
    client.watch(*rest)
    equal([r.status for r in client.wait_results(rest)], ["success"] * len(rest))


def test_terminated(sandbox):
    controld, stage, ids, started = begin(sandbox)
    controld.stop()
    check_kept(sandbox, sandbox.controld(name="second"), stage, ids, started, was_killed=False)


def test_ended_meanwhile(sandbox):
    """Tasks that end while nobody coordinates: the results are kept, and told when somebody does."""
    controld, stage, ids, started = begin(sandbox, concurrency=2)
    settle(sandbox)
    controld.kill()
    stage.open_gate()
    pids = [pid for _, pid in started.values()]
    workers = [d for d in sandbox.daemons if d.name.startswith("sw")]
    for worker in workers:
        worker.wait_message("STATUS", "0 of 2 runners busy", start=len(worker.messages) - 1)
    check(all(os.path.exists(f"/proc/{pid}") for pid in pids), "the runners are kept")
    second = sandbox.controld(name="second")
    for worker in workers:
        second.wait_line(f"{worker.name} registered")
    check_results(sandbox.client(), ids, started, was_killed=True)
    equal({i for i, _, _ in stage.wait_started(len(ids) - len(started))}, set(ids) - set(started))
    equal(stage.n_waiting(), 0, "each ran once")


def test_cancelled_after(sandbox):
    """What runs over the restart can be cancelled as before."""
    controld, stage, ids, started = begin(sandbox, concurrency=1)
    controld.kill()
    second = sandbox.controld(name="second")
    for name in ("sw1", "sw2"):
        second.wait_line(f"{name} registered")
    client = sandbox.client()
    victim, (_, pid) = next(iter(started.items()))
    client.watch(victim)
    equal(client.request("CANCEL", victim)[1][1], b"stopping")
    equal(client.result(victim).status, "cancelled")
    until(lambda: not os.path.exists(f"/proc/{pid}"), "the end of its process")
    stage.open_gate()
    rest = [i for i in ids if i != victim]
    client.watch(*rest)
    equal([r.status for r in client.wait_results(rest)], ["success"] * len(rest))


def test_worker_gone_too(sandbox):
    """A subworker that does not come back loses its tasks to the other one."""
    controld, stage, ids, started = begin(sandbox, "--heartbeat=0.2", "--inactive-after=1", concurrency=1)
    settle(sandbox)
    dead, alive = sandbox.daemons[1], sandbox.daemons[2]
    controld.kill()
    dead.kill()
    second = sandbox.controld("--heartbeat=0.2", "--inactive-after=1", name="second")
    second.wait_line(f"{alive.name} registered")
    second.wait_line(f"{dead.name} was silent.*task.* queued again")
    stage.open_gate()
    client = sandbox.client()
    client.watch(*ids)
    equal([r.status for r in client.wait_results(ids)], ["success"] * len(ids))
    equal({client.status(i)["worker"] for i in ids}, {alive.name})
    check(any(client.status(i)["attempt"] == 2 for i in started), "one ran twice")


harness.main(globals())
