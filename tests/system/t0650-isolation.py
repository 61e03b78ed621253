#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A task ends with all that it has started, whatever it does to get away; and harms only itself. Both without control
groups and, where this machine lets us make some, with them."""

import contextlib
import json
import os

import harness
from harness import Skip, check, equal, rss_bytes, until

MARK = "FASTWORKER_TEST_MARK"
SLOW = 10 if harness.sanitized() else 1


# --- processes ---

def marked(mark):
    """All living processes that have the mark in their environment: the subworker and whatever it has started, by
    whatever means."""
    found = set()
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if entry.isdigit():
                with open(f"/proc/{entry}/environ", "rb") as f:
                    if f"{MARK}={mark}".encode() in f.read().split(b"\0"):
                        found.add(int(entry))
    return found


def crowd(stage):
    """The numbers of all 50 processes, once they have come up."""
    def read():
        try:
            with open(f"{stage.directory}/pids", encoding="ascii") as f:
                pids = [int(line) for line in f.read().split()]
        except FileNotFoundError:
            return None
        return pids if len(pids) == 50 else None
    return until(read, "50 processes")


class Place:
    """One coordinator and one subworker, which is marked, and in a control group of its own if that is wanted."""

    def __init__(self, sandbox, group, *flags, modules="testtasks"):
        self.mark = os.path.basename(sandbox.directory)
        self.group = Group(self.mark) if group else None
        if self.group:
            sandbox.removers.append(self.group.remove)
        controld = sandbox.controld()
        self.worker = sandbox.subworker("sw1", *flags, modules=modules, environment={MARK: self.mark},
                                        preexec=self.group.enter if self.group else None)
        controld.wait_line("sw1 registered")

    def below(self):
        return marked(self.mark) - {self.worker.pid}

    def wait_gone(self, pids, patience=1.0):
        """So many seconds for the end of processes, and of all others of the task that we do not know."""
        pids = set(pids)
        until(lambda: not self.below() & pids, "the end of all processes", patience * SLOW)


class Group:
    """A control group that is ours, like one that the service manager has delegated."""

    def __init__(self, name):
        self.path = f"{self.find()}/{name}"
        try:
            os.mkdir(self.path)
        except OSError as e:
            raise Skip(f"control groups cannot be made here: {e}") from e

    @staticmethod
    def find():
        with open("/proc/self/mounts", encoding="utf-8") as f:
            mounts = [line.split()[1] for line in f if line.split()[2] == "cgroup2"]
        with open("/proc/self/cgroup", encoding="utf-8") as f:
            ours = next((line[3:].rstrip("\n") for line in f if line.startswith("0::")), None)
        if not mounts or ours is None or os.geteuid() != 0:
            raise Skip("control groups cannot be made here")
        return mounts[0] + ours.rstrip("/")

    def enter(self):
        with open(f"{self.path}/cgroup.procs", "w", encoding="ascii") as f:
            f.write("0")

    def of(self, pid):
        """The name of a process's group below this one."""
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as f:
            line = next(line for line in f if line.startswith("0::"))
        return line.rstrip("\n").rpartition(os.path.basename(self.path))[2].strip("/")

    def remove(self):
        """Something may be there still, if the test has failed."""
        with contextlib.suppress(OSError):
            with open(f"{self.path}/cgroup.kill", "w", encoding="ascii") as f:
                f.write("1")

        def try_remove():
            try:
                for name in os.listdir(self.path):
                    if os.path.isdir(f"{self.path}/{name}"):
                        os.rmdir(f"{self.path}/{name}")
                os.rmdir(self.path)
            except OSError:
                return False
            return True
        until(try_remove, "the end of the control group")


def both(function):
    """Makes two tests of one."""
    def without(sandbox):
        function(sandbox, False)

    def within(sandbox):
        function(sandbox, True)
    globals()[f"{function.__name__}_without_group"] = without
    globals()[f"{function.__name__}_in_group"] = within
    return None


# --- nothing gets away ---

def cancel(sandbox, group):
    place = Place(sandbox, group)
    client, stage = sandbox.client(), sandbox.stage()
    task_id = client.submit("crowd", stage.directory, "wait")
    pids = crowd(stage)
    (_, _, runner), = stage.wait_started()
    before = place.below()
    check(before >= set(pids) | {runner}, "all live")
    if place.group:
        equal({place.group.of(pid) for pid in before}, {place.group.of(runner)}, "all are in the runner's group")
        equal(place.group.of(place.worker.pid), "supervisor")
    client.request("CANCEL", task_id)
    place.wait_gone(before)
    equal(client.result(task_id).status, "cancelled")
    equal(client.call("echo").status, "success", "the slot is free")
    equal(len(place.below()), 1, "one runner, and nothing else")


def crash(sandbox, group):
    """The runner dies; its processes have nobody who knows them."""
    place = Place(sandbox, group)
    client, stage = sandbox.client(), sandbox.stage()
    task_id = client.submit("crowd", stage.directory, "wait")
    crowd(stage)
    (_, _, runner), = stage.wait_started()
    before = place.below()
    os.kill(runner, 9)
    place.wait_gone(before)
    # It is tried again.
    (_, attempt, _), = stage.wait_started()
    equal(attempt, 2)
    client.request("CANCEL", task_id)
    equal(client.result(task_id).status, "cancelled")


def left_behind(sandbox, group):
    """What is left by a task that succeeds ends as well, its runner does not: at once if it took long, else when the
    runner has nothing to do."""
    place = Place(sandbox, group)
    client, stage = sandbox.client(), sandbox.stage()
    runner = client.call("surroundings").value["pid"]
    task_id = client.submit("crowd", stage.directory, "wait")
    pids = crowd(stage)
    stage.wait_started()
    stage.release()
    equal(client.result(task_id).status, "success")
    place.wait_gone(pids)
    equal(client.call("crowd", stage.directory).status, "success")
    until(lambda: place.below() == {runner}, "the end of all but the runner")
    equal(client.call("surroundings").value["pid"], runner, "the same runner")


def timeout(sandbox, group):
    place = Place(sandbox, group)
    client, stage = sandbox.client(), sandbox.stage()
    task_id = client.submit("crowd", stage.directory, "wait", options='{"timeout": 2}')
    crowd(stage)
    before = place.below()
    result = client.result(task_id)
    equal((result.status, result.error), ("failure", "ran longer than its timeout of 2 s"))
    place.wait_gone(before)


def worker_dies(sandbox, group):
    """Then a task's own process ends. The rest is for the service manager, which ends all that is in the group."""
    place = Place(sandbox, group)
    client, stage = sandbox.client(), sandbox.stage()
    client.submit("hold", stage.directory)
    (_, _, runner), = stage.wait_started()
    place.worker.kill()
    place.wait_gone([runner])


SCRIPT = """
n=0
while [ $n -lt 25 ]; do
    n=$((n + 1))
    (trap '' TERM HUP; exec sleep 1000) &
    (setsid sh -c 'trap "" TERM HUP; exec sleep 1000 <&- >&- 2>&-' &)
done
echo "$FASTWORKER_TASK_ID $FASTWORKER_ATTEMPT $$" >"$1/started"
trap '' TERM
while :; do sleep 1000; done
"""


def command(sandbox, group):
    """The same for a command."""
    place, stage = command_place(sandbox, group)
    client = sandbox.client()
    for how in ("cancel", "timeout"):
        options = '{"timeout": 3}' if how == "timeout" else ""
        task_id = client.submit("crowd-command", stage.directory, options=options)
        (_, _, shell), = stage.wait_started()
        before = until(lambda: len(place.below()) >= 52 and place.below(), "a shell, 50 processes and a runner")
        check(shell in before, "the shell is one of them")
        if how == "cancel":
            client.request("CANCEL", task_id)
            place.wait_gone(before)
        status = client.result(task_id).status
        equal(status, "cancelled" if how == "cancel" else "failure")
        place.wait_gone(before - until(lambda: runners(place), "a runner"))
        equal(client.call("small").value, 1, "the slot is free")


def runners(place):
    """Direct children of the subworker."""
    with open(f"/proc/{place.worker.pid}/task/{place.worker.pid}/children", encoding="ascii") as f:
        return {int(pid) for pid in f.read().split()}


def command_place(sandbox, group):
    os.mkdir(sandbox.path("tasks"))
    for name, text in (("crowd.sh", SCRIPT),
                       ("crowd-command.task", f"[Task]\nExec=/bin/sh {sandbox.path('tasks/crowd.sh')}\nInput=args\n"),
                       ("small.task", "[Task]\nExec=/bin/echo 1\n")):
        with open(sandbox.path(f"tasks/{name}"), "w", encoding="ascii") as f:
            f.write(text)
    place = Place(sandbox, group, f"--module-path={sandbox.path('tasks')}", modules="crowd-command,small")
    return place, sandbox.stage()


PYTHON = """
import os, signal, time
from fastworker import task

@task
def crowd_python(directory):
    for i in range(50):
        if os.fork():
            continue
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if i % 2:
            os.setsid()
            if os.fork():
                os._exit(0)
        os.closerange(0, 3)
        while True:
            time.sleep(1000)
    with open(f"{directory}/started", "w") as f:
        f.write(f"id 1 {os.getpid()}\\n")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(1000)

@task
def abort():
    os.abort()

@task
def close_all():
    os.closerange(0, 100)

@task
def swell(megabytes):
    return len(bytearray(megabytes << 20))

@task
def fine():
    return 1
"""


def python_place(sandbox, group, *flags):
    os.mkdir(sandbox.path("tasks"))
    with open(sandbox.path("tasks/isolated.py"), "w", encoding="ascii") as f:
        f.write(PYTHON)
    return Place(sandbox, group, f"--module-path={sandbox.path('tasks')}", *flags, modules="isolated"), sandbox.stage()


def python(sandbox, group):
    place, stage = python_place(sandbox, group)
    client = sandbox.client()
    task_id = client.submit("crowd_python", stage.directory)
    stage.wait_started()
    before = until(lambda: len(place.below()) >= 51 and place.below(), "50 processes and a runner")
    client.request("CANCEL", task_id)
    place.wait_gone(before)
    equal(client.result(task_id).status, "cancelled")
    equal(client.call("fine").value, 1, "the slot is free")


for _function in (cancel, crash, left_behind, timeout, worker_dies, command, python):
    _function.__name__ = f"test_{_function.__name__}"
    both(_function)


# --- nothing else is harmed ---

def children_of_the_next(sandbox, group):
    """When one that took long has ended, the runner begins the next at once: what that has started is its own."""
    Place(sandbox, group)
    client = sandbox.client()
    # Of a type that is known to be short, several are in the runner's socket.
    brief = [{"name": "brood", "args": [0]}] * 200
    for result in client.wait_results(client.submit_many(brief)):
        equal(result.value, 0)
    statuses = []
    for _ in range(20 if harness.sanitized() else 40):
        tasks = brief[:30] + [{"name": "brood", "args": [12000]}] + [{"name": "brood", "args": [900, "fork"]}] * 3
        statuses += [result.value for result in client.wait_results(client.submit_many(tasks))]
    equal(set(statuses), {0}, "the ends of children")


for _function in (children_of_the_next,):
    _function.__name__ = f"test_{_function.__name__}"
    both(_function)


class Bystander:
    """A task that runs beside, and must not notice anything; and the subworker's own state."""

    def __init__(self, sandbox, place):
        self.client, self.stage, self.worker = sandbox.client(), sandbox.stage("beside"), place.worker
        self.task_id = self.client.submit("hold", self.stage.directory)
        (_, _, self.runner), = self.stage.wait_started()
        self.memory = rss_bytes(self.worker.pid)

    def verify(self):
        equal(self.worker.status, None, "the subworker lives")
        check(rss_bytes(self.worker.pid) < self.memory + SLOW * (8 << 20), "its memory is bounded")
        self.stage.release()
        result = self.client.result(self.task_id)
        equal((result.status, result.value), ("success", 1), "the first attempt of what ran beside")


def test_bad_neighbours(sandbox):
    """abort(), a closed socket, and much output, each beside another task."""
    place = Place(sandbox, False, "--concurrency=2")
    beside, client = Bystander(sandbox, place), sandbox.client()
    result = client.call("die", "abort")
    equal(result.status, "dead")
    check("SIGABRT" in result.error, result.error)
    result = client.call("close-all")
    equal(result.status, "dead")
    check("runner exited with status 1" in result.error, result.error)
    equal(client.call("echo", 1).value["args"], [1])
    beside.verify()


def test_gigabyte(sandbox):
    """Of 1 GiB on standard error the beginning is logged and the rest counted; the task goes on."""
    megabytes = 64 if harness.sanitized() else 1024
    place = Place(sandbox, False, "--concurrency=2", "--output-max=8K")
    beside, client = Bystander(sandbox, place), sandbox.client()
    equal(client.call("shout", megabytes).status, "success")
    size = megabytes << 20
    left_out = size // 4096 * 4095 - 2 * 4095
    place.worker.wait_line(rf"shout: {left_out} bytes of output were left out \(OutputMax=\)")
    equal(place.worker.count_lines("shout: x+$"), 8)
    # The next one has an account of its own.
    equal(client.call("print-a", "hello").status, "success")
    place.worker.wait_line("print-a: hello")
    beside.verify()


def test_rate_of_lines(sandbox):
    """Whatever OutputMax= says, one runner does not make the journal drop what others have to say."""
    place = Place(sandbox, False, "--concurrency=2", "--output-max=infinity")
    beside, client = Bystander(sandbox, place), sandbox.client()
    equal(client.call("shout", 16).status, "success")
    equal(place.worker.count_lines("shout: x+$"), 1000)
    beside.verify()


def test_memory(sandbox):
    """Where there is no memory controller: what cannot be allocated fails the task, with a text that names the limit;
    whoever does not look and crashes is told as well."""
    if harness.sanitized():
        raise Skip("a sanitizer needs more memory than any limit")
    place = Place(sandbox, False, "--concurrency=2", "--task-memory-max=64M")
    place.worker.wait_line("TaskMemoryMax= holds for each process of a task by itself")
    beside, client = Bystander(sandbox, place), sandbox.client()
    equal(client.call("swell", "16").status, "success")
    result = client.call("swell", "512")
    equal((result.status, result.error), ("failure", "Cannot allocate memory: the limit is 64M (TaskMemoryMax=)"))
    result = client.call("swell", "512", "blindly")
    equal(result.status, "dead")
    check("SIGSEGV" in result.error and "its memory was limited to 64M (TaskMemoryMax=)" in result.error, result.error)
    beside.verify()


def test_python_neighbours(sandbox):
    place, _ = python_place(sandbox, False, "--concurrency=2", *([] if harness.sanitized() else ["--task-memory-max=64M"]))
    client = sandbox.client()
    equal(client.call("fine").value, 1)
    memory = rss_bytes(place.worker.pid)
    result = client.call("abort")
    equal(result.status, "dead")
    check("SIGABRT" in result.error, result.error)
    equal(client.call("close_all").status, "dead")
    if not harness.sanitized():
        result = client.call("swell", 512)
        equal(result.status, "failure")
        check("MemoryError" in result.error, result.error)
        equal(client.call("swell", 1).value, 1 << 20)
    equal(client.call("fine").value, 1)
    equal(place.worker.status, None)
    check(rss_bytes(place.worker.pid) < memory + SLOW * (8 << 20), "its memory is bounded")


def test_resources_without_controllers(sandbox):
    """What a task file asks for and cannot be had here is said once, at the start."""
    os.mkdir(sandbox.path("tasks"))
    with open(sandbox.path("tasks/meek.task"), "w", encoding="ascii") as f:
        f.write("[Task]\nExec=/bin/echo 1\nMemoryMax=64M\nTasksMax=5\nCPUWeight=10\n")
    with open(sandbox.path("tasks/crash.task"), "w", encoding="ascii") as f:
        f.write("[Task]\nExec=/bin/sh -c 'kill -SEGV $$'\nMemoryMax=64M\n")
    place = Place(sandbox, False, f"--module-path={sandbox.path('tasks')}", modules="meek,crash")
    client = sandbox.client()
    result = client.call("crash")
    equal((result.status, result.error), ("failure", "killed by signal SIGSEGV (segmentation fault); its memory was "
                                                     "limited to 67108864 bytes (MemoryMax=)"))
    for _ in range(3):
        equal(client.call("meek").value, 1)
    equal(place.worker.count_lines("MemoryMax= of a task holds for each process of a command by itself, and TasksMax= "
                                   "and CPUWeight= of tasks have no effect: "), 1)


# --- runners grow old ---

def test_recycle_tasks(sandbox):
    Place(sandbox, False, "--recycle-tasks=3")
    client = sandbox.client()
    pids = [client.call("surroundings").value["pid"] for _ in range(9)]
    equal([pids.count(pid) for pid in dict.fromkeys(pids)], [3, 3, 3], "tasks of each runner")
    results = client.wait_results(client.submit_many([{"name": "surroundings"}] * 30))
    counts = [r.value["pid"] for r in results]
    equal({counts.count(pid) for pid in set(counts)}, {3}, "also when they wait in line")


def test_recycle_memory(sandbox):
    Place(sandbox, False, "--recycle-memory=64M")
    client = sandbox.client()
    first = client.call("surroundings").value["pid"]
    if not harness.sanitized():
        equal(client.call("surroundings").value["pid"], first, "a small one stays")
    equal(client.call("leak", "128").status, "success")
    # It is weighed when it has been idle for a moment.
    until(lambda: client.call("surroundings").value["pid"] != first, "another runner")


harness.main(globals())
