#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Subworkers and clients that were there first connect when the coordinator comes."""

import subprocess

import harness
from harness import BUILD, equal


def test_workers_and_clients_first(sandbox):
    worker = sandbox.subworker("sw1", ready=False)
    client = sandbox.client()
    client.send("SUBMIT", "wait", "echo", "", "early bird", '{"args":[1]}', "", correlation="first")
    # It must have tried by now: what it says of itself tells that it has no connection.
    worker.wait_line("module|task|connect", patience=harness.PATIENCE)
    sandbox.controld()
    verb, fields = client.answer(b"first", "SUBMIT")
    equal(verb, "ACCEPTED")
    equal(client.result(fields[0].decode()).value, {"args": [1]})
    worker.wait_ready()


def test_by_discovery(sandbox):
    """The same with nothing but a discovery address."""
    argv = [f"{BUILD}/fastworker-subworkerd", "--worker-id=sw1", f"--discovery-address={sandbox.discovery_address}",
            "--task-modules=testtasks"]
    worker = sandbox.start("sw1", argv)
    controld = sandbox.controld()
    controld.wait_line("sw1 registered")
    worker.wait_ready()
    client = sandbox.client()
    equal(client.call("echo", 2).value["args"], [2])


def test_command_line_first(sandbox):
    sandbox.subworker("sw1", ready=False)
    argv = [f"{BUILD}/fastworker", "submit", f"--address={sandbox.client_address}", "--task-name", "echo",
            "--args", "5"]
    with subprocess.Popen(argv, env=sandbox.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True) as process:
        sandbox.controld()
        output, _ = process.communicate(timeout=harness.PATIENCE)
        equal((process.returncode, harness.json.loads(output)["args"]), (0, [5]), output)


harness.main(globals())
