#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Command tasks: task files with their drop-ins, each kind of input and output, failures and their texts, limits of
output, time and log, and what "fastworker task check" says to bad files."""

import json
import os
import re
import signal

import harness
from harness import SOURCE, check, equal


def put(sandbox, name, text, directory="tasks"):
    """A file of a directory of the module path."""
    path = f"{sandbox.path(directory)}/{name}"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def start(sandbox, files, *flags, modules=None, path=("tasks",), environment=None):
    for name, lines in files.items():
        put(sandbox, f"{name}.task", "[Task]\n" + lines)
    controld = sandbox.controld()
    subworker = sandbox.subworker("sw1", f"--module-path={':'.join(sandbox.path(d) for d in path)}", *flags,
                                  modules=",".join(modules or files), environment=environment)
    controld.wait_line("sw1 registered")
    return controld, subworker


def submit(sandbox, name, *words):
    """(exit status, output, complaint)"""
    r = sandbox.cli("submit", f"--address={sandbox.client_address}", "--timeout=60", "--task-name", name, *words)
    return r.returncode, r.stdout.rstrip("\n"), r.stderr


def good(sandbox, expected, name, *words):
    status, output, complaint = submit(sandbox, name, *words)
    equal((status, output), (0, expected), complaint)


def bad(sandbox, part, name, *words):
    status, output, complaint = submit(sandbox, name, *words)
    equal((status, output), (1, ""), complaint)
    check(part in complaint, f"{part!r} is not in {complaint!r}")


def test_kinds_of_input_and_output(sandbox):
    start(sandbox, {
        "echo-json": "Exec=cat\n",
        "words": "Exec=/usr/bin/printf '[%s]'\nInput=args\nOutput=text\n",
        "count": "Exec=wc -c\nInput=stdin\nOutput=text\n",
        "number": "Exec=/bin/echo 42\n",
        "nothing": "Exec=/bin/true\n",
        "who": "Exec=/bin/sh -c 'echo \"$FASTWORKER_TASK_NAME $FASTWORKER_ATTEMPT $GREETING\"'\nOutput=text\n"
               "Environment=\"GREETING=good day\"\n",
    })
    status, output, _ = submit(sandbox, "echo-json", "--args", "5", "a b", "--kwargs", '{"k":[1,2]}')
    equal((status, json.loads(output)), (0, {"args": [5, "a b"], "kwargs": {"k": [1, 2]}}))
    good(sandbox, '"[5][$(id) `x` ; *][true][--name=x y]"', "words", "--kwargs", '{"name":"x y"}',
         "--args", "5", "$(id) `x` ; *", "true")
    good(sandbox, '"11"', "count", "--args", "hello\nworld")
    good(sandbox, "42", "number")
    good(sandbox, "null", "nothing")
    good(sandbox, '"who 1 good day"', "who")
    bad(sandbox, "argument 1 is a list; with Input=args only", "words", "--args", "[1]")
    bad(sandbox, "takes one text (Input=stdin)", "count", "--args", "1", "2")


def test_failures(sandbox):
    # On a busy machine the command may be told before it has set its trap.
    stops = "Exec=/bin/sh -c 'trap \"echo stopping >&2; exit 9\" TERM; sleep 1000 & wait'\nSoftTimeout="
    conf = put(sandbox, "subworkerd.conf", "[Subworker]\nMaxResultBytes=64K\n", "conf")
    _, subworker = start(sandbox, {
        "status": "Exec=/bin/sh -c 'echo \"the disk is full\" >&2; exit 3'\n",
        "signal": "Exec=/bin/sh -c 'kill -TERM $$'\n",
        "missing": "Exec=/nonexistent/command\n",
        "no-json": "Exec=/bin/echo plain text\n",
        "late": "Exec=/bin/sleep 1000\nTimeout=100ms\n",
        "flood": "Exec=/usr/bin/yes\nOutput=text\n",
        "small": "Exec=/bin/echo 1\n",
        "told-1": f"{stops}0.3\n", "told-10": f"{stops}3\n", "told-100": f"{stops}30\n",
    }, environment={"FASTWORKER_CONFIG": conf})
    bad(sandbox, "exited with status 3: the disk is full", "status")
    bad(sandbox, "killed by signal SIGTERM (terminated)", "signal")
    bad(sandbox, "cannot execute /nonexistent/command (Exec=): No such file or directory", "missing")
    bad(sandbox, 'standard output is no JSON', "no-json")
    bad(sandbox, "ran longer than Timeout=0.1s", "late")
    complaints = (submit(sandbox, name)[2] for name in ("told-1", "told-10", "told-100"))
    check(any(re.search(r"exited with status 9 after SoftTimeout=[0-9.]+s: stopping", c) for c in complaints),
          "the command was not told to end")
    bad(sandbox, "wrote more than 65536 bytes, the limit on results", "flood")
    good(sandbox, "1", "small")
    equal(subworker.count_lines("A runner has failed"), 0)


def test_stderr_is_logged(sandbox):
    _, subworker = start(sandbox, {
        "talk": "Exec=/bin/sh -c 'echo one >&2; echo \"<3>two\" >&2; printf three >&2; echo 1'\n",
        "shout": "Exec=/bin/sh -c 'seq 3000 >&2; echo 1'\n",
        "gigabyte": "Exec=/bin/sh -c 'head -c 1G /dev/zero >&2; echo 1'\n",
    })
    good(sandbox, "1", "talk")
    for line in ("one", "two", "three"):
        subworker.wait_line(rf"\b{line}$")
    good(sandbox, "1", "shout")
    subworker.wait_line(r"2100 more lines \(10401 bytes\) of standard error were dropped")
    equal(subworker.count_lines(r"\b2\d\d\d$"), 0)
    good(sandbox, "1", "gigabyte")
    subworker.wait_line(r"of standard error were dropped", start=len(subworker.lines) - 1)


def test_what_a_command_leaves_behind(sandbox):
    """A child with the output, one in a session of its own, and a process that outlives a time limit: none of them
    lives on, and the runner takes the next task at once."""
    put(sandbox, "daemonize", "setsid sh -c 'trap \"\" TERM; echo $$ >$0; exec sleep 1000' $1 >/dev/null 2>&1 &\n"
                              "while ! [ -s $1 ]; do :; done\neval $2\n")
    script, pids = sandbox.path("tasks/daemonize"), [sandbox.path(f"pid{i}") for i in range(3)]
    start(sandbox, {
        "child": f"Exec=/bin/sh -c 'sleep 1000 & echo $! >{pids[0]}; echo 1'\n",
        "daemon": f"Exec=/bin/sh {script} {pids[1]} 'echo 1'\n",
        "late": f"Exec=/bin/sh {script} {pids[2]} 'sleep 1000'\nTimeout=5s\n",
    })
    good(sandbox, "1", "child")
    good(sandbox, "1", "daemon")
    bad(sandbox, "ran longer than Timeout=5s", "late")
    for path in pids:
        with open(path, encoding="ascii") as f:
            check(not os.path.exists(f"/proc/{int(f.read())}"), f"{path}: still there")


def read_pid(path):
    """Once somebody has written it."""
    def look():
        try:
            with open(path, encoding="ascii") as f:
                return int(f.read() or 0)
        except FileNotFoundError:
            return 0
    return harness.until(look, f"a process id in {path}")


def test_cancel_and_crash(sandbox):
    """The command ends with the task, and with the runner."""
    pid = sandbox.path("pid")
    start(sandbox, {"wait": f"Exec=/bin/sh -c 'echo $$ >{pid}; exec sleep 1000'\n", "small": "Exec=/bin/echo 1\n"})
    coordinator = f"--address={sandbox.client_address}"
    task = sandbox.cli("submit", coordinator, "--task-name", "wait", "--non-blocking").stdout.split()[-1]
    command = read_pid(pid)
    equal(sandbox.cli("cancel", coordinator, "--task-id", task).returncode, 0)
    harness.until(lambda: not os.path.exists(f"/proc/{command}"), "the end of the command")
    equal(sandbox.cli("wait", coordinator, "--task-id", task).returncode, 6)
    good(sandbox, "1", "small")

    os.unlink(pid)
    task = sandbox.cli("submit", coordinator, "--task-name", "wait", "--non-blocking").stdout.split()[-1]
    command = read_pid(pid)
    with open(f"/proc/{command}/stat", encoding="ascii") as f:
        os.kill(int(f.read().rpartition(")")[2].split()[1]), signal.SIGKILL)
    harness.until(lambda: not os.path.exists(f"/proc/{command}"), "the end of the command")
    sandbox.cli("cancel", coordinator, "--task-id", task)
    good(sandbox, "1", "small")


def test_properties(sandbox):
    start(sandbox, {
        "limits": "Exec=/bin/sh -c 'ulimit -n; nice; pwd; umask'\nOutput=text\nLimitNOFILE=99\nNice=5\n"
                  "WorkingDirectory=/usr\nUMask=0027\n",
        "memory": "Exec=/usr/bin/python3 -c 'x = bytearray(1 << 30)'\nMemoryMax=256M\n",
    })
    good(sandbox, '"99\\n5\\n/usr\\n0027"', "limits")
    bad(sandbox, "MemoryError", "memory")


def test_drop_ins_and_precedence(sandbox):
    put(sandbox, "greet.task", "[Task]\nExec=/bin/echo packaged\nOutput=text\nEnvironment=A=1\n", "usr")
    put(sandbox, "greet.task.d/10-who.conf", "[Task]\nExec=\nExec=/bin/sh -c 'echo \"$A $B\"'\n", "usr")
    put(sandbox, "greet.task.d/20-env.conf", "[Task]\nEnvironment=B=usr\n", "usr")
    put(sandbox, "greet.task.d/20-env.conf", "[Task]\nEnvironment=B=etc\n", "etc")
    put(sandbox, "twice.task", "[Task]\nExec=/bin/echo etc\nOutput=text\n", "etc")
    put(sandbox, "twice.task", "[Task]\nExec=/bin/echo usr\nOutput=text\n", "usr")
    put(sandbox, "masked.task", "[Task]\nExec=/bin/true\n", "usr")
    os.symlink("/dev/null", sandbox.path("etc/masked.task"))
    start(sandbox, {}, modules=["greet", "twice", f"{harness.BUILD}/tests/modules/.libs/testtasks.so"], path=("etc", "usr"))
    good(sandbox, '"1 etc"', "greet")
    good(sandbox, '"etc"', "twice")
    # Commands and functions side by side.
    good(sandbox, "null", "noop")
    path = f"--module-path={sandbox.path('etc')}:{sandbox.path('usr')}"
    listed = sandbox.cli("task", "list", path, "--json=short")
    equal(listed.returncode, 0, listed.stderr)
    states = {t["name"]: (t["state"], os.path.dirname(t["path"])) for t in json.loads(listed.stdout)["tasks"]
              if t["path"].startswith(sandbox.directory)}
    equal(states, {"greet": ("good", sandbox.path("usr")), "twice": ("good", sandbox.path("etc")),
                   "masked": ("masked", sandbox.path("etc"))})
    refused = sandbox.subworker("sw2", path, modules="masked", ready=False)
    refused.expect_status = 1
    refused.wait_line("masked, an empty file or a link to /dev/null")
    refused.wait_end()


def test_options_are_listed(sandbox):
    put(sandbox, "nightly.task", "[Task]\nDescription=Every night\nExec=/bin/true\nSchedule=0 2 * * *\nMaxRetries=2\n"
                                 "Timeout=90s\nLabel=gpu\n")
    r = sandbox.cli("list", "--task-modules", "nightly", f"--module-path={sandbox.path('tasks')}", "--json=short")
    equal(r.returncode, 0, r.stderr)
    entry, = json.loads(r.stdout)["types"]
    equal((entry["name"], entry["description"]), ("nightly", "Every night"))
    equal(entry["options"], {"timeout": 90, "max_retries": 2, "retry_delay": 60, "retry_backoff": 2,
                             "retry_backoff_max": 3600, "labels": ["gpu"], "schedule": {"cron": "0 2 * * *"}})


def test_check(sandbox):
    fine = put(sandbox, "fine.task", "[Task]\nExec=/bin/true\n")
    r = sandbox.cli("task", "check", fine)
    equal((r.returncode, r.stdout, r.stderr), (0, "", ""))
    wrong = put(sandbox, "wrong.task", "[Task]\nExec=true 'x\nTimeout=soon\nMemmax=5\n\n[Unit]\nA=b\n")
    put(sandbox, "wrong.task.d/local.conf", "[Task]\nPriority=urgent\n")
    absent = put(sandbox, "absent.task", "[Task]\nDescription=x\nExec=/nonexistent/command\n")
    r = sandbox.cli("task", "check", fine, wrong, absent, sandbox.path("tasks/other.task"))
    equal((r.returncode, r.stderr), (1, ""))
    begins = [f"{wrong}:2: bad value \"true 'x\" for Exec=: a quote is not closed", f"{wrong}:3: bad value \"soon\"",
              f"{wrong}:4: unknown key Memmax=", f"{wrong}:7: unknown section [Unit]",
              f"{wrong}.d/local.conf:2: bad value \"urgent\"",
              f"{absent}:3: cannot execute /nonexistent/command (Exec=): No such file",
              f"{sandbox.path('tasks/other.task')}: No such file"]
    lines = r.stdout.splitlines()
    equal(len(lines), len(begins), r.stdout)
    for line, begin in zip(lines, begins):
        check(line.startswith(begin), f"{line!r} does not begin with {begin!r}")
    r = sandbox.cli("task", "check", "--json=short", fine, wrong)
    equal(r.returncode, 1)
    equal([len(f["problems"]) for f in json.loads(r.stdout)["files"]], [0, 5])
    path = f"--module-path={sandbox.path('tasks')}"
    equal(sandbox.cli("task", "check", path, "fine").stdout, "")
    equal(len(sandbox.cli("task", "check", path, "wrong").stdout.splitlines()), 5)
    check("no such task file" in sandbox.cli("task", "check", path, "nosuch").stdout, "an unknown name is accepted")
    equal(sandbox.cli("task", "check").returncode, 2)
    equal(sandbox.cli("task").returncode, 2)
    # A worker says the same.
    refused = sandbox.subworker("sw1", modules=wrong, ready=False)
    refused.expect_status = 1
    refused.wait_line("wrong.task:3: bad value")
    refused.wait_end()


def test_examples(sandbox):
    """Those that need nothing but what is here."""
    r = sandbox.cli("task", "check", f"{SOURCE}/examples/backup.task", f"{SOURCE}/examples/word-count.task")
    equal((r.returncode, r.stdout), (0, ""))
    put(sandbox, "word-count.task.d/here.conf",
        f"[Task]\nExec=\nExec=/usr/bin/python3 {SOURCE}/examples/word-count.py\n")
    start(sandbox, {}, modules=[f"{SOURCE}/examples/word-count.task"])
    status, output, complaint = submit(sandbox, "word-count", "--args", "to be or not to be", "--kwargs", '{"top": 2}')
    equal(status, 0, complaint)
    equal(json.loads(output)["words"], [["to", 2], ["be", 2]])


if __name__ == "__main__":
    harness.main(globals())
