#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""fastworker logs, with a journal of its own: systemd-journald in a mount namespace, of which the host sees nothing."""

import json
import os
import pwd
import re
import signal
import socket
import subprocess
import threading

import harness
from harness import Failure, Skip, check, equal, until

JOURNALD = "/lib/systemd/systemd-journald"
SOCKET = "/run/systemd/journal/socket"
INNER = "FW_TEST_JOURNAL_INNER"
A, B = "01a20d96-bfef-7000-b794-bba8e5972936", "01a20d96-bfef-7001-b794-bba8e5972936"


class Journal:
    """journald, and messages for it as the daemons send them."""

    def __init__(self):
        os.makedirs("/run/systemd/journal")
        os.makedirs("/run/log/journal")
        self.process = subprocess.Popen([JOURNALD], stdin=subprocess.DEVNULL)
        until(lambda: os.path.exists(SOCKET), "the journal's socket")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.n = 0

    def log(self, task_id, text, worker="sw1", name="report", priority=6):
        """Returns when it can be read."""
        self.n += 1
        fields = {"TASK_ID": task_id, "TASK_NAME": name, "WORKER_ID": worker, "PRIORITY": priority, "MESSAGE": text,
                  "SYSLOG_IDENTIFIER": "fastworker-subworkerd", "TEST_NUMBER": self.n}
        self.socket.sendto("".join(f"{k}={v}\n" for k, v in fields.items() if v is not None).encode(), SOCKET)
        until(lambda: subprocess.run(["journalctl", "-q", "-o", "cat", f"TEST_NUMBER={self.n}"], capture_output=True,
                                     check=False).stdout, "the message in the journal")

    def close(self):
        self.socket.close()
        self.process.terminate()
        self.process.wait()


def logs(sandbox, *words):
    r = sandbox.cli("logs", *words)
    equal((r.returncode, r.stderr), (0, ""), words)
    return r.stdout.splitlines()


def texts(lines):
    return [re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} ", "", line) for line in lines]


def see_entries(sandbox, journal):
    journal.log(A, "report: one")
    journal.log(B, "report: of another")
    journal.log(A, "report: two", worker="sw2", priority=3)
    journal.log(None, "no task's")
    journal.log(A, "accepted", worker=None)
    equal(texts(logs(sandbox, "--task-id", A)),
          ["sw1 report: one", "sw2 report: two", "fastworker-subworkerd accepted"])
    equal(texts(logs(sandbox, "--task-id", A, B, "--worker=sw1")), ["sw1 report: one", "sw1 report: of another"])
    equal(texts(logs(sandbox, "--task-name", "report", "-n", "2")), ["sw1 no task's", "fastworker-subworkerd accepted"])
    equal(texts(logs(sandbox, "--task-id", A, "--lines=100"))[0], "sw1 report: one")
    equal(logs(sandbox, "--task-name", "nosuch"), [])
    equal(logs(sandbox, "--task-name", "nosuch", "-n", "3"), [])
    objects = [json.loads(line) for line in logs(sandbox, "--task-id", A, "--json=short")]
    check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", objects[1].pop("time")), objects)
    equal(objects[1], {"priority": 3, "task_id": A, "task_name": "report", "worker": "sw2", "message": "report: two"})
    check("worker" not in objects[2], objects[2])


def see_follow(sandbox, journal):
    # What was started in the background of a shell ignores SIGINT.
    process = subprocess.Popen(["/usr/bin/env", "--default-signal=INT", f"{harness.BUILD}/fastworker", "logs", "-f", "--task-id", A,
                                "-n", "1"],
                               env=sandbox.environment, stdout=subprocess.PIPE, text=True)
    killer = threading.Timer(harness.PATIENCE, process.kill)
    killer.start()
    equal(texts([process.stdout.readline().rstrip("\n")]), ["fastworker-subworkerd accepted"])
    for n in range(3):
        journal.log(B, "report: not this one")
        journal.log(A, f"report: line {n}")
        equal(texts([process.stdout.readline().rstrip("\n")]), [f"sw1 report: line {n}"])
    process.send_signal(signal.SIGINT)
    equal(process.wait(harness.PATIENCE), -signal.SIGINT)
    killer.cancel()
    process.stdout.close()


def see_refusals(sandbox):
    """Who may not read the journal is told what to do, unless the build is where nobody else may execute it."""
    nobody = pwd.getpwnam("nobody")

    def run(*argv):
        return subprocess.run(["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups",
                               f"{harness.BUILD}/fastworker", *argv],
                              env=sandbox.environment, text=True, capture_output=True, check=False)
    if run("--version").returncode != 0:
        return
    r = run("logs", "--task-id", A)
    equal(r.returncode, 8, r.stderr)
    check("system.journal: Permission denied. The journal is for root and group systemd-journal" in r.stderr, r.stderr)


def inner(sandbox):
    journal = Journal()
    try:
        see_entries(sandbox, journal)
        see_follow(sandbox, journal)
        see_refusals(sandbox)
    finally:
        journal.close()


def test_a_journal(sandbox):
    if INNER in os.environ:
        inner(sandbox)
        return
    if not os.path.exists(JOURNALD) or not os.path.exists("/etc/machine-id"):
        raise Skip("no systemd-journald here")
    prepare = "mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /var/log"
    if subprocess.run(["unshare", "--mount", "sh", "-c", prepare], capture_output=True, check=False).returncode != 0:
        raise Skip("may not make a mount namespace")
    r = subprocess.run(["unshare", "--mount", "sh", "-c", f'{prepare} && exec "$0" "$@"', "/usr/bin/python3", __file__,
                        "test_a_journal"], env=dict(os.environ, **{INNER: "yes"}), capture_output=True, text=True, check=False,
                       timeout=harness.PATIENCE * 3)
    if r.returncode != 0:
        raise Failure(f"in the namespace: {r.stdout}{r.stderr}")


def test_command_line(sandbox):
    for words, wanted in (([], "--task-id, --task-name or --worker is missing"),
                          (["--task-id", "x"], '"x" is not a task id'),
                          (["--task-id", A, "-n", "0"], "1"),
                          (["--task-id"], "")):
        r = sandbox.cli("logs", *words)
        equal(r.returncode, 2, words)
        check(wanted in r.stderr, r.stderr)
    r = sandbox.cli("logs", "--task-id", A, "--directory=/nonexistent")
    equal(r.returncode, 8)
    check("cannot open the journal in /nonexistent: No such file" in r.stderr, r.stderr)
    equal(sandbox.cli("logs", "--task-id", A, f"--directory={sandbox.directory}").stdout, "")


if __name__ == "__main__":
    harness.main(globals())
