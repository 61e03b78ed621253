#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The benchmarks work, and queued tasks are small. Speed is not judged here: see tests/bench/throughput."""

import subprocess

import harness
from harness import SOURCE, check, equal


def bench(name, *flags):
    result = subprocess.run([f"{SOURCE}/tests/bench/{name}", *flags], capture_output=True, text=True, check=False)
    print(result.stdout)
    equal(result.returncode, 0, f"{result.stdout}{result.stderr}")
    return result.stdout


def test_throughput(_sandbox):
    output = bench("throughput", "--tasks=3000", "--round-trips=100", "--repeat=1")
    for level in ("full", "process", "none"):
        check(f"{level}: " in output, output)


def test_recovery(_sandbox):
    output = bench("recovery", "--tasks=20000", "--dispatch=2000", "--repeat=1")
    check("READY after" in output and "dispatch" in output, output)


def test_memory(_sandbox):
    if harness.sanitized():
        raise harness.Skip("memory is not measured with AddressSanitizer")
    bench("memory", "--check")


harness.main(globals())
