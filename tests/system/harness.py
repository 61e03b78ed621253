# SPDX-License-Identifier: MIT
"""Black-box tests: starts the real daemons from the build tree in a private directory, with private ports, and
talks to them.

A test file defines functions test_*() that take a Sandbox, and ends with `harness.main(globals())`. Each
function gets a fresh sandbox. When it returns, every daemon is stopped with SIGTERM and must end with status 0;
if anything fails, all logs are printed. The exit status is 0, 1, or 77 if all was skipped.

Nothing here waits for a fixed time: daemons are waited for by their sd_notify messages and log lines, answers by
polling sockets, and each wait has a deadline."""

import contextlib
import itertools
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

try:
    import zmq  # noqa: F401 pylint: disable=unused-import
except ImportError:
    print("python3-zmq is not installed")
    sys.exit(77)

BUILD = os.path.abspath(os.environ.get("top_builddir", "."))
SOURCE = os.path.abspath(os.environ.get("top_srcdir",
                                        os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")))
MODULE_PATH = f"{BUILD}/tests/modules/.libs:{BUILD}/examples/.libs"
# Generous, as sanitizers and a busy machine make everything slow: a test that works never comes near.
PATIENCE = float(os.environ.get("FASTWORKER_TEST_PATIENCE", "60"))


class Skip(Exception):
    """The test cannot be done here."""


class Failure(AssertionError):
    """Something is not as it must be."""


def check(condition, text):
    if not condition:
        raise Failure(text)


def equal(got, wanted, text=""):
    check(got == wanted, f"{text}{': ' if text else ''}got {got!r}, wanted {wanted!r}")


def until(function, text, patience=PATIENCE):
    """For states that nothing announces: asks again and again until it is true, and returns what it gave."""
    deadline = time.monotonic() + patience
    never = threading.Event()
    while True:
        value = function()
        if value:
            return value
        check(time.monotonic() < deadline, f"waited in vain: {text}")
        never.wait(0.01)


# Below those that the kernel gives to connections, and each process has a few of its own: what is free now is not
# taken by another test before it is used.
PORTS_FIRST, PORTS_OF_A_PROCESS, PROCESSES = 10240, 16, 1400
ports_given = itertools.count()


def free_port():
    first = PORTS_FIRST + os.getpid() % PROCESSES * PORTS_OF_A_PROCESS
    for _ in range(PORTS_OF_A_PROCESS):
        port = first + next(ports_given) % PORTS_OF_A_PROCESS
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                s.bind(("127.0.0.1", port))
                return port
    raise Failure(f"no port from {first} on is free")


def rss_bytes(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * resource.getpagesize()


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def sanitized():
    """Whether the daemons are built with AddressSanitizer, which makes memory measurements meaningless."""
    with open(f"{BUILD}/fastworker-controld", "rb") as f:
        return b"__asan_init" in f.read()


def in_sessions(leaders):
    """Living processes of these sessions: (pid, command line)."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError):
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as f:
                fields = f.read().rpartition(")")[2].split()
            if int(fields[3]) in leaders and fields[0] != "Z":
                with open(f"/proc/{entry}/cmdline", "rb") as f:
                    found.append((int(entry), f.read().replace(b"\0", b" ").decode(errors="replace")))
    return found


class Daemon:
    """A running program with its log and its sd_notify messages."""

    def __init__(self, sandbox, name, argv, environment, pass_fds=(), preexec=None):
        self.name = name
        self.lines = []
        self.messages = []
        self.status = None
        self.expect_status = 0
        self._changed = threading.Condition()
        self._notify_path = f"{sandbox.directory}/notify-{name}-{len(sandbox.daemons)}"
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(self._notify_path)
        environment = dict(environment, NOTIFY_SOCKET=self._notify_path)
        # pylint: disable=subprocess-popen-preexec-fn
        self.process = subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, pass_fds=pass_fds, preexec_fn=preexec,
                                        cwd=sandbox.directory, start_new_session=True)
        self.pid = self.process.pid
        self._threads = [threading.Thread(target=target, daemon=True)
                         for target in (self._read_log, self._read_notify, self._reap)]
        for thread in self._threads:
            thread.start()

    def _read_log(self):
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                self._changed.notify_all()

    def _read_notify(self):
        while True:
            data = self._notify.recv(65536)
            if not data:
                return
            with self._changed:
                for line in data.decode(errors="replace").splitlines():
                    key, _, value = line.partition("=")
                    self.messages.append((key, value))
                self._changed.notify_all()

    def _reap(self):
        status = self.process.wait()
        with self._changed:
            self.status = status
            self._changed.notify_all()

    def _wait(self, function, text, patience=PATIENCE, alive=True):
        deadline, ended = time.monotonic() + patience, None
        with self._changed:
            while True:
                value = function()
                if value:
                    return value
                if alive and self.status is not None:
                    # What it wrote last may still be on the way to us.
                    if not ended:
                        ended = time.monotonic()
                    if time.monotonic() - ended > 2:
                        raise Failure(f"{self.name} ended with status {self.status} instead of: {text}")
                    self._changed.wait(0.5)
                    continue
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Failure(f"{self.name}: waited in vain for: {text}")
                self._changed.wait(left)

    def wait_line(self, pattern, start=0, patience=PATIENCE):
        """Waits for a line of the log that the pattern is found in; the line, from index `start` on."""
        compiled = re.compile(pattern)

        def find():
            return next((line for line in self.lines[start:] if compiled.search(line)), None)
        return self._wait(find, f"log line {pattern!r}", patience)

    def count_lines(self, pattern):
        with self._changed:
            return sum(1 for line in self.lines if re.search(pattern, line))

    def wait_message(self, key, pattern="", start=0, patience=PATIENCE):
        """Waits for an sd_notify message KEY=VALUE; the value."""
        def find():
            return next((f"={value}" for k, value in self.messages[start:]
                         if k == key and re.search(pattern, value)), None)
        return self._wait(find, f"message {key}=/{pattern}/", patience)[1:]

    def wait_ready(self):
        self.wait_message("READY", "^1$")
        return self

    def wait_end(self, patience=PATIENCE):
        self._wait(lambda: self.status is not None, "end", patience, alive=False)
        self._threads[0].join(2)
        return self.status

    def signal(self, number):
        if self.status is None:
            self.process.send_signal(number)

    def stop(self, patience=PATIENCE):
        """SIGTERM, and it must end with status 0."""
        self.signal(signal.SIGTERM)
        self.wait_end(patience)
        equal(self.status, self.expect_status, f"exit status of {self.name}")

    def kill(self):
        self.expect_status = -signal.SIGKILL
        self.signal(signal.SIGKILL)
        self.wait_end()

    def abandon(self):
        if self.status is None:
            self.process.kill()
        self.process.wait()
        # Its thread may be about to read: that ends first.
        self._notify.shutdown(socket.SHUT_RD)
        self._threads[1].join()
        self._notify.close()


class Sandbox:
    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="fw-")
        self.daemons = []
        self.closers = []
        self.removers = []  # called at the very end, when all daemons are gone
        keep = ("PATH", "LANG", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "LD_LIBRARY_PATH")
        self.environment = {k: os.environ[k] for k in keep if k in os.environ}
        self.environment.update(HOME=self.directory, TMPDIR=self.directory, FASTWORKER_MODULE_PATH=MODULE_PATH,
                                FASTWORKER_CONFIG=self.path("none.conf"), LC_ALL="C.UTF-8")
        with open(self.path("none.conf"), "w", encoding="ascii"):
            pass
        if sanitized():
            # The tests look at how a crashed task's process ended: its signals must not be caught.
            options = [f"handle_{n}=0" for n in ("segv", "abort", "sigbus", "sigfpe", "sigill")]
            self.environment["ASAN_OPTIONS"] = ":".join([self.environment.get("ASAN_OPTIONS", ""), *options]).lstrip(":")
        self.state_directory = self.path("state")
        self.client_port, self.worker_port, self.discovery_port = free_port(), free_port(), free_port()
        self.client_address = f"tcp://127.0.0.1:{self.client_port}"
        self.worker_address = f"tcp://127.0.0.1:{self.worker_port}"
        self.discovery_address = f"tcp://127.0.0.1:{self.discovery_port}"

    def path(self, name):
        return f"{self.directory}/{name}"

    def start(self, name, argv, environment=None, **kwargs):
        runtime = self.path(f"run-{name}")
        os.makedirs(runtime, mode=0o700, exist_ok=True)
        env = dict(self.environment, RUNTIME_DIRECTORY=runtime, **(environment or {}))
        daemon = Daemon(self, name, argv, env, **kwargs)
        self.daemons.append(daemon)
        return daemon

    def controld(self, *flags, ready=True, environment=None, name="controld", prefix=(), **kwargs):
        """A coordinator without local worker, unless the flags name task modules. All of a sandbox have the same
        state directory: the next one goes on where the last one ended. Of a flag given twice the last one counts."""
        argv = [*prefix, f"{BUILD}/fastworker-controld", f"--base-address={self.client_address}",
                f"--discovery-address={self.discovery_address}", f"--subworker-port={self.worker_port}",
                f"--state-directory={self.state_directory}", *flags]
        daemon = self.start(name, argv, environment, **kwargs)
        return daemon.wait_ready() if ready else daemon

    def subworker(self, name, *flags, modules="testtasks", ready=True, environment=None, **kwargs):
        argv = [f"{BUILD}/fastworker-subworkerd", f"--worker-id={name}",
                f"--control-plane-address={self.client_address}", f"--task-modules={modules}",
                f"--state-directory={self.path(f'state-{name}')}", *flags]
        daemon = self.start(name, argv, environment, **kwargs)
        return daemon.wait_ready() if ready else daemon

    def pair(self, *flags, worker_flags=(), modules="testtasks"):
        """One coordinator and one registered subworker "sw1"."""
        controld = self.controld(*flags)
        subworker = self.subworker("sw1", *worker_flags, modules=modules)
        controld.wait_line("sw1 registered")
        return controld, subworker

    def client(self, address=None):
        from fwclient import Client  # pylint: disable=import-outside-toplevel
        client = Client(address or self.client_address)
        self.closers.append(client.close)
        return client

    def cli(self, *argv, stdin=None, environment=None, patience=PATIENCE):
        """Runs the command line; the completed process with text output."""
        env = dict(self.environment, **(environment or {}))
        return subprocess.run([f"{BUILD}/fastworker", *argv], env=env, input=stdin, capture_output=True, text=True,
                              timeout=patience, check=False, cwd=self.directory)

    def stage(self, name="stage"):
        stage = Stage(self.path(name))
        self.closers.append(stage.close)
        return stage

    def finish(self):
        """Stops everything in the reverse order; each must end cleanly."""
        for close in self.closers:
            close()
        self.closers = []
        for daemon in reversed(self.daemons):
            if daemon.status is None:
                daemon.stop()
            elif daemon.status != daemon.expect_status:
                raise Failure(f"{daemon.name} ended with status {daemon.status}")
        leaders = {d.pid for d in self.daemons}
        until(lambda: not in_sessions(leaders), "the end of all their children", 5)

    def destroy(self):
        for close in self.closers:
            with contextlib.suppress(Exception):
                close()
        for daemon in self.daemons:
            daemon.abandon()
        for pid, _ in in_sessions({d.pid for d in self.daemons}):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for remove in self.removers:
            remove()
        shutil.rmtree(self.directory, ignore_errors=True)

    def print_logs(self):
        for daemon in self.daemons:
            print(f"--- {daemon.name} (pid {daemon.pid}, status {daemon.status}), "
                  f"messages: {daemon.messages[-20:]}")
            for line in daemon.lines[-60:]:
                print(f"    {line}")
        for pid, command in in_sessions({d.pid for d in self.daemons}):
            print(f"--- still there: {pid} {command}")


class Stage:
    """The other side of the test task "hold": tells when such tasks run, and lets them go."""

    def __init__(self, directory):
        self.directory = directory
        os.mkdir(directory)
        os.mkfifo(f"{directory}/started")
        os.mkfifo(f"{directory}/gate")
        # Both ends, so that neither a read nor an open ever meets an end of file.
        self._started = os.open(f"{directory}/started", os.O_RDWR | os.O_CLOEXEC)
        self._text = b""

    def wait_started(self, n=1, patience=PATIENCE):
        """Waits until n more tasks run; a list of (task id, attempt, pid)."""
        import select  # pylint: disable=import-outside-toplevel
        deadline = time.monotonic() + patience
        started = []
        while len(started) < n:
            if b"\n" in self._text:
                line, _, self._text = self._text.partition(b"\n")
                task_id, attempt, pid = line.decode().split()
                started.append((task_id, int(attempt), int(pid)))
                continue
            left = max(0, deadline - time.monotonic())
            readable, _, _ = select.select([self._started], [], [], left)
            check(readable, f"only {len(started)} of {n} tasks began to run")
            self._text += os.read(self._started, 65536)
        return started

    def n_waiting(self):
        """Lines that nobody asked for yet."""
        import select  # pylint: disable=import-outside-toplevel
        while select.select([self._started], [], [], 0)[0]:
            self._text += os.read(self._started, 65536)
        return self._text.count(b"\n")

    def release(self):
        """Lets all tasks go that wait at the gate now or within an instant."""
        def try_open():
            try:
                return os.open(f"{self.directory}/gate", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC) + 1
            except OSError:
                return 0  # nobody waits yet
        os.close(until(try_open, "a task at the gate") - 1)

    def open_gate(self):
        """From now on no task waits."""
        fd = os.open(f"{self.directory}/gate", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(f"{self.directory}/file", "wb"):
            pass  # reads as empty
        os.rename(f"{self.directory}/file", f"{self.directory}/gate")
        os.close(fd)

    def close(self):
        if self._started >= 0:
            os.close(self._started)
            self._started = -1


def run_one(name, function):
    sandbox = Sandbox()
    begin = time.monotonic()
    try:
        function(sandbox)
        sandbox.finish()
        print(f"ok {name} ({time.monotonic() - begin:.1f} s)", flush=True)
        return 0
    except Skip as e:
        print(f"skipped {name}: {e}", flush=True)
        return 77
    except Exception:  # pylint: disable=broad-exception-caught
        traceback.print_exc(file=sys.stdout)
        sandbox.print_logs()
        print(f"FAILED {name} ({time.monotonic() - begin:.1f} s)", flush=True)
        return 1
    finally:
        sandbox.destroy()


def main(names):
    functions = [(n, f) for n, f in names.items() if n.startswith("test_") and callable(f)]
    chosen = [(n, f) for n, f in functions if len(sys.argv) < 2 or n in sys.argv[1:]]
    results = [run_one(n, f) for n, f in chosen]
    if not results:
        sys.exit("no such test")
    sys.exit(1 if 1 in results else 77 if all(r == 77 for r in results) else 0)
