#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A store that cannot be used: the coordinator says so in one plain line, ends with status 1, and leaves it alone."""

import hashlib
import os
import sqlite3

import harness
from harness import check, equal


def database(sandbox):
    return f"{sandbox.state_directory}/tasks.sqlite"


def fill(sandbox):
    """A store with results and queued tasks, of a coordinator that was stopped."""
    controld, worker = sandbox.pair()
    client = sandbox.client()
    client.wait_results(client.submit_many([{"name": "echo", "args": ["x" * 200]}] * 500))
    worker.stop()
    client.submit_many([{"name": "noop"}] * 500, "")
    controld.stop()


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def refuses(sandbox, pattern, name="second", **kwargs):
    second = sandbox.controld(ready=False, name=name, **kwargs)
    second.expect_status = 1
    equal(second.wait_end(), 1)
    second.wait_line(pattern)
    equal(len(second.lines), 1, f"one line: {second.lines}")
    check(("READY", "1") not in second.messages, "it was never ready")
    return second.lines[0]


def damage(path, offset, data):
    with open(path, "r+b") as f:
        f.seek(offset)
        f.write(data)


def test_damaged_header(sandbox):
    fill(sandbox)
    path = database(sandbox)
    damage(path, 0, b"This is not a database any more.")
    before = digest(path)
    check(path in refuses(sandbox, "backup|remove|damaged|not a"), "it names the file")
    equal(digest(path), before, "it was left as it is")


def test_damaged_pages(sandbox):
    fill(sandbox)
    path = database(sandbox)
    size = os.path.getsize(path)
    damage(path, 8192, os.urandom(min(size - 8192, 65536)))
    before = digest(path)
    check(path in refuses(sandbox, "damaged.*left as it is"), "it names the file")
    equal(digest(path), before, "it was left as it is")


def test_cut_short(sandbox):
    fill(sandbox)
    path = database(sandbox)
    os.truncate(path, os.path.getsize(path) // 2)
    before = digest(path)
    refuses(sandbox, f"{path} is damaged")
    equal(digest(path), before, "it was left as it is")


def test_newer(sandbox):
    fill(sandbox)
    path = database(sandbox)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 999")
    db.close()
    before = digest(path)
    refuses(sandbox, f"{path} was written by a newer version .*999.*install")
    equal(digest(path), before, "it was left as it is")


def test_of_another_program(sandbox):
    os.makedirs(sandbox.state_directory)
    path = database(sandbox)
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE photos (name TEXT)")
    db.close()
    before = digest(path)
    check(path in refuses(sandbox, "not|no "), "it names the file")
    equal(digest(path), before, "it was left as it is")


def test_second_coordinator(sandbox):
    controld, _ = sandbox.pair()
    other = harness.Sandbox()
    try:
        other.state_directory = sandbox.state_directory
        path = database(sandbox)
        check(path in refuses(other, "in use|another|other"), "it names the file")
        other.finish()
    finally:
        other.destroy()
    equal(sandbox.client().call("echo", 1).status, "success", "the first one goes on")
    equal(controld.status, None)


def test_unwritable(sandbox):
    """Run by somebody who may not write there."""
    os.makedirs(sandbox.state_directory)
    kwargs = {}
    if os.geteuid() == 0:
        os.chmod(sandbox.directory, 0o777)

        def become_nobody():
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        kwargs["preexec"] = become_nobody
        os.makedirs(sandbox.path("run-second"))
        os.chown(sandbox.path("run-second"), 65534, 65534)
    os.chmod(sandbox.state_directory, 0o555)
    line = refuses(sandbox, "[Pp]ermission denied", **kwargs)
    check(sandbox.state_directory in line, f"it names the directory: {line}")
    os.chmod(sandbox.state_directory, 0o700)


def test_no_directory(sandbox):
    with open(sandbox.path("file"), "w", encoding="ascii"):
        pass
    sandbox.state_directory = sandbox.path("file")
    line = refuses(sandbox, "(?i)not a directory")
    check("state" in line, line)


harness.main(globals())
