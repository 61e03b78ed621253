#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Task files that nobody names: workers offer all that there are, leave out those with a mistake, and look again on a
reload. With TaskModules= the administrator says exactly what is offered."""

import os
import signal

import harness
from harness import check, equal, until


def put(sandbox, name, text, directory="tasks"):
    path = f"{sandbox.path(directory)}/{name}"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def start(sandbox, *flags, ready=True, name="sw1"):
    """A worker with the settings of a fresh installation, but for the directories."""
    argv = [f"{harness.BUILD}/fastworker-subworkerd", f"--worker-id={name}",
            f"--control-plane-address={sandbox.client_address}",
            f"--module-path={sandbox.path('tasks')}:{sandbox.path('more')}", *flags]
    worker = sandbox.start(name, argv)
    return worker.wait_ready() if ready else worker


def offered(client):
    return sorted(t["name"] for t in client.info("TYPES")["types"] if t["workers"])


def reload(worker):
    before = len(worker.lines)
    worker.signal(signal.SIGHUP)
    worker.wait_line("Configuration and modules reloaded", start=before)
    return before


def test_all_of_them(sandbox):
    controld = sandbox.controld()
    put(sandbox, "one.task", "[Task]\nExec=/bin/echo 1\n")
    put(sandbox, "two.task", "[Task]\nExec=/bin/echo 2\n")
    put(sandbox, "two.task", "[Task]\nExec=/bin/echo another\n", "more")
    put(sandbox, "three.task", "[Task]\nExec=/bin/echo 3\n", "more")
    put(sandbox, "masked.task", "[Task]\nExec=/bin/echo 4\n", "more")
    os.symlink("/dev/null", f"{sandbox.path('tasks')}/masked.task")
    put(sandbox, "notes.txt", "no task file")
    bad = put(sandbox, "bad.task", "[Task]\nExec=/bin/true\nTimeout=soon\nMemmax=5\n")
    worker = start(sandbox)
    controld.wait_line("sw1 registered")
    client = sandbox.client()
    equal(offered(client), ["one", "three", "two"])
    equal((client.call("one").value, client.call("two").value, client.call("three").value), (1, 2, 3))
    worker.wait_line(f"Task file bad.task is left out: {bad}:3: bad value \"soon\"")
    worker.wait_line(f"Task file bad.task is left out: {bad}:4: unknown key Memmax=")
    equal(worker.count_lines("is left out"), 2)

    # Mended, one more, one that is broken now, and one that is gone.
    put(sandbox, "bad.task", "[Task]\nExec=/bin/echo 5\n")
    put(sandbox, "new.task", "[Task]\nExec=/bin/echo 6\n")
    one = put(sandbox, "one.task", "[Task]\nExec=\n")
    os.unlink(f"{sandbox.path('more')}/three.task")
    before = reload(worker)
    until(lambda: offered(client) == ["bad", "new", "two"], "the new list")
    worker.wait_line(f"Task file one.task is left out: {one}", start=before)
    equal((client.call("bad").value, client.call("new").value), (5, 6))


def test_the_name_of_another_task(sandbox):
    """Of two tasks of a name, the one in a module that was named is offered; all else goes on, at the start and on a
    reload."""
    controld = sandbox.controld()
    put(sandbox, "both.py", "from fastworker import task\n@task\ndef both(): return 'module'\n")
    both = put(sandbox, "both.task", "[Task]\nExec=/bin/echo 1\n")
    noop = put(sandbox, "noop.task", "[Task]\nExec=/bin/echo 2\n")
    put(sandbox, "one.task", "[Task]\nExec=/bin/echo 3\n")
    worker = start(sandbox, f"--module-path={harness.MODULE_PATH}", f"--module-path={sandbox.path('tasks')}",
                   f"--task-modules=testtasks,{sandbox.path('tasks')}/both.py,*.task")
    controld.wait_line("sw1 registered")
    client = sandbox.client()
    before = 0
    for _ in range(2):
        worker.wait_line(f"Task file {both} is left out: task both is defined in {both} and in .*both.py", start=before)
        worker.wait_line(f"A task file is left out: {noop}: task noop is defined in .*testtasks.so already",
                         start=before)
        equal((client.call("both").value, client.call("one").value), ("module", 3))
        equal(client.call("noop").value, None)
        before = reload(worker)
    put(sandbox, "another.task", "[Task]\nExec=/bin/echo 4\n")
    reload(worker)
    until(lambda: "another" in offered(client), "one more")
    equal(client.call("another").value, 4)


def test_a_runner_that_starts_later(sandbox):
    """A file that was good when the worker looked and is bad when a runner is started anew concerns its own task only."""
    controld = sandbox.controld()
    put(sandbox, "fine.task", "[Task]\nExec=/bin/echo 1\n")
    odd = put(sandbox, "odd.task", "[Task]\nExec=/bin/echo 2\n")
    worker = start(sandbox, f"--module-path={harness.MODULE_PATH}", "--task-modules=testtasks,*.task")
    controld.wait_line("sw1 registered")
    client = sandbox.client()
    check({"fine", "odd", "noop", "die"} <= set(offered(client)), offered(client))
    put(sandbox, "odd.task", "[Task]\nExec=/bin/echo 2\nNice=-50\n")
    equal(client.call("die", "kill").status, "dead")
    worker.wait_line(f"A task file is left out: {odd}:3: bad value \"-50\"")
    equal(client.call("fine").value, 1)
    until(lambda: "odd" not in offered(client), "the end of that offer")


def test_exact_control(sandbox):
    controld = sandbox.controld()
    put(sandbox, "one.task", "[Task]\nExec=/bin/echo 1\n")
    bad = put(sandbox, "two.task", "[Task]\nExec=/bin/echo 2\nNice=no\n")
    start(sandbox, "--task-modules=one")
    controld.wait_line("sw1 registered")
    equal(offered(sandbox.client()), ["one"])
    # Named itself, one with a mistake is not passed over.
    refused = start(sandbox, "--task-modules=one,two", ready=False, name="sw2")
    refused.expect_status = 1
    refused.wait_line(f"{bad}:3: bad value \"no\"")
    refused.wait_end()
    # Both named and among all of them, it is one task.
    start(sandbox, f"--task-modules={sandbox.path('tasks')}/one.task,*.task", name="sw3")
    controld.wait_line("sw3 registered")
    equal(offered(sandbox.client()), ["one"])


def test_none(sandbox):
    controld = sandbox.controld()
    worker = start(sandbox)
    controld.wait_line("sw1 registered")
    worker.wait_line("offers no tasks: no task modules are set .*, and there are no task files")
    put(sandbox, "one.task", "[Task]\nExec=/bin/echo 1\n")
    reload(worker)
    client = sandbox.client()
    until(lambda: offered(client) == ["one"], "the first task")
    equal(client.call("one").value, 1)


if __name__ == "__main__":
    harness.main(globals())
