#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Python tasks that do to their runner what tasks should not: each fails or succeeds by itself, and the next one finds
everything as before."""

import textwrap

import harness
from harness import check, equal

MODULE = '''
    import logging, os, signal, sys, time
    from fastworker import Retry, SoftTimeout, task


    def leave(how):
        """A child process that comes to the end of the task's function."""
        pid = os.fork()
        if pid == 0:
            how()
            return "the child"
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


    def fail():
        raise ValueError("in the child")


    @task
    def child_exits():
        return leave(lambda: sys.exit(7))

    @task
    def child_exits_with_text():
        return leave(lambda: sys.exit("some text"))

    @task
    def child_fails():
        return leave(fail)

    @task
    def child_returns():
        return leave(lambda: None)


    @task
    def child_is_ended():
        pid = os.fork()
        if pid == 0:
            time.sleep(600)
        os.kill(pid, signal.SIGTERM)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


    @task
    async def async_child_returns():
        pid = os.fork()
        if pid == 0:
            return "the child"
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


    def fork_and_return(t):
        if os.fork() == 0:
            return
        os.wait()

    @task(before=fork_and_return, after=fork_and_return)
    def children_of_hooks():
        return "the task"


    @task(after=lambda t: sys.exit(3))
    def exits_afterwards():
        return "done"


    class Bare(Retry):
        def __init__(self):
            pass


    class Odd(Retry):
        def __init__(self):
            super().__init__("odd")
            self.after = "soon"


    class Unspeakable(Exception):
        def __str__(self):
            raise RuntimeError("no words")


    @task
    def bare():
        raise Bare()

    @task
    def odd():
        raise Odd()

    @task
    def unspeakable():
        raise Unspeakable()

    @task
    def interrupt():
        raise KeyboardInterrupt


    @task
    def takes_signals():
        for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        return os.getpid()

    @task
    def is_terminated():
        os.kill(os.getpid(), signal.SIGTERM)
        return os.getpid()

    @task
    def closes_output():
        sys.stdout.close()
        sys.stderr.close()

    @task
    def replaces_output():
        sys.stdout = None

    @task
    def prints():
        print("some words", flush=True)
        print("more words", file=sys.stderr, flush=True)
        return sys.stdout.fileno(), sys.stderr.fileno()


    @task(soft_timeout=0.05, timeout=60)
    def logs_on():
        try:
            while True:
                logging.debug("a line")
        except SoftTimeout:
            return "told"

    @task(soft_timeout=0.05, timeout=60)
    def sleeps_on():
        try:
            time.sleep(60)
        except SoftTimeout:
            return "told"
'''


def start(sandbox, module=MODULE):
    with open(sandbox.path("careless.py"), "w", encoding="utf-8") as f:
        f.write(textwrap.dedent(module))
    sandbox.controld().wait_ready()
    worker = sandbox.subworker("sw1", f"--module-path={sandbox.directory}", modules="careless")
    worker.wait_line("Registered")
    return sandbox.client(), worker


def test_children(sandbox):
    client, _ = start(sandbox)
    for name, status in (("child_exits", 7), ("child_exits_with_text", 1), ("child_fails", 1), ("child_returns", 0),
                         ("async_child_returns", 0)):
        equal(client.call(name).value, status, name)
    # Also one that is ended when it has only just come to be.
    results = client.wait_results(client.submit_many([{"name": "child_is_ended"}] * 50))
    equal([r.value for r in results], [-15] * 50)
    equal([client.call("children_of_hooks").value for _ in range(2)], ["the task"] * 2)


def test_ends(sandbox):
    client, worker = start(sandbox)
    equal(client.call("exits_afterwards").value, "done")
    worker.wait_line("after= hook of task exits_afterwards has failed")
    for name in ("bare", "odd", "unspeakable", "interrupt"):
        result = client.call(name)
        equal(result.status, "failure", name)
        check(name != "unspeakable" or "Unspeakable" in result.error, result.error)
    # All that with one and the same runner.
    equal(client.call("exits_afterwards").value, "done")
    check(not any("A runner has failed" in line for line in worker.lines), "\n".join(worker.lines))


def test_output(sandbox):
    client, worker = start(sandbox)
    for name in ("closes_output", "replaces_output"):
        equal(client.call(name).status, "success", name)
        equal(client.call("prints").value, [1, 2], f"after {name}")
    worker.wait_line("some words")
    worker.wait_line("more words")


def test_soft_timeout(sandbox):
    client, _ = start(sandbox)
    runner = client.call("takes_signals").value
    equal(client.call("is_terminated").value, runner, "the same process goes on")
    client.call("takes_signals")
    equal(client.call("sleeps_on").value, "told")
    equal(client.call("logs_on").value, "told")


PARALLEL = '''
    import asyncio, concurrent.futures, logging, multiprocessing, subprocess, sys, threading
    from fastworker import task


    def square(n):
        logging.warning("squares %d", n)
        return n * n


    @task
    def processes(n):
        with multiprocessing.Pool(2) as pool:
            return pool.map(square, range(n))

    @task
    def spawned(n):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.map(square, range(n))

    @task
    def executor(n):
        with concurrent.futures.ProcessPoolExecutor(2) as pool:
            return list(pool.map(square, range(n)))

    @task
    def threads(n):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            return list(pool.map(square, range(n)))

    @task
    def programs(n):
        return [int(subprocess.run(["/bin/sh", "-c", f"echo $(({i} * {i}))"], capture_output=True, check=True).stdout)
                for i in range(n)]

    @task
    async def async_programs(n):
        async def one(i):
            process = await asyncio.create_subprocess_exec("/bin/sh", "-c", f"echo $(({i} * {i}))",
                                                           stdout=asyncio.subprocess.PIPE)
            return int((await process.communicate())[0])
        return await asyncio.gather(*map(one, range(n)))

    @task
    async def async_threads(n):
        return await asyncio.gather(*(asyncio.to_thread(square, i) for i in range(n)))

    @task
    def own_loop(n):
        return asyncio.run(async_threads(n))
'''


def test_parallel(sandbox):
    """The usual ways to do several things at once are at a task's disposal, again and again in one runner."""
    client, worker = start(sandbox, PARALLEL)
    for name, times in (("processes", 20), ("executor", 3), ("spawned", 1), ("threads", 3), ("programs", 2),
                        ("async_programs", 3), ("own_loop", 2), ("async_threads", 3), ("async_programs", 1)):
        for _ in range(times):
            result = client.call(name, 5)
            equal(result.value, [0, 1, 4, 9, 16], f"{name}: {result.error}")
        if name not in ("programs", "async_programs", "spawned"):
            worker.wait_line(f"{name}: squares 4")
    check(not any("A runner has failed" in line for line in worker.lines), "\n".join(worker.lines))


harness.main(globals())
