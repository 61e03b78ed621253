#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The command line: what stands on stdout and stderr, exit statuses, the shapes of --json."""

import json
import os
import pty
import signal
import subprocess

import harness
from fwclient import new_id
from harness import BUILD, check, equal, until


class Cli:
    def __init__(self, sandbox):
        self.sandbox = sandbox
        self.environment = {"FASTWORKER_BASE_ADDRESS": sandbox.client_address}

    def __call__(self, *argv, **kwargs):
        return self.sandbox.cli(*argv, environment=self.environment, **kwargs)

    def ok(self, *argv, **kwargs):
        result = self(*argv, **kwargs)
        equal((result.returncode, result.stderr), (0, ""), f"{argv}: {result.stdout}")
        return result.stdout

    def fails(self, *argv, **kwargs):
        result = self(*argv, **kwargs)
        check(result.returncode > 0, f"{argv}: status {result.returncode}, {result.stdout}")
        check(result.stderr.strip() != "", f"{argv}: nothing on stderr")
        return result


def start(sandbox, *flags, **kwargs):
    sandbox.pair(*flags, **kwargs)
    return Cli(sandbox)


def test_submit(sandbox):
    cli = start(sandbox, "--startup-grace=0")
    equal(json.loads(cli.ok("submit", "--task-name", "echo", "--args", "5", "3"))["args"], [5, 3])
    # JSON where it parses as JSON, else strings.
    output = cli.ok("submit", "--task-name", "echo", "--args", "5", "-1.5e3", "true", "null", "five", '"5"', "[1,2]",
                    '{"a":1}', "", "1 2", "--priority", "high")
    equal(json.loads(output)["args"], [5, -1500, True, None, "five", "5", [1, 2], {"a": 1}, "", "1 2"])
    output = cli.ok("submit", "--task-name=echo", "--kwargs", '{"x":1,"y":[null]}', "--priority=critical")
    equal(json.loads(output)["kwargs"], {"x": 1, "y": [None]})
    check(output.endswith("}\n"), "just the result and a newline")

    task_id = cli.ok("submit", "--task-name", "echo", "--args", "7", "--non-blocking").strip()
    equal(len(task_id), 36)
    equal(json.loads(cli.ok("wait", "--task-id", task_id))["args"], [7])

    failure = cli.fails("submit", "--task-name", "fail-with", "--args", "no luck")
    equal(failure.stdout, "")
    check("no luck" in failure.stderr, failure.stderr)
    unknown = cli.fails("submit", "--task-name", "ech")
    check("echo" in unknown.stderr, unknown.stderr)
    check(failure.returncode != unknown.returncode, "a task that failed and one that was refused are told apart")
    for bad in (["--kwargs", "[1]"], ["--kwargs", "{"], ["--priority", "urgent"], ["--no-such-flag"],
                ["--timeout", "soon"]):
        cli.fails("submit", "--task-name", "echo", *bad)
    cli.fails("submit")
    cli.fails("no-such-verb")
    cli.fails()


def test_submit_timeout(sandbox):
    cli = start(sandbox)
    stage = sandbox.stage()
    late = cli.fails("submit", "--task-name", "hold", "--args", stage.directory, "--timeout", "0.3")
    equal(late.stdout, "")
    stage.wait_started()
    stage.release()


def test_status(sandbox):
    cli = start(sandbox)
    stage = sandbox.stage()
    task_id = cli.ok("submit", "--task-name", "hold", "--args", stage.directory, "--non-blocking",
                     "--priority", "low").strip()
    stage.wait_started()
    until(lambda: json.loads(cli.ok("status", "--task-id", task_id, "--json=short"))["status"] == "running", "running")
    text = cli.ok("status", "--task-id", task_id, "--json=short")
    equal(text.count("\n"), 1, "one line")
    status = json.loads(text)
    for key in "task_id name status priority worker attempt result error created_at started_at completed_at".split():
        check(key in status, f"{key} is not in {status}")
    equal((status["task_id"], status["name"], status["priority"], status["worker"], status["attempt"]),
          (task_id, "hold", "low", "sw1", 1))
    equal((status["result"], status["completed_at"]), (None, None))
    stage.release()
    cli.ok("wait", "--task-id", task_id)
    status = json.loads(cli.ok("status", "--task-id", task_id, "--json=pretty"))
    equal((status["status"], status["result"], status["worker"]), ("success", 1, "sw1"))
    check(task_id in cli.ok("status", "--task-id", task_id), "the text form has the id")

    failed = cli.fails("submit", "--task-name", "fail-with", "--args", "no luck")
    check("no luck" in failed.stderr, failed.stderr)
    unknown = cli.fails("status", "--task-id", new_id())
    check("expired or unknown" in unknown.stderr, unknown.stderr)
    cli.fails("status", "--task-id", "4711")
    cli.fails("status")


def test_workers(sandbox):
    cli = start(sandbox, worker_flags=["--concurrency=3"])
    text = cli.ok("workers", "--json=short")
    workers = json.loads(text)
    equal((workers["total_subworkers"], workers["active_subworkers"]), (1, 1))
    one = workers["subworkers"]["sw1"]
    for key in ("address", "status", "load", "last_seen"):
        check(key in one, f"{key} is not in {one}")
    equal((one["status"], one["load"]), ("active", 0))
    table = cli.ok("workers")
    check("sw1" in table and "active" in table, table)
    check(len(cli.ok("workers", "--no-legend").splitlines()) < len(table.splitlines()), "--no-legend is shorter")


def test_list_queues_cancel(sandbox):
    cli = start(sandbox)
    stage = sandbox.stage()
    running = cli.ok("submit", "--task-name", "hold", "--args", stage.directory, "--non-blocking").strip()
    stage.wait_started()
    queued = cli.ok("submit", "--task-name", "noop", "--non-blocking", "--priority", "high").strip()
    listed = json.loads(cli.ok("list", "--json=short"))
    tasks = listed["tasks"] if isinstance(listed, dict) else listed
    equal([t["task_id"] for t in tasks], [queued, running])
    check(queued in cli.ok("list") and "noop" in cli.ok("list"), "the table")
    queues = json.loads(cli.ok("queues", "--json=short"))
    equal((queues["queues"]["high"]["count"], queues["total_queued"]), (1, 1))
    check("high" in cli.ok("queues"), "the table")

    cli.ok("cancel", "--task-id", queued)
    equal(json.loads(cli.ok("status", "--task-id", queued, "--json=short"))["status"], "cancelled")
    check(cli("wait", "--task-id", queued).returncode > 0, "waiting for a cancelled task fails")
    cli("cancel", "--task-id", running)
    waited = cli.fails("wait", "--task-id", running)
    check("cancel" in waited.stderr.lower(), waited.stderr)
    cli.fails("cancel", "--task-id", new_id())


def test_ping_discover(sandbox):
    cli = start(sandbox)
    cli.ok("ping")
    found = json.loads(sandbox.cli("discover", "--json=short", environment={
        "FASTWORKER_DISCOVERY_ADDRESS": sandbox.discovery_address}).stdout)
    check(sandbox.client_address in json.dumps(found), f"{found}")
    nobody = {"FASTWORKER_BASE_ADDRESS": f"tcp://127.0.0.1:{harness.free_port()}"}
    result = sandbox.cli("ping", "--timeout", "0.3", environment=nobody)
    check(result.returncode > 0 and result.stderr, f"{result}")


def test_finding_the_coordinator(sandbox):
    """--address, else the environment, else the unix socket, else discovery."""
    socket_path = sandbox.path("control.sock")
    sandbox.pair(f"--local-socket=ipc://{socket_path}")
    nowhere = f"tcp://127.0.0.1:{harness.free_port()}"
    argv = ["submit", "--task-name", "echo", "--args", "1"]
    for environment, flags in (
            ({"FASTWORKER_BASE_ADDRESS": nowhere}, [f"--address={sandbox.client_address}"]),
            ({"FASTWORKER_BASE_ADDRESS": sandbox.client_address, "FASTWORKER_LOCAL_SOCKET": "ipc:///nowhere"}, []),
            ({"FASTWORKER_LOCAL_SOCKET": f"ipc://{socket_path}"}, []),
            ({"FASTWORKER_LOCAL_SOCKET": f"ipc://{sandbox.path('absent')}",
              "FASTWORKER_DISCOVERY_ADDRESS": sandbox.discovery_address}, [])):
        result = sandbox.cli(*argv, *flags, environment=environment)
        equal((result.returncode, result.stderr), (0, ""), f"{environment} {flags}")
        equal(json.loads(result.stdout)["args"], [1])


def test_batch(sandbox):
    cli = start(sandbox)
    lines = [json.dumps({"task_name": "echo", "args": [i], "priority": "high"}) for i in range(300)]
    output = cli("batch", stdin="\n".join(lines) + "\n")
    equal(output.returncode, 0, output.stderr)
    results = [json.loads(line) for line in output.stdout.splitlines()]
    equal(len(results), 300)
    values = sorted(r["result"]["args"][0] for r in results)
    equal(values, list(range(300)))
    equal({r["status"] for r in results}, {"success"})

    mixed = cli("batch", stdin='{"task_name":"noop"}\n{"task_name":"fail-with","args":["no luck"]}\n')
    check(mixed.returncode > 0, "a failed task shows in the exit status")
    equal(sorted(json.loads(line)["status"] for line in mixed.stdout.splitlines()), ["failure", "success"])
    bad = cli.fails("batch", stdin='{"task_name":"noop"}\nnonsense\n')
    check("2" in bad.stderr, f"the line is named: {bad.stderr}")


def test_daemons(sandbox):
    """control-plane and subworker exec the daemons: the same process goes on under the other name."""
    argv = [f"{BUILD}/fastworker", "control-plane", "--base-address", sandbox.client_address, "--discovery-address",
            sandbox.discovery_address, "--subworker-port", str(sandbox.worker_port), "--result-cache-size", "7"]
    controld = sandbox.start("controld", argv).wait_ready()
    equal(os.readlink(f"/proc/{controld.pid}/exe"), os.path.realpath(f"{BUILD}/fastworker-controld"))
    worker = sandbox.start("sw1", [f"{BUILD}/fastworker", "subworker", "--worker-id", "sw1", "--control-plane-address",
                                   sandbox.client_address, "--task-modules", "testtasks"]).wait_ready()
    equal(os.readlink(f"/proc/{worker.pid}/exe"), os.path.realpath(f"{BUILD}/fastworker-subworkerd"))
    client = sandbox.client()
    equal(client.info("STATS")["cache"]["max_size"], 7)
    equal(client.call("echo", 1).status, "success")


def test_interrupted(sandbox):
    """Ctrl-C while waiting: no traceback of any kind, the status of the signal or an own one."""
    cli = start(sandbox)
    stage = sandbox.stage()
    with subprocess.Popen([f"{BUILD}/fastworker", "submit", "--task-name", "hold", "--args", stage.directory],
                          env=dict(sandbox.environment, **cli.environment), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        stage.wait_started()
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=harness.PATIENCE)
    equal(output, "")
    check(process.returncode in (-signal.SIGINT, 128 + signal.SIGINT), f"status {process.returncode}")
    stage.release()


def test_help_and_version(sandbox):
    for program in ("fastworker", "fastworker-controld", "fastworker-subworkerd"):
        for flag in ("--help", "--version"):
            result = subprocess.run([f"{BUILD}/{program}", flag], env=sandbox.environment, capture_output=True, text=True,
                                    timeout=harness.PATIENCE, check=False)
            equal((result.returncode, result.stderr), (0, ""), f"{program} {flag}")
            check(len(result.stdout) > 5, f"{program} {flag}: {result.stdout}")
    for verb in "submit status wait cancel list workers queues ping discover batch".split():
        check(verb in sandbox.cli("--help").stdout, f"{verb} is not in --help")
        equal(sandbox.cli(verb, "--help").returncode, 0, verb)


def test_terminal(sandbox):
    """On a terminal the table is the same text, only perhaps in colour."""
    cli = start(sandbox)
    master, slave = pty.openpty()
    with subprocess.Popen([f"{BUILD}/fastworker", "workers"], env=dict(sandbox.environment, TERM="xterm",
                                                                      **cli.environment), stdout=slave) as process:
        os.close(slave)
        equal(process.wait(harness.PATIENCE), 0)
    check(b"sw1" in os.read(master, 65536), "the subworker is shown")
    os.close(master)


harness.main(globals())
