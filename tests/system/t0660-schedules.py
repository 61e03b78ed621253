#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Schedules: each due time submits one task, whatever happens to the coordinator; what was missed is dealt with as the
catch-up policy says; task types bring theirs.

What a schedule did is told by the ids of its tasks: these follow from its name and the due time alone, so that the ids
of the times that should be there can be compared with those that are."""

import hashlib
import importlib
import json
import os
import random
import re
import signal
import textwrap
import time
import uuid
from datetime import datetime, timezone

import harness
from fwclient import refused
from harness import check, equal, until

Clock = importlib.import_module("t0485-clock-jumps").Clock
MSEC, SEC = 1000, 1000000
KEEP = "--result-cache-ttl=1d"


def usec(text):
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return int(moment.replace(microsecond=0).timestamp()) * SEC + moment.microsecond


def firing(name, due, origin="control-plane"):
    """The id of the task of that due time."""
    digest = bytearray(hashlib.sha256(f"{origin}\0schedule:{name}@{due}".encode()).digest()[:16])
    digest[:6] = (due // MSEC).to_bytes(6, "big")
    digest[6] = 0x80 | (digest[6] & 0x0f)
    digest[8] = 0x80 | (digest[8] & 0x3f)
    return str(uuid.UUID(bytes=bytes(digest)))


def schedule(client, action, **document):
    return client.info("SCHEDULE", action, json.dumps(document))


def add(client, name, task, **document):
    return schedule(client, "add", name=name, task=task, **document)


def show(client, name):
    return schedule(client, "list", name=name)["schedules"][0]


def tasks_of(client, task):
    """All of that type, the oldest first."""
    tasks, after = [], {}
    while True:
        page = client.info("LIST", json.dumps({"name": task, "limit": 1000, **after}))
        tasks += page["tasks"]
        if not page["truncated"]:
            return tasks[::-1]
        after = {"after": page["next"]}


def dues(shown, interval):
    """All due times up to the last one that is dealt with."""
    last = shown["last_due_at"]
    return list(range(usec(shown["added_at"]), usec(last) + 1, interval)) if last else []


def at_rest(client, task, patience=harness.PATIENCE):
    """Waits until all of that type have ended: these."""
    def rest():
        tasks = tasks_of(client, task)
        return tasks if all(t["completed_at"] for t in tasks) else None
    return until(rest, f"all of {task} have ended", patience)


def cli(sandbox, *argv, status=0):
    done = sandbox.cli("schedule", *argv, f"--address={sandbox.client_address}")
    equal(done.returncode, status, f"{argv}: {done.stdout}{done.stderr}")
    return done.stderr if status else done.stdout


def test_command_line(sandbox):
    sandbox.pair()
    client = sandbox.client()
    equal(cli(sandbox, "list"), "\n0 schedules.\n")
    path = sandbox.path("record")
    text = cli(sandbox, "add", "often", "--task-name", "record", "--interval", "100ms", "--count", "3", "--priority",
               "high", "--args", path, "line")
    check(text.startswith("Added often, due 2"), text)
    until(lambda: show(client, "often")["state"] == "ended", "three runs")
    first, *_ = tasks = at_rest(client, "record")
    with open(path, encoding="ascii") as f:
        equal(f.read(), "line\n" * 3)
    shown = show(client, "often")
    equal((shown["runs"], shown["task"], shown["source"], shown["interval"], shown["cron"], shown["next"]),
          (3, "record", "added", 0.1, None, []))
    equal(shown["arguments"], {"args": [path, "line"], "kwargs": {}})
    equal([t["task_id"] for t in tasks], [firing("often", due) for due in dues(shown, 100 * MSEC)])
    equal(shown["last_task_id"], tasks[-1]["task_id"])
    status = client.status(first["task_id"])
    equal((status["options"], status["priority"]), ({"schedule": "often"}, "high"))

    cli(sandbox, "add", "nightly", "--task-name", "echo", "--cron", "30 2 * * *", "--timezone", "Europe/Berlin", "--paused")
    lines = cli(sandbox, "list").splitlines()
    check(re.match(r"nightly +echo +30 2 \* \* \* +Europe/Berlin +added +paused +2\S+ +- +0$", lines[1]), lines[1])
    check(re.match(r"often +record +every 0\.1s .* ended +- +2\S+ +3$", lines[2]), lines[2])
    equal(lines[-1], "2 schedules.")
    equal([s["name"] for s in json.loads(cli(sandbox, "list", "--json=short"))["schedules"]], ["nightly", "often"])

    times = cli(sandbox, "next", "nightly", "--limit", "400", status=2)
    times = cli(sandbox, "next", "nightly", "--limit", "50").splitlines()
    equal(len(times), 50)
    check(all(re.fullmatch(r"\d{4}-\d\d-\d\dT0[01]:30:00\.000000Z", t) for t in times) and times == sorted(times), times)
    equal(cli(sandbox, "resume", "nightly"), "Resumed nightly.\n")
    equal(show(client, "nightly")["state"], "active")
    equal(cli(sandbox, "pause", "nightly"), "Paused nightly.\n")
    equal(cli(sandbox, "pause", "nightly"), "Paused nightly.\n", "as it is already")

    task_id = cli(sandbox, "run", "nightly").strip()
    client.watch(task_id)
    equal(client.result(task_id).status, "success")
    equal(client.status(task_id)["options"], {"schedule": "nightly"})
    equal((show(client, "nightly")["runs"], show(client, "nightly")["last_due_at"]), (0, None), "it does not count")
    equal(cli(sandbox, "rm", "often"), "Removed often.\n")
    equal(len(json.loads(cli(sandbox, "list", "--json=short"))["schedules"]), 1)


def test_unknown_type_after_start(sandbox):
    """The request is held for subworkers that are to come: the command waits for the answer, and it says what is wrong."""
    sandbox.pair("--startup-grace=6s")
    text = cli(sandbox, "add", "n", "--task-name", "nope", "--interval", "1h", status=5)
    check("no subworker ever offered a task \"nope\"" in text, text)
    equal(json.loads(cli(sandbox, "list", "--json=short"))["schedules"], [])


def test_refusals(sandbox):
    controld, _ = sandbox.pair("--startup-grace=100ms")
    client = sandbox.client()
    good = {"name": "s", "task": "echo", "interval": 3600}
    schedule(client, "add", **good, paused=True)
    schedule(client, "add", **good, paused=True)  # as after a lost answer
    bad = [
        ("add", dict(good), "exists", 'there is a schedule "s" already'),
        ("add", dict(good, name="a b"), "bad-argument", '"name" must be'),
        ("add", dict(good, name="x" * 101), "bad-argument", '"name" must be 1 to 100'),
        ("add", dict(good, name="n", task="no-such"), "unknown-task-type", "there are: "),
        ("add", dict(good, name="n", cron="@daily"), "bad-argument", "not by both"),
        ("add", dict(good, name="n", interval=0.05), "bad-argument", "from 100ms"),
        ("add", dict(good, name="n", interval=None, cron="0 0 30 2 *"), "bad-argument", "never"),
        ("add", dict(good, name="n", timezone="Mars/Olympus"), "bad-argument", "timezone: "),
        ("add", dict(good, name="n", count=0), "bad-argument", "count: "),
        ("add", dict(good, name="n", count=1.5), "bad-argument", '"count" must be a number'),
        ("add", dict(good, name="n", until="2001-01-01"), "bad-argument", "until is over"),
        ("add", dict(good, name="n", until=[1]), "bad-argument", '"until" must be text'),
        ("add", dict(good, name="n", catch_up="some"), "bad-argument", "expected skip, one or all"),
        ("add", dict(good, name="n", skip_if_running=1), "bad-argument", "true or false"),
        ("add", dict(good, name="n", skip_if_running=True, catch_up="all"), "bad-argument", "skip_if_running: "),
        ("add", dict(good, name="n", priority="urgent"), "bad-argument", "critical, high, normal or low"),
        ("add", dict(good, name="n", arguments=[1]), "bad-argument", '"arguments" must be an object'),
        ("add", dict(good, name="n", options={"eta": 1}), "bad-argument", 'no option "eta"'),
        ("add", dict(good, name="n", options={"max_retries": -1}), "bad-argument", "max_retries"),
        ("add", dict(good, name="n", every=1), "bad-argument", 'no "every"'),
        ("add", dict(good, name="n", replace="yes"), "bad-argument", '"replace" and "paused"'),
        ("add", {}, "bad-argument", '"name" must be'),
        ("pause", {"name": "t"}, "unknown-schedule", 'no schedule "t"'),
        ("rm", {"name": "t"}, "unknown-schedule", 'no schedule "t"'),
        ("run", {"name": "t"}, "unknown-schedule", 'no schedule "t"'),
        ("run", {"name": "s", "task_id": "x"}, "bad-argument", "UUID"),
        ("next", {"name": "s", "count": 101}, "bad-argument", "1 to 100"),
        ("pause", {}, "bad-argument", '"name" must be'),
        ("pause", {"name": "s", "now": True}, "bad-argument", 'no option "now"'),
        ("list", {"limit": 0}, "bad-argument", "1 to 300"),
        ("list", {"times": 11}, "bad-argument", "0 to 10"),
        ("stop", {}, "bad-argument", "not one of add, list"),
    ]
    for action, document, code, text in bad:
        document = {k: v for k, v in document.items() if v is not None}
        refusal = refused(schedule, client, action, **document)
        equal(refusal.code, code, f"{action} {document}: {refusal}")
        check(text in refusal.text, f"{action} {document}: {refusal}")
    equal(refused(client.info, "SCHEDULE", "list", "[1]").code, "bad-argument")
    equal(schedule(client, "list")["total"], 1, "nothing of that was done")
    for words, text in (((), "is missing"), (("start", "s"), "not one of"), (("pause",), "name of the schedule is missing"),
                        (("add", "x", "--interval", "1"), "--task-name is missing"),
                        (("add", "x", "--task-name", "echo"), "either --cron or --interval"),
                        (("pause", "s", "--replace"), "none of the options of add"), (("list", "s"), "takes no name")):
        check(text in cli(sandbox, *words, status=2), f"{words}")
    check("unknown" not in cli(sandbox, "rm", "t", status=5), "a refusal")
    schedule(client, "add", **dict(good, interval=7200), replace=True)
    equal(show(client, "s")["interval"], 7200)
    check(controld.status is None, "it lives")


def test_pages(sandbox):
    sandbox.pair()
    client = sandbox.client()
    names = [f"s{i:03}" for i in range(250)]
    for name in random.sample(names, len(names)):
        add(client, name, "echo", cron="0 0 1 1 *", paused=True)
    seen, after = [], {}
    while True:
        page = schedule(client, "list", limit=60, **after)
        seen += [s["name"] for s in page["schedules"]]
        if not page["truncated"]:
            break
        after = {"after": page["next"]}
        if len(seen) == 60:
            schedule(client, "rm", name=page["next"])  # the place of the page is gone, and that does no harm
    equal(seen, names)
    check("\n249 schedules.\n" in cli(sandbox, "list"), "all pages")


def test_skip_if_running(sandbox):
    sandbox.pair(worker_flags=("--concurrency=8",))
    client, stage = sandbox.client(), sandbox.stage()
    arguments = {"args": [stage.directory], "kwargs": {}}
    add(client, "alone", "hold", interval=0.1, arguments=arguments)
    stage.wait_started()
    until(lambda: len(dues(show(client, "alone"), 100 * MSEC)) > 5, "five more due times")
    shown = show(client, "alone")
    equal((shown["runs"], shown["running"], len(tasks_of(client, "hold"))), (1, True, 1), "they were dropped")
    stage.release()
    stage.wait_started()
    equal(show(client, "alone")["runs"], 2, "then it goes on")
    schedule(client, "rm", name="alone")
    add(client, "crowd", "hold", interval=0.1, arguments=arguments, skip_if_running=False, count=4)
    stage.wait_started(4)
    stage.open_gate()
    equal(len(at_rest(client, "hold")), 6)


def test_options(sandbox):
    """The tasks have the options of the schedule: labels, for one."""
    sandbox.pair()
    client = sandbox.client()
    add(client, "picky", "noop", interval=3600, options={"labels": ["gpu"]})
    add(client, "plain", "echo", interval=3600, options={"max_retries": 2, "expires": 3600})
    plain = until(lambda: show(client, "plain")["last_task_id"], "its first task")
    client.watch(plain)
    equal(client.result(plain).status, "success")
    equal(client.status(plain)["options"], {"schedule": "plain", "max_retries": 2, "expires": 3600})
    picky = client.status(show(client, "picky")["last_task_id"])
    equal((picky["status"], picky["options"]["labels"]), ("queued", ["gpu"]), "no subworker has that label")
    check("gpu" in picky["waits_for"], f"{picky}")


def test_until(sandbox):
    sandbox.pair()
    client = sandbox.client()
    end = time.time() + 0.55
    add(client, "s", "noop", interval=0.1, until=datetime.fromtimestamp(end, timezone.utc).isoformat())
    shown = until(lambda: (s := show(client, "s"))["state"] == "ended" and s, "its end")
    tasks = at_rest(client, "noop")
    check(1 <= len(tasks) <= 6, f"{len(tasks)}")
    check(usec(shown["last_due_at"]) <= end * SEC, shown)
    check({t["task_id"] for t in tasks} <= {firing("s", d) for d in dues(shown, 100 * MSEC)}, "at its times")


def restart_later(sandbox, clock, controld, seconds):
    """The coordinator is away so long, by its clock."""
    controld.stop()
    clock.set(seconds)
    later = sandbox.controld(KEEP, environment=clock.environment, name=f"later-{seconds}")
    later.wait_line("sw1 registered")
    return later, sandbox.client()


def test_catch_up(sandbox):
    """Away for an hour, less a bit: six due times are missed, and the policy decides."""
    clock = Clock(sandbox)
    controld = sandbox.controld(KEEP, environment=clock.environment)
    sandbox.subworker("sw1")
    controld.wait_line("sw1 registered")
    client, policies = sandbox.client(), {"skip": 0, "one": 1, "all": 6}
    for policy in policies:
        add(client, policy, "record", interval=600, catch_up=policy,
            arguments={"args": [sandbox.path(policy), policy], "kwargs": {}})
    add(client, "paused", "record", interval=600, catch_up="all",
        arguments={"args": [sandbox.path("paused"), "x"], "kwargs": {}})
    until(lambda: all(show(client, p)["runs"] == 1 for p in [*policies, "paused"]), "the first run of each")
    schedule(client, "pause", name="paused")
    at_rest(client, "record")
    later, client = restart_later(sandbox, clock, controld, 3600 + 300)
    until(lambda: all(show(client, p)["runs"] == 1 + n for p, n in policies.items()), "what the policies say")
    until(lambda: len(at_rest(client, "record")) == 4 + sum(policies.values()), "all have run")
    for policy, n in policies.items():
        with open(sandbox.path(policy), encoding="ascii") as f:
            equal(f.read(), f"{policy}\n" * (1 + n))
        shown = show(client, policy)
        times = dues(shown, 600 * SEC)
        equal(len(times), 7, "so many it knows of")
        expected = {"skip": times[:1], "one": [times[0], times[-1]], "all": times}[policy]
        equal({t["task_id"] for t in tasks_of(client, "record")} & {firing(policy, d) for d in times},
              {firing(policy, d) for d in expected})
        equal(sum(f"Schedule {policy} (task record): missed" in line for line in later.lines), 1, "it is said once")
    # The pause has survived; what was missed meanwhile is made up for when it ends.
    shown = show(client, "paused")
    equal((shown["state"], shown["runs"]), ("paused", 1))
    schedule(client, "resume", name="paused")
    until(lambda: show(client, "paused")["runs"] == 7, "all of the paused one")
    # A clock that is set back: nothing is due twice.
    before = {p: show(client, p)["runs"] for p in policies}
    later, client = restart_later(sandbox, clock, later, 0)
    client.call("noop")
    equal({p: show(client, p)["runs"] for p in policies}, before)


def kill_rounds(sandbox, client, flags, wanted, seed):
    """Kills the coordinator at random moments and at each step of the store, until there were so many firings."""
    names = {"a": 100, "b": 150, "c": 230}
    faults = ["", *(f"{point}:{n}:kill" for point in ("begin", "statement", "commit", "committed", "report")
                    for n in (3, 7, 12))]
    chance, total, rounds = random.Random(seed), 0, 0
    while total < wanted or rounds < len(faults):
        fault = faults[rounds % len(faults)]
        environment = {"FASTWORKER_STORE_FAULT": fault} if fault else None
        controld = sandbox.controld(*flags, name=f"killed-{rounds}", environment=environment, ready=not fault)
        if fault:
            controld.expect_status = -signal.SIGKILL
            controld.wait_end()
        else:
            begin, span = time.monotonic(), chance.uniform(0.1, 1.2)
            until(lambda b=begin, s=span: time.monotonic() - b > s, "a random moment")
            total = sum(show(client, name)["runs"] for name in names)
            controld.kill()
        rounds += 1
    return names, rounds


def same(got, expected, text):
    missing, more = set(expected) - set(got), set(got) - set(expected)
    check(not missing and not more, f"{text}: {len(missing)} are missing, {len(more)} too many: {[*missing, *more][:3]}")
    equal(len(got), len(expected), text)


def test_kill_9(sandbox):
    """At least 200 firings with the coordinator killed all the time: each due time has its task, once, and each task has
    run and ended once."""
    for durability in ("full", "process"):
        flags = (f"--durability={durability}",)
        sandbox.state_directory = sandbox.path(f"state-{durability}")
        os.makedirs(sandbox.path("tasks"), exist_ok=True)
        ran = sandbox.path(f"ran-{durability}")
        with open(sandbox.path("tasks/mark.task"), "w", encoding="ascii") as f:
            f.write(f"[Task]\nExec=/bin/sh -c 'echo $FASTWORKER_TASK_ID >>{ran}'\nOutput=text\n")
        first = sandbox.controld(*flags, name=f"first-{durability}")
        worker = sandbox.subworker(f"sw-{durability}", f"--module-path={sandbox.path('tasks')}", "--concurrency=2",
                                   modules="mark")
        first.wait_line(f"sw-{durability} registered")
        client = sandbox.client()
        for name, msec in (("a", 100), ("b", 150), ("c", 230)):
            add(client, name, "mark", interval=msec / 1000, catch_up="all")
        first.kill()
        names, rounds = kill_rounds(sandbox, client, flags, 200, 1)
        last = sandbox.controld(*flags, name=f"last-{durability}")
        last.wait_line(f"sw-{durability} registered")
        for name in names:
            schedule(client, "pause", name=name)
        tasks = at_rest(client, "mark", 4 * harness.PATIENCE)
        expected = []
        for name, msec in names.items():
            shown = show(client, name)
            times = dues(shown, msec * MSEC)
            equal(shown["runs"], len(times), f"{name}: none left out, none counted twice")
            expected += [firing(name, due) for due in times]
        check(len(expected) >= 200, f"{len(expected)}")
        same([t["task_id"] for t in tasks], expected, "each due time once")
        equal({t["status"] for t in tasks}, {"success"})
        with open(ran, encoding="ascii") as f:
            # A lease that the killed coordinator gave last may be one that the store does not know: then it runs again.
            same(set(f.read().split()), expected, "each ran")
        print(f"{durability}: {len(expected)} firings over {rounds} kills")
        last.stop()
        worker.stop()


def put(sandbox, name, text):
    os.makedirs(sandbox.path("tasks"), exist_ok=True)
    with open(f"{sandbox.path('tasks')}/{name}", "w", encoding="utf-8") as f:
        f.write(textwrap.dedent(text))


def typed_worker(sandbox, name, modules):
    return sandbox.subworker(name, f"--module-path={sandbox.path('tasks')}:{harness.MODULE_PATH}", modules=modules,
                             environment={"PYTHONDONTWRITEBYTECODE": "1"})


def test_types(sandbox):
    """From a task file and from Python; once, though several workers bring it; its pause and its count stay."""
    with open(f"{harness.SOURCE}/examples/backup.task", encoding="utf-8") as f:
        put(sandbox, "backup.task", f.read())
    put(sandbox, "tick.task", "[Task]\nExec=/bin/true\nSchedule=every 100ms\nScheduleCount=5\nPriority=low\n")
    put(sandbox, "periodic.py", """
        from fastworker import task

        @task(repeat_interval=0.2, repeat_count=3)
        def often():
            return "often"

        @task(cron="30 2 * * *", timezone="Europe/Berlin", repeat_until="2040-01-01T00:00:00")
        def nightly():
            return "nightly"

        @task
        def plain():
            return "plain"
        """)
    modules = "backup.task,tick.task,periodic.py,testtasks"
    controld = sandbox.controld("--startup-grace=100ms")
    workers = [typed_worker(sandbox, f"sw{i}", modules) for i in (1, 2, 3)]
    for i in (1, 2, 3):
        controld.wait_line(f"sw{i} registered")
    client = sandbox.client()
    shown = {s["name"]: s for s in schedule(client, "list")["schedules"]}
    equal(sorted(shown), ["backup", "nightly", "often", "tick"])
    equal({s["source"] for s in shown.values()}, {"type"})
    backup, nightly = shown["backup"], shown["nightly"]
    equal((backup["cron"], backup["catch_up"], backup["priority"]), ("30 2 * * *", "one", "low"))
    equal((nightly["timezone"], nightly["until"]), ("Europe/Berlin", "2039-12-31T23:00:00.000000Z"))
    later = client.submit("backup", options='{"countdown":3600}')
    equal(client.status(later)["priority"], "low", "as its type says, for a submit that names none")
    for name, n in (("tick", 5), ("often", 3)):
        until(lambda name=name: show(client, name)["state"] == "ended", f"all runs of {name}")
        equal(len(at_rest(client, name)), n)
    equal(client.status(tasks_of(client, "often")[0]["task_id"])["result"], b'"often"')
    check("brings this schedule" in refused(schedule, client, "rm", name="nightly").text, "it would come again")

    schedule(client, "pause", name="nightly")
    controld.kill()
    controld = sandbox.controld("--startup-grace=100ms", name="second")
    controld.wait_line("sw1 registered")
    client = sandbox.client()
    equal((show(client, "nightly")["state"], show(client, "tick")["runs"]), ("paused", 5), "as it was")

    # The option changes, with one worker; the others are away for a moment.
    put(sandbox, "tick.task", "[Task]\nExec=/bin/true\nSchedule=every 100ms\nScheduleCount=7\n")
    for worker in workers:
        worker.stop()
    equal(show(client, "nightly")["state"], "paused", "nobody is there, and it stays")
    typed_worker(sandbox, "sw4", modules)
    controld.wait_line("sw4 registered")
    until(lambda: show(client, "tick")["runs"] == 7, "it goes on to the new number")
    equal(show(client, "nightly")["state"], "paused")
    # Its task file has no schedule any more, and nobody else brings it.
    put(sandbox, "tick.task", "[Task]\nExec=/bin/true\n")
    typed_worker(sandbox, "sw5", modules)
    controld.wait_line("sw5 registered")
    equal(show(client, "tick")["runs"], 7, "sw4 still brings it")
    workers = {d.name: d for d in sandbox.daemons}
    workers["sw4"].stop()
    controld.wait_line("Schedule tick .*removed")
    equal(sorted(s["name"] for s in schedule(client, "list")["schedules"]), ["backup", "nightly", "often"])


def test_administrator_first(sandbox):
    """One that was added under the name of a type stays as it is; a schedule that makes no sense is said, and does no
    harm."""
    put(sandbox, "tick.task", "[Task]\nExec=/bin/true\nSchedule=every 1h\n")
    controld = sandbox.controld()
    typed_worker(sandbox, "sw1", "tick.task")
    controld.wait_line("sw1 registered")
    client = sandbox.client()
    until(lambda: show(client, "tick")["runs"] == 1, "its first run")
    refusal = refused(add, client, "tick", "tick", interval=7200)
    check(refusal.code == "exists" and "brings a schedule of that name" in refusal.text, f"{refusal}")
    add(client, "tick", "tick", interval=7200, replace=True, paused=True)
    typed_worker(sandbox, "sw2", "tick.task")
    controld.wait_line("sw2 registered")
    shown = show(client, "tick")
    equal((shown["source"], shown["interval"], shown["state"]), ("added", 7200, "paused"))
    schedule(client, "rm", name="tick")
    shown = show(client, "tick")
    equal((shown["source"], shown["interval"], shown["state"]), ("type", 3600, "active"), "that of the type, at once")
    put(sandbox, "tick.task", "[Task]\nExec=/bin/true\nSchedule=every 1h\nScheduleTimeZone=UTC\n")
    typed_worker(sandbox, "sw3", "tick.task")
    controld.wait_line("sw3 registered")
    equal(show(client, "tick")["source"], "type", "it is still that")


def test_gone_while_down(sandbox):
    """A type whose module is taken out while the coordinator is down: its schedule goes when its subworker comes."""
    put(sandbox, "tick.task", "[Task]\nExec=/bin/true\nSchedule=every 1h\n")
    controld = sandbox.controld()
    worker = typed_worker(sandbox, "sw1", "tick.task,testtasks")
    controld.wait_line("sw1 registered")
    equal(show(sandbox.client(), "tick")["source"], "type")
    controld.stop()
    worker.stop()
    controld = sandbox.controld("--startup-grace=100ms", name="second")
    client = sandbox.client()
    sandbox.subworker("sw2")
    controld.wait_line("sw2 registered")
    equal(show(client, "tick")["source"], "type", "sw2 never brought it")
    sandbox.subworker("sw1")
    controld.wait_line("Schedule tick .*removed")
    equal(schedule(client, "list")["total"], 0)


def test_nothing_kept(sandbox):
    """With Durability=none schedules work, and end with the process; those of types come back."""
    put(sandbox, "tick.task", "[Task]\nExec=/bin/true\nSchedule=every 100ms\n")
    controld = sandbox.controld("--durability=none")
    typed_worker(sandbox, "sw1", "tick.task,testtasks")
    controld.wait_line("sw1 registered")
    client = sandbox.client()
    add(client, "s", "noop", interval=0.1)
    add(client, "memory", "noop", interval=0.1, options={"durability": "none"})
    until(lambda: all(show(client, name)["runs"] > 3 for name in ("s", "memory", "tick")), "they run")
    controld.kill()
    controld = sandbox.controld("--durability=none", name="second")
    controld.wait_line("sw1 registered")
    client = sandbox.client()
    equal([s["name"] for s in schedule(client, "list")["schedules"]], ["tick"])


def test_full_queue(sandbox):
    """What there is no room for waits, and is said."""
    controld = sandbox.controld("--max-queued=3")
    sandbox.subworker("sw1")
    controld.wait_line("sw1 registered")
    client, stage = sandbox.client(), sandbox.stage()
    ids = [client.submit("hold", stage.directory) for _ in range(3)]
    add(client, "s", "noop", interval=3600)
    controld.wait_line("Schedule s .task noop. is due, but as many tasks wait or run as may")
    equal(show(client, "s")["runs"], 0)
    stage.open_gate()
    client.wait_results(ids)
    until(lambda: show(client, "s")["runs"] == 1, "then it is run")
    # More at once than there may be: a few at a time.
    add(client, "many", "noop", interval=0.1, catch_up="all", count=10, paused=True)
    begin = time.monotonic()
    until(lambda: time.monotonic() - begin > 1, "ten due times")
    schedule(client, "resume", name="many")
    until(lambda: show(client, "many")["runs"] == 10, "all of them")


if __name__ == "__main__":
    harness.main(globals())
