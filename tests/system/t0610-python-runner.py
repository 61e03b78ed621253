#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The Python runner alone, over the socket that subworkerd gives it: what is on the page of the reference about @task, and
what doc/runner-protocol.md asks of a runner."""

import json
import os
import re
import signal
import socket
import subprocess
import textwrap
import time

import harness
from harness import SOURCE, check, equal

RUNNER = f"{SOURCE}/src/runner-python/fastworker-runner-python"


class Runner:
    def __init__(self, sandbox, source, *flags, extra=()):
        self.path = sandbox.path("mytasks.py")
        with open(self.path, "w", encoding="utf-8") as f:
            f.write(textwrap.dedent(source).lstrip("\n"))
        for name, text in extra:
            with open(sandbox.path(name), "w", encoding="utf-8") as f:
                f.write(textwrap.dedent(text))
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(harness.PATIENCE)
        environment = dict(sandbox.environment, PYTHONPATH=f"{SOURCE}/python", PYTHONDONTWRITEBYTECODE="1")
        # Popen has no other way to give a descriptor a number; bash, as dash knows those of one digit only.
        self.process = subprocess.Popen(
            ["/bin/bash", "-c", f'exec "$0" "$@" 3<&{theirs.fileno()}', "/usr/bin/python3", RUNNER, *flags, self.path],
            env=environment, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        theirs.close()
        self.socket, self.seq = ours, 0
        sandbox.closers.append(self.close)

    def close(self):
        self.socket.close()
        self.process.stdout.close()
        self.process.kill()
        self.process.wait()

    def receive(self):
        packet, fds, _, _ = socket.recv_fds(self.socket, 512 + 65536, 1)
        line, _, payload = packet.partition(b"\n")
        for fd in fds:
            payload = os.pread(fd, os.fstat(fd).st_size, 0)
            os.close(fd)
        return line.decode().split(" "), payload

    def hello(self):
        words, payload = self.receive()
        equal(words[:2], ["HELLO", "1"], payload)
        types = {}
        for line in payload.decode().splitlines():
            name, description, options, file = line.split("\t")
            types[name] = (description, json.loads(options or "{}"))
            equal(file, self.path)
        return types

    def begin(self, name, *args, words="", **kwargs):
        self.seq += 1
        arguments = json.dumps({"args": args, "kwargs": kwargs})
        self.socket.send(f"RUN {self.seq} 01938f2a-7c3b-7c11-9d2e-5b1f00aa93c4 2 {name}{words}\n{arguments}".encode())

    def end(self, said=None):
        """(outcome, payload, further words) of DONE; what is said before goes to the list."""
        while True:
            words, payload = self.receive()
            if words[0] == "DONE":
                equal(words[1], str(self.seq))
                return words[2], payload.decode(), words[5:]
            if said is not None:
                check(words[1] in ("0", str(self.seq)), words)
                said.append((words[0] if words[1] != "0" else "STRAY", *words[2:], payload.decode()))

    def run(self, name, *args, said=None, words="", **kwargs):
        self.begin(name, *args, words=words, **kwargs)
        return self.end(said)


def test_calls(sandbox):
    runner = Runner(sandbox, '''
        import asyncio
        from fastworker import task, current_task

        @task
        def add(a, b):
            """Adds two numbers.

            More of it."""
            return a + b

        @task()
        async def slow_add(a, b=1):
            await asyncio.sleep(0)
            return a + b

        @task(name="who.am-i")
        def who():
            t = current_task()
            return [t.id, t.name, t.attempt]

        @task
        def calls_another():
            return add(1, 2)
        ''')
    types = runner.hello()
    equal(list(types), ["add", "slow_add", "who.am-i", "calls_another"])
    equal(types["add"], ("Adds two numbers.", {}))
    equal(runner.run("add", 5, 3), ("success", "8", []))
    equal(runner.run("add", a="x", b="ü"), ("success", '"xü"', []))
    equal(runner.run("slow_add", 1, b=2), ("success", "3", []))
    equal(runner.run("calls_another"), ("success", "3", []))
    equal(json.loads(runner.run("who.am-i")[1]), ["01938f2a-7c3b-7c11-9d2e-5b1f00aa93c4", "who.am-i", 2])
    runner.socket.shutdown(socket.SHUT_WR)
    equal(runner.process.wait(harness.PATIENCE), 0)


def test_options(sandbox):
    """What the coordinator is told of a task."""
    runner = Runner(sandbox, '''
        import datetime
        from fastworker import task

        @task(repeat_interval=30, repeat_count=5)
        def every(): pass

        @task(cron="*/15 8-17 * * 1-5", repeat_until="2030-01-01T00:00:00", timezone="Europe/Berlin")
        def quarterly(): pass

        @task(cron=" 0 2 * * * ", skip_if_running=False, catch_up="all")
        def nightly(): pass

        @task(max_retries=3, retry_delay=datetime.timedelta(minutes=1), retry_backoff=2.0, timeout=10, soft_timeout=8,
              priority="HIGH", labels="gpu", rate_limit="10/s", concurrency=2)
        def all_of_it(): pass
        ''')
    types = {name: options for name, (_, options) in runner.hello().items()}
    equal(types["nightly"], {"schedule": {"cron": "0 2 * * *", "skip_if_running": False, "catch_up": "all"}})
    equal(types["every"], {"schedule": {"interval": 30, "count": 5}})
    equal(types["quarterly"], {"schedule": {"cron": "*/15 8-17 * * 1-5", "until": "2030-01-01T00:00:00",
                                            "timezone": "Europe/Berlin"}})
    equal(types["all_of_it"], {"max_retries": 3, "retry_delay": 60, "retry_backoff": 2.0, "timeout": 10,
                               "soft_timeout": 8, "priority": "high", "labels": ["gpu"], "rate_limit": "10/s",
                               "concurrency": 2})


def test_failures(sandbox):
    runner = Runner(sandbox, '''
        import sys
        from fastworker import task, Retry, DoNotRetry

        def deep():
            raise ValueError("no such thing")

        @task
        def fails():
            deep()

        @task
        def one(a): pass

        @task
        def later():
            raise Retry("not yet", after=1.5)

        @task
        def some_time():
            raise Retry

        @task
        def never():
            raise DoNotRetry("hopeless")

        @task
        def leaves():
            sys.exit(3)

        @task
        def odd():
            return object()

        @task
        def nan():
            return float("nan")

        @task
        def long(n):
            return "x" * n
        ''', "--max-result-bytes=200000")
    runner.hello()
    outcome, text, words = runner.run("fails")
    equal((outcome, words), ("failure", []))
    equal(text.splitlines()[0], "ValueError: no such thing")
    check('mytasks.py", line 5, in deep' in text, text)
    check("fastworker-runner-python" not in text, text)
    equal(runner.run("later"), ("failure", "not yet", ["retry-after=1500000"]))
    equal(runner.run("some_time"), ("failure", "the task asked to be tried again", []))
    equal(runner.run("never"), ("failure", "hopeless", ["retry=no"]))
    outcome, text, words = runner.run("one")
    equal(text, "TypeError: one() missing 1 required positional argument: 'a'")
    check("sys.exit(3)" in runner.run("leaves")[1], "an exit is a failure")
    check("what JSON cannot express" in runner.run("odd")[1], "odd")
    check("what JSON cannot express" in runner.run("nan")[1], "nan")
    check("at most 200000 are kept" in runner.run("long", 300000)[1], "long")
    equal(len(runner.run("long", 150000)[1]), 150002, "through a memfd")
    equal(runner.run("unknown"), ("failure", "this runner has no task 'unknown'", ["retry=no"]))
    runner.seq += 1
    runner.socket.send(f"RUN {runner.seq} 01938f2a-7c3b-7c11-9d2e-5b1f00aa93c4 1 one\n[1]".encode())
    check("must be an object" in runner.end()[1], "no object")


def test_hooks(sandbox):
    runner = Runner(sandbox, '''
        from fastworker import task
        seen = []

        def first(t):
            seen.append(["before", t.name, t.args, t.status])

        async def last(t):
            seen.append(["after", t.status, t.result, t.error and t.error.splitlines()[0]])

        @task(before=first, after=last)
        def half(n):
            return n / 2

        def breaks(t):
            raise OSError("hook")

        @task(after=breaks)
        def fine(): return 1

        @task(before=breaks)
        def not_fine(): return 1

        @task
        def tell(): return seen
        ''')
    runner.hello()
    runner.run("half", 4)
    runner.run("half", "x")
    seen = json.loads(runner.run("tell")[1])
    equal(seen[0], ["before", "half", [4], "running"])
    equal(seen[1], ["after", "success", 2.0, None])
    equal(seen[3][:3], ["after", "failure", None])
    check(seen[3][3].startswith("TypeError: "), seen[3])
    said = []
    equal(runner.run("fine", said=said), ("success", "1", []))
    check(said[0][:2] == ("LOG", "4") and "OSError: hook" in said[0][2], said)
    equal(runner.run("not_fine")[1].splitlines()[0], "OSError: hook")


def test_soft_timeout(sandbox):
    runner = Runner(sandbox, '''
        import asyncio, time
        from fastworker import task, SoftTimeout

        @task
        def sleeps():
            time.sleep(3600)

        @task
        def tidies():
            try:
                time.sleep(3600)
            except SoftTimeout:
                return "tidied"

        @task
        async def async_sleeps():
            await asyncio.sleep(3600)

        @task
        async def gathers():
            await asyncio.gather(*(asyncio.sleep(3600) for _ in range(3)))

        @task
        async def async_tidies():
            background = asyncio.create_task(asyncio.sleep(0.01, "background"))
            try:
                await asyncio.gather(asyncio.sleep(3600), asyncio.Event().wait())
            except asyncio.CancelledError:
                return await background

        @task
        async def stragglers():
            asyncio.create_task(asyncio.sleep(3600))
            return 1
        ''')
    runner.hello()
    soft = " soft-timeout=50000"
    check(runner.run("sleeps", words=soft)[1].startswith("fastworker._errors.SoftTimeout: the task has run for its soft "
                                                         "timeout of 0.05 s"), "sync")
    equal(runner.run("tidies", words=soft), ("success", '"tidied"', []))
    for name in ("async_sleeps", "gathers"):
        outcome, text, _ = runner.run(name, words=soft)
        check(outcome == "failure" and "SoftTimeout: the task has run for its soft timeout" in text, text)
    equal(runner.run("async_tidies", words=soft), ("success", '"background"', []))
    equal(runner.run("stragglers"), ("success", "1", []), "what a task leaves behind does not hold it up")
    equal(runner.run("stragglers"), ("success", "1", []), "nor the next one")


def test_progress_and_log(sandbox):
    runner = Runner(sandbox, '''
        import logging
        from fastworker import task, progress

        @task
        def works():
            progress(42, "half\\nway")
            logging.getLogger("x").warning("paper is %s", "low")
            logging.info("fine")
            print("printed")
            progress(101)
        ''')
    runner.hello()
    said = []
    outcome, text, _ = runner.run("works", said=said)
    equal(said, [("PROGRESS", "42", "half way"), ("LOG", "4", "paper is low"), ("LOG", "6", "fine")])
    check(outcome == "failure" and "0 to 100" in text, text)


def test_threads(sandbox):
    """What a thread says belongs to the task that it works for, which may have ended."""
    runner = Runner(sandbox, '''
        import asyncio, concurrent.futures, logging, threading
        from fastworker import current_task, progress, task

        gates = {name: threading.Event() for name in ("thread", "timer", "pool", "loop")}
        done = {name: threading.Event() for name in gates}
        pool = concurrent.futures.ThreadPoolExecutor(2)

        def speak(name):
            gates[name].wait()
            progress(50)
            logging.info("%s %s", name, current_task() and current_task().name)
            done[name].set()

        def rearm():
            timer = threading.Timer(0, speak, ["timer"])
            timer.start()

        @task
        def leaves():
            threading.Thread(target=speak, args=["thread"]).start()
            threading.Thread(target=rearm).start()
            pool.submit(speak, "pool")
            asyncio.new_event_loop().run_in_executor(None, speak, "loop")

        @task
        def goes_on():
            for name in gates:
                gates[name].set()
                done[name].wait()

        @task
        def own():
            done = []
            def say(text):
                logging.info("%s %s", text, current_task().name)
            thread = threading.Thread(target=say, args=["thread"])
            thread.start()
            thread.join()
            pool.submit(say, "pool").result()
            asyncio.run(asyncio.to_thread(say, "loop"))
        ''')
    runner.hello()
    equal(runner.run("leaves")[0], "success")
    said = []
    equal(runner.run("goes_on", said=said)[0], "success")
    equal(said, [("STRAY", "6", f"{name} None") for name in ("thread", "timer", "pool", "loop")])
    for _ in range(2):
        said = []
        equal(runner.run("own", said=said)[:2], ("success", "null"))
        equal(said, [("LOG", "6", f"{name} own") for name in ("thread", "pool", "loop")])


def test_tracebacks(sandbox):
    """Only what is in the module, and what it has called."""
    runner = Runner(sandbox, '''
        import asyncio, concurrent.futures
        from fastworker import progress, task

        @task
        async def inner(): raise ValueError("inside")

        @task
        async def outer(): await asyncio.gather(asyncio.sleep(60), inner())

        @task
        def called(): return progress(101)

        @task
        def threaded():
            with concurrent.futures.ThreadPoolExecutor() as pool:
                pool.submit(called).result()
        ''')
    runner.hello()
    for name, functions in (("inner", ["inner"]), ("outer", ["outer", "inner"]), ("called", ["called"]),
                            ("threaded", ["threaded", "result", "__get_result", "run", "called"])):
        outcome, text, _ = runner.run(name)
        equal((outcome, text.split(":")[0]), ("failure", "ValueError"))
        frames = re.findall(r'File "(.*)", line \d+, in (\w+)$', text, re.MULTILINE)
        equal([function for _, function in frames], functions, text)
        check(not any("fastworker-runner-python" in path or "base_events" in path for path, _ in frames), text)


def test_neighbours(sandbox):
    """A module may import what lies beside it."""
    runner = Runner(sandbox, '''
        import helper
        from fastworker import task

        @task
        def twice(n): return helper.twice(n)
        ''', extra=[("helper.py", "def twice(n): return 2 * n\n")])
    runner.hello()
    equal(runner.run("twice", 4), ("success", "8", []))


def test_bad_modules(sandbox):
    for source, wanted in (("import nonsense_module", ":1: ModuleNotFoundError: No module named 'nonsense_module'"),
                           ("def f(:\n", ":1: SyntaxError: invalid syntax"),
                           ("x = 1\n", ": no function has the decorator @task"),
                           ("from fastworker import task\n@task(cron='x', repeat_interval=3)\ndef f(): pass\n",
                            ":2: ValueError: repeat_interval= and cron= exclude each other"),
                           ("from fastworker import task\n@task(cron='* * * * *', catch_up='maybe')\ndef f(): pass\n",
                            ":2: ValueError: catch_up='maybe': one of skip, one, all is needed"),
                           ("from fastworker import task\n@task(catch_up='one')\ndef f(): pass\n",
                            ":2: ValueError: catch_up= needs repeat_interval= or cron="),
                           ("from fastworker import task\n@task(repeat_interval=0.01)\ndef f(): pass\n",
                            ":2: ValueError: repeat_interval=0.01: a number of seconds, from 0.1 on"),
                           ("from fastworker import task\n@task(max_retires=3)\ndef f(): pass\n",
                            ":2: TypeError: @task has no option 'max_retires'; known are"),
                           ("from fastworker import task\n@task(timeout=-1)\ndef f(): pass\n",
                            ":2: ValueError: timeout=-1: a number from 0.001 to")):
        runner = Runner(sandbox, source)
        words, payload = runner.receive()
        equal(words, ["FAILED"], f"{source}: {payload}")
        check(wanted in payload.decode(), f"{payload.decode()!r} has {wanted!r}")
        equal(runner.process.wait(harness.PATIENCE), 1)


def test_bad_options(sandbox):
    """Each is an error of the module that names option, value and what would be right."""
    table = (
        ("timeout=-1", "timeout=-1: a number from 0.001 to 31622400 (seconds; without the option there is no limit) is needed"),
        ("timeout=0", "timeout=0: a number from 0.001"),
        ("timeout=float('inf')", "timeout=inf: a number"),
        ("timeout=float('nan')", "timeout=nan: a number"),
        ("timeout='5s'", "timeout='5s': a number"),
        ("timeout=True", "timeout=True: a number"),
        ("timeout=fractions.Fraction(10 ** 400)", "timeout=Fraction(1000"),
        ("timeout=2, soft_timeout=2", "soft_timeout=2: less than timeout=2 is needed"),
        ("timeout=datetime.timedelta(seconds=2), soft_timeout=3.5", "soft_timeout=3.5: less than timeout=datetime.timedelta("),
        ("max_retries=10001", "max_retries=10001: a number from 0 to 10000"),
        ("max_retries=1.5", "max_retries=1.5: a whole number is needed"),
        ("retry_backoff=0.5", "retry_backoff=0.5: a number from 1 to 1000"),
        ("priority='urgent'", "priority='urgent': one of critical, high, normal, low is needed"),
        ("labels=['a b']", "labels=['a b']: 'a b' is no label: 1 to 63 letters"),
        ("labels=['']", "labels=['']: '' is no label"),
        ("labels=[1]", "labels=[1]: 1 is no label"),
        ("labels=7", "labels=7: a word or a list of at most 32 is needed"),
        ("labels=[str(n) for n in range(33)]", "a word or a list of at most 32 is needed"),
        ("rate_limit='10'", "rate_limit='10': a number from 1 to 1000000 and s, m or h are needed"),
        ("rate_limit='1000001/s'", "rate_limit='1000001/s': a number from 1 to 1000000"),
        ("repeat_interval=float('inf')", "repeat_interval=inf: a number of seconds, from 0.1 on"),
        ("repeat_interval=0.01", "repeat_interval=0.01: a number of seconds, from 0.1 on"),
        ("repeat_interval=5, repeat_count=0", "repeat_count=0: a whole number from 1 on is needed"),
        ("repeat_interval=5, repeat_until='tomorrow'", "repeat_until='tomorrow': a datetime, or one as text in ISO 8601"),
        ("repeat_interval=5, repeat_until='1969-01-01'", "repeat_until='1969-01-01': a datetime"),
        ("cron='99 * * * *'", "cron='99 * * * *': minute field \"99\": \"99\" is not a minute, expected 0 to 59"),
        ("cron='* * * *'", "cron='* * * *': expected five fields"),
        ("cron='0 0 30 2 *'", "cron='0 0 30 2 *': this never comes"),
        ("cron=''", "cron='': five fields are needed"),
        ("cron='@daily', timezone='Mars/Base'", "timezone='Mars/Base': the name of a time zone is needed"),
        ("cron='@daily', timezone='../etc/passwd'", "timezone='../etc/passwd': the name of a time zone"),
        ("cron='@daily', catch_up=['all']", "catch_up=['all']: one of skip, one, all is needed"),
        ("name='a b'", "'a b' is no name for a task"),
        ("name=5", "5 is no name for a task"),
        ("description=5", "description=5: a text is needed"),
    )
    path = sandbox.path("many.py")
    for options, wanted in table:
        with open(path, "w", encoding="utf-8") as f:
            f.write(f"import datetime, fractions\nfrom fastworker import task\n@task({options})\ndef f(): pass\n")
        r = subprocess.run(["/usr/bin/python3", RUNNER, "--list", path], capture_output=True, text=True, check=False,
                           env=sandbox.environment, timeout=harness.PATIENCE)
        check(r.returncode == 1 and f"{path}:3: ValueError: " in r.stderr and wanted in r.stderr, f"{options}: {r.stderr}")


def test_no_stale_bytecode(sandbox):
    """A module that was changed within one second, and has as many bytes as before."""
    for n in range(10):
        path = sandbox.path("mytasks.py")
        with open(path, "w", encoding="utf-8") as f:
            f.write(f"from fastworker import task\n@task\ndef number_{n}(): pass\n")
        r = subprocess.run(["/usr/bin/python3", RUNNER, "--list", path], capture_output=True, text=True, check=True,
                           env={k: v for k, v in sandbox.environment.items() if k != "PYTHONDONTWRITEBYTECODE"},
                           timeout=harness.PATIENCE)
        equal(r.stdout, f"number_{n}\t\t\n")


def test_good_options(sandbox):
    """What JSON has no word for is told as what it means."""
    runner = Runner(sandbox, '''
        import datetime, fractions, zoneinfo
        from fastworker import task

        @task(timeout=fractions.Fraction(1, 2), soft_timeout=datetime.timedelta(milliseconds=250), max_retries=2.0,
              labels={"b", "a"})
        def odd(): pass

        @task(cron="@daily", timezone=zoneinfo.ZoneInfo("Europe/Berlin"),
              repeat_until=datetime.datetime(2030, 1, 2, tzinfo=datetime.timezone.utc))
        def daily(): pass
        ''')
    types = {name: options for name, (_, options) in runner.hello().items()}
    equal(types["odd"], {"timeout": 0.5, "soft_timeout": 0.25, "max_retries": 2, "labels": ["a", "b"]})
    equal(types["daily"], {"schedule": {"cron": "@daily", "timezone": "Europe/Berlin",
                                        "until": "2030-01-02T00:00:00+00:00"}})


def test_survives_signals(sandbox):
    runner = Runner(sandbox, '''
        import os, time
        from fastworker import task

        @task
        def holds(path):
            os.close(os.open(path, os.O_WRONLY))
            time.sleep(0.1)
            return "held"
        ''')
    runner.hello()
    os.mkfifo(sandbox.path("fifo"))
    runner.begin("holds", sandbox.path("fifo"))
    with open(sandbox.path("fifo"), "rb"):
        pass
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        runner.process.send_signal(number)
    begin = time.monotonic()
    equal(runner.end(), ("success", '"held"', []))
    check(time.monotonic() - begin < harness.PATIENCE, "in time")


harness.main(globals())
