#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Task modules in Python, from the file to the result: written as the page of the reference has them, and run by real
daemons."""

import json
import os
import re
import signal
import textwrap
import time

import harness
import zmq
from harness import check, equal, until

# The decorator in all its documented forms, in a file that knows nothing of this project but `task`.
MYTASKS = '''
    from datetime import datetime, timedelta

    from fastworker import task


    @task
    def add(x: int, y: int) -> int:
        """Adds two numbers."""
        return x + y


    @task()
    def multiply(x: int, y: int = 2) -> int:
        return x * y


    @task
    async def fetch(url: str, retries: int = 3):
        import asyncio
        await asyncio.sleep(0)
        return {"url": url, "retries": retries}


    @task(repeat_interval=30)
    def heartbeat():
        return "alive"


    @task(cron="*/5 * * * *")
    def every_five_minutes():
        return "tick"


    @task(repeat_interval=timedelta(minutes=1), repeat_count=10)
    def ten_times():
        return "tock"


    @task(cron="0 9 * * 1-5", repeat_until=datetime(2030, 12, 31, 23, 59))
    def weekdays():
        return "morning"


    def announce(t):
        print(f"about to run {t.name}")


    def record(t):
        print(f"{t.name} ended as {t.status}")


    @task(before=announce, after=record)
    def watched(n):
        print("in the middle")
        return n / 2
    '''


def write(sandbox, name, text):
    with open(sandbox.path(name), "w", encoding="utf-8") as f:
        f.write(textwrap.dedent(text).lstrip("\n"))


def start(sandbox, *flags, modules="mytasks"):
    """A coordinator, and "sw1", which finds modules in the sandbox first."""
    controld = sandbox.controld()
    worker = sandbox.subworker("sw1", f"--module-path={sandbox.directory}:{harness.MODULE_PATH}", *flags, modules=modules,
                               environment={"PYTHONDONTWRITEBYTECODE": "1"})
    controld.wait_line("sw1 registered")
    return worker


def test_documented_forms(sandbox):
    write(sandbox, "mytasks.py", MYTASKS)
    worker = start(sandbox)
    client = sandbox.client()
    equal(client.call("add", 5, 3).value, 8)
    equal(client.call("add", kwargs={"x": "ä", "y": "ß"}).value, "äß")
    equal(client.call("multiply", 4).value, 8)
    equal(client.call("multiply", 4, kwargs={"y": 3}).value, 12)
    equal(client.call("fetch", "http://x", kwargs={"retries": 1}).value, {"url": "http://x", "retries": 1})
    for name, value in (("heartbeat", "alive"), ("every_five_minutes", "tick"), ("ten_times", "tock"),
                        ("weekdays", "morning")):
        equal(client.call(name).value, value)
    equal(client.call("watched", 4).value, 2.0)
    equal(client.call("watched", "x").status, "failure")
    for line in ("watched: about to run watched", "watched: in the middle", "watched: watched ended as success",
                 "watched: watched ended as failure"):
        worker.wait_line(re.escape(line) + "$")
    types = {t["name"]: t["description"] for t in client.info("TYPES")["types"]}
    equal(types["add"], "Adds two numbers.")
    equal(len(types), 8)


def test_command_line(sandbox):
    write(sandbox, "mytasks.py", MYTASKS)
    environment = {"FASTWORKER_MODULE_PATH": f"{sandbox.directory}:{harness.MODULE_PATH}"}
    listed = sandbox.cli("list", "--task-modules", "mytasks.py", "--json=short", environment=environment)
    equal(listed.returncode, 0, listed.stderr)
    types = {t["name"]: t for t in json.loads(listed.stdout)["types"]}
    equal(len(types), 8)
    equal((types["add"]["description"], types["ten_times"]["options"]),
          ("Adds two numbers.", {"schedule": {"interval": 60, "count": 10}}))
    both = sandbox.cli("list", "--task-modules", "testtasks", "mytasks.py", "--json=short", environment=environment)
    names = [t["name"] for t in json.loads(both.stdout)["types"]]
    check("noop" in names and "add" in names, names)

    write(sandbox, "broken.py", "import no_such_thing\n")
    broken = sandbox.cli("list", "--task-modules", "broken", environment=environment)
    check(broken.returncode != 0 and "broken.py:1: ModuleNotFoundError" in broken.stderr, broken.stderr)

    start(sandbox)
    done = sandbox.cli("submit", "--task-name", "add", "--args", "5", "3", f"--address={sandbox.client_address}")
    equal((done.returncode, done.stdout), (0, "8\n"), done.stderr)


def test_schedules(sandbox):
    """Periodic tasks are there as schedules, and begin by themselves."""
    write(sandbox, "mytasks.py", MYTASKS + '''
    @task(repeat_interval=0.2, repeat_count=3, skip_if_running=False)
    def thrice():
        return "again"
    ''')
    start(sandbox)
    client, address = sandbox.client(), f"--address={sandbox.client_address}"

    def runs():
        r = sandbox.cli("list", "--name", "thrice", address, "--json=short")
        return [t["status"] for t in json.loads(r.stdout)["tasks"]]
    until(lambda: runs() == ["success"] * 3, "three runs")
    r = sandbox.cli("schedule", "list", address, "--json=short")
    equal(r.returncode, 0, r.stderr)
    names = {s["name"] for s in json.loads(r.stdout)["schedules"]}
    check({"heartbeat", "every_five_minutes", "ten_times", "weekdays"} <= names, names)
    equal(client.call("thrice").value, "again")


def test_examples(sandbox):
    start(sandbox, f"--module-path={harness.SOURCE}/examples", modules="texts,disk-usage")
    client = sandbox.client()
    equal(client.call("top_words", "to be or not to be", kwargs={"top": 2}).value, [["to", 2], ["be", 2]])
    equal(client.call("primes", 100).value, {"below": 100, "primes": 25})
    sandbox.stage("directory")
    value = client.call("disk-usage", sandbox.path("directory")).value
    check(re.fullmatch(rf"\d+\t{re.escape(sandbox.path('directory'))}", value), value)


class FakeCoordinator:
    """Takes a registration, to look at it."""

    def __init__(self, sandbox):
        self.socket = zmq.Context.instance().socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.bind(sandbox.client_address)
        self.address = sandbox.client_address
        sandbox.closers.append(self.socket.close)

    def registration(self):
        deadline = time.monotonic() + harness.PATIENCE
        while self.socket.poll(max(0, deadline - time.monotonic()) * 1000):
            peer, verb, correlation, *fields = self.socket.recv_multipart()
            if verb == b"FW1 DISCOVER":
                info = {"worker_id": "fake", "version": "1", "protocol": [1, 1], "client": [self.address],
                        "worker": [self.address]}
                self.socket.send_multipart([peer, b"FW1 INFO", correlation, json.dumps(info).encode()])
            elif verb == b"FW1 REGISTER":
                return json.loads(fields[3])
        raise harness.Failure("nobody registers")


def test_options_reach_the_coordinator(sandbox):
    write(sandbox, "mytasks.py", MYTASKS + '''
    @task(max_retries=3, retry_delay=1.5, retry_backoff=2, retry_backoff_max=60, retry_jitter=0.1, timeout=10,
          soft_timeout=8, priority="high", labels=["gpu"], concurrency=2, rate_limit="10/s")
    def all_of_it(): pass
    ''')
    fake = FakeCoordinator(sandbox)
    worker = sandbox.subworker("sw1", f"--module-path={sandbox.directory}", modules="mytasks")
    types = {t["name"]: t for t in fake.registration()["types"]}
    check("options" not in types["add"], types["add"])
    equal(types["heartbeat"]["options"], {"schedule": {"interval": 30}})
    equal(types["every_five_minutes"]["options"], {"schedule": {"cron": "*/5 * * * *"}})
    equal(types["ten_times"]["options"], {"schedule": {"interval": 60, "count": 10}})
    equal(types["weekdays"]["options"], {"schedule": {"cron": "0 9 * * 1-5", "until": "2030-12-31T23:59:00"}})
    equal(types["all_of_it"]["options"],
          {"max_retries": 3, "retry_delay": 1.5, "retry_backoff": 2, "retry_backoff_max": 60, "retry_jitter": 0.1,
           "timeout": 10, "soft_timeout": 8, "priority": "high", "labels": ["gpu"], "concurrency": 2,
           "rate_limit": "10/s"})
    worker.kill()


def test_failures(sandbox):
    write(sandbox, "mytasks.py", '''
        import os, signal
        from fastworker import task

        def deep(n):
            raise ValueError(f"{n} is too much")

        @task
        def fails(n):
            try:
                deep(n)
            except ValueError as e:
                raise RuntimeError("no luck") from e

        @task
        def crashes():
            os.kill(os.getpid(), signal.SIGSEGV)

        @task
        def exits():
            os._exit(7)

        @task
        def fine(): return "fine"
        ''')
    start(sandbox)
    client = sandbox.client()
    task_id = client.submit("fails", 42)
    error = client.result(task_id).error
    equal(error.splitlines()[0], "RuntimeError: no luck")
    for part in ('mytasks.py", line 12, in fails', "Caused by ValueError: 42 is too much", 'mytasks.py", line 5, in deep'):
        check(part in error, f"{error!r} has {part!r}")
    status = sandbox.cli("status", "--task-id", task_id, f"--address={sandbox.client_address}").stdout
    check("RuntimeError: no luck" in status and "Traceback (most recent call last)" in status, status)
    for name, text in (("crashes", "SIGSEGV"), ("exits", "status 7")):
        result = client.call(name)
        equal(result.status, "dead", name)
        check(text in result.error, result.error)
        equal(client.call("fine").value, "fine", "another interpreter serves")


def test_progress(sandbox):
    write(sandbox, "mytasks.py", '''
        from fastworker import task, progress

        @task
        def works(started, gate):
            for n in range(1000):
                progress(n / 10, "warming up")
            progress(42.5, "page 17\\nof 40")
            open(started, "w").close()
            open(gate).close()
        ''')
    start(sandbox)
    client = sandbox.client()
    started, gate = sandbox.path("started"), sandbox.path("gate")
    os.mkfifo(started)
    os.mkfifo(gate)
    task_id = client.submit("works", started, gate)
    with open(started, "rb"):
        pass
    until(lambda: client.status(task_id).get("progress") == {"percent": 42.5, "text": "page 17 of 40"}, "progress")
    shown = sandbox.cli("status", "--task-id", task_id, f"--address={sandbox.client_address}").stdout
    check(re.search(r"Progress: 42\.5 %, page 17 of 40\n", shown), shown)
    waited = sandbox.cli("wait", "--progress", "--timeout=1500ms", "--task-id", task_id,
                         f"--address={sandbox.client_address}")
    check(re.match(r"42\.5 %  page 17 of 40\n", waited.stderr), waited.stderr)
    with open(gate, "wb"):
        pass
    equal(client.result(task_id).status, "success")
    check("progress" not in client.status(task_id), "it has ended")


def test_output(sandbox):
    """What tasks print, and what they log, is told apart by task, though it goes through one pipe."""
    write(sandbox, "mytasks.py", '''
        import logging, os, sys
        from fastworker import task, current_task

        @task
        def prints(n):
            print(f"printed {n} {current_task().id}")
            sys.stderr.write(f"stderr {n} {current_task().id}\\n")
            os.write(1, f"written {n} {current_task().id}\\n".encode())
            logging.warning("logged %s %s", n, current_task().id)

        @task
        def also_prints(n):
            print(f"printed {n} {current_task().id}")
        ''')
    worker = start(sandbox)
    client = sandbox.client()
    ids = client.submit_many([{"name": "prints" if n % 2 else "also_prints", "args": [n]} for n in range(60)])
    client.wait_results(ids)
    for n, task_id in enumerate(ids):
        line = worker.wait_line(f"printed {n} {task_id}")
        check(f"{'prints' if n % 2 else 'also_prints'}: printed" in line, line)
        if n % 2:
            for what in ("stderr", "written", "logged"):
                check("prints: " in worker.wait_line(f"{what} {n} {task_id}"), what)


def test_cancel(sandbox):
    write(sandbox, "mytasks.py", '''
        import os, time
        from fastworker import task

        @task
        def holds(path):
            with open(path, "w") as f:
                f.write(str(os.getpid()))
            time.sleep(3600)

        @task
        def fine(): return "fine"
        ''')
    start(sandbox)
    client = sandbox.client()
    os.mkfifo(sandbox.path("pid"))
    task_id = client.submit("holds", sandbox.path("pid"))
    with open(sandbox.path("pid"), encoding="ascii") as f:
        pid = int(f.read())
    client.request("CANCEL", task_id)
    equal(client.result(task_id).status, "cancelled")
    until(lambda: not os.path.exists(f"/proc/{pid}"), "the end of its process")
    equal(client.call("fine").value, "fine")


def test_reload(sandbox):
    write(sandbox, "mytasks.py", "from fastworker import task\n@task\ndef version(): return 1\n")
    worker = start(sandbox, modules="mytasks,testtasks")
    client = sandbox.client()
    equal(client.call("version").value, 1)

    write(sandbox, "mytasks.py", "from fastworker import task\n@task\ndef version(): return 2\n@task\ndef more(): return 3\n")
    worker.signal(signal.SIGHUP)
    worker.wait_line("reloaded")
    until(lambda: any(t["name"] == "more" for t in client.info("TYPES")["types"]), "the new task")
    equal((client.call("version").value, client.call("more").value), (2, 3))

    # One that does not load changes nothing, be it for the other kind's sake.
    for text, wanted in (("def broken(:\n", r"mytasks\.py:1: SyntaxError"),
                         ("from fastworker import task\n@task\ndef noop(): pass\n",
                          r"task noop is defined in .*testtasks\.so and in .*mytasks\.py")):
        write(sandbox, "mytasks.py", text)
        worker.signal(signal.SIGHUP)
        worker.wait_line(f"Reload failed.*{wanted}")
        equal((client.call("version").value, client.call("noop").status), (2, "success"))


def test_conflicts(sandbox):
    sandbox.controld()
    write(sandbox, "mytasks.py", "from fastworker import task\n@task\ndef noop(): pass\n")
    write(sandbox, "other.py", "from fastworker import task\n@task\ndef noop(): pass\n")
    write(sandbox, "testtasks.py", "from fastworker import task\n@task\ndef fine(): pass\n")
    with open(sandbox.path("testtasks.so"), "wb"):
        pass
    path = f"--module-path={sandbox.directory}:{harness.MODULE_PATH}"
    for modules, wanted in ((f"mytasks,{harness.MODULE_PATH.split(':', maxsplit=1)[0]}/testtasks.so",
                             r"task noop is defined in .*/testtasks\.so and in .*/mytasks\.py"),
                            ("mytasks,other", r"there are two tasks 'noop': in .*/mytasks\.py and in .*/other\.py"),
                            ("testtasks", r"there are both .*/testtasks\.so and .*/testtasks\.py"),
                            ("nowhere", r"no nowhere\.so and no nowhere\.py in any of the directories")):
        worker = sandbox.subworker("bad", path, modules=modules, ready=False)
        worker.expect_status = 1
        equal(worker.wait_end(), 1, modules)
        worker.wait_line(wanted)


def test_mixed(sandbox):
    """Two at once, in C or in Python; and those of one kind do not keep those of the other waiting."""
    write(sandbox, "mytasks.py", '''
        import os
        from fastworker import task

        @task
        def held(directory):
            fd = os.open(f"{directory}/started", os.O_WRONLY)
            os.write(fd, f"python 1 {os.getpid()}\\n".encode())
            os.close(fd)
            os.close(os.open(f"{directory}/gate", os.O_RDONLY))

        @task
        def add(a, b): return a + b
        ''')
    start(sandbox, "--concurrency=2", modules="mytasks,testtasks")
    client = sandbox.client()
    equal(client.info("WORKERS")["subworkers"]["sw1"]["slots"], 2)
    for names in (("hold", "held"), ("held", "held"), ("hold", "hold")):
        stage = sandbox.stage("-".join(names))
        ids = client.submit_many([{"name": n, "args": [stage.directory]} for n in names])
        stage.wait_started(2)
        more = [client.submit("add", 1, 2), client.submit("noop")]
        until(lambda ids=ids: all(client.status(i)["status"] == "running" for i in ids), "both run")
        equal([client.status(i)["status"] for i in more], ["queued", "queued"], "not more than two")
        stage.open_gate()
        client.wait_results(ids + more)
    ids = client.submit_many([{"name": "add" if n % 3 else "noop", "args": [n, 1]} for n in range(300)])
    results = client.wait_results(ids)
    equal([r.value for n, r in enumerate(results) if n % 3], [n + 1 for n in range(300) if n % 3])
    check(all(r.status == "success" for r in results), "all succeed")


def test_interpreter(sandbox):
    """Python= may name another interpreter, such as a virtual environment's, which need not know the package."""
    write(sandbox, "mytasks.py", "import os, sys\nfrom fastworker import task\n"
                                 "@task\ndef which(): return [sys.orig_argv[0], os.environ['WRAPPED']]\n")
    write(sandbox, "wrapper", "#!/bin/sh\nWRAPPED=yes exec /usr/bin/python3 -I \"$@\"\n")
    os.chmod(sandbox.path("wrapper"), 0o755)
    start(sandbox, f"--python={sandbox.path('wrapper')}")
    equal(sandbox.client().call("which").value, ["/usr/bin/python3", "yes"])

    bad = sandbox.subworker("bad", f"--module-path={sandbox.directory}", "--python=/nonexistent/python3", modules="mytasks",
                            ready=False)
    bad.expect_status = 1
    equal(bad.wait_end(), 1)
    bad.wait_line("Python=/nonexistent/python3: No such file")


harness.main(globals())
