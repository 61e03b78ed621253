#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The coordinator is killed: nothing that was acknowledged is lost, nothing ends twice. Under load, two runs at each
level (tests/durability/kill-coordinator does as many as one likes), and with a few tasks at each message in turn."""

import subprocess

import harness
from harness import SOURCE, check, equal


def run(*flags):
    result = subprocess.run([f"{SOURCE}/tests/durability/kill-coordinator", *flags], capture_output=True, text=True,
                            check=False, timeout=10 * harness.PATIENCE)
    print(result.stdout)
    return result


def survives(durability):
    result = run("--runs=2", "--tasks=2000", f"--durability={durability}")
    equal(result.returncode, 0, f"{result.stdout}{result.stderr}")
    equal(result.stdout.splitlines()[-1], "2 runs, 4000 tasks, 0 lost, 0 double")


def test_full(_sandbox):
    survives("full")


def test_process(_sandbox):
    survives("process")


def dies_at_each(point):
    result = run(f"--at={point}", "--tasks=6", "--seed=1")
    equal(result.returncode, 0, f"{result.stdout}{result.stderr}")
    last = result.stdout.splitlines()[-1]
    check(last.endswith(" 0 lost, 0 double"), last)
    check(int(last.split()[0]) > 10, f"it came to {point} more often than that: {last}")


def test_each_message_received(_sandbox):
    dies_at_each("receive")


def test_each_message_sent(_sandbox):
    dies_at_each("send")


def test_notices(_sandbox):
    """In memory only, all is lost, and the test sees that."""
    result = run("--runs=1", "--tasks=500", "--durability=none")
    equal(result.returncode, 1, f"{result.stdout}{result.stderr}")
    check(" 0 lost" not in result.stdout.splitlines()[-1], result.stdout)


harness.main(globals())
