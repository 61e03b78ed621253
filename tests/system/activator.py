# SPDX-License-Identifier: MIT
"""What a socket unit does, for subworkers of a sandbox: listens, starts the subworker with the listening socket when
somebody connects (without accepting), and listens again when it has ended."""

import os
import select
import socket
import threading

from harness import BUILD, check, until

LAUNCHER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_FDNAMES="worker", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


class Unit:
    """One instance. `starts` are the daemons, one for each activation."""

    def __init__(self, sandbox, number, flags, works):
        self.sandbox, self.number, self.flags, self.works = sandbox, number, flags, works
        self.path = sandbox.path(f"subworker-{number}.sock")
        self.starts = []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(self.path)
        self.socket.listen(128)
        self._quit = os.pipe()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _start(self):
        name = f"sw{self.number}"
        # High, so that the launcher does not take it away from itself; a number of its own, as units run side by side.
        high = 500 + self.number
        os.dup2(self.socket.fileno(), high)
        argv = ["/usr/bin/python3", "-c", LAUNCHER, str(high), f"{BUILD}/fastworker-subworkerd",
                f"--worker-id={name}", f"--control-plane-address={self.sandbox.client_address}",
                "--task-modules=testtasks", *self.flags]
        daemon = self.sandbox.start(name, argv, pass_fds=[high])
        os.close(high)
        return daemon

    def _run(self):
        while True:
            readable, _, _ = select.select([self.socket, self._quit[0]], [], [])
            if self._quit[0] in readable:
                return
            if not self.works:
                self.starts.append(None)
                select.select([self._quit[0]], [], [])
                return
            daemon = self._start()
            self.starts.append(daemon)
            daemon.wait_end(3600)

    def is_running(self):
        return bool(self.starts) and self.starts[-1] is not None and self.starts[-1].status is None

    def has_visitor(self):
        """Whether somebody has connected and was not accepted: a socket unit would start the service."""
        return bool(select.select([self.socket], [], [], 0)[0])

    def visit(self):
        """Connects and leaves."""
        with socket.socket(socket.AF_UNIX) as visitor:
            visitor.connect(self.path)

    def disable(self):
        """Takes the file away, as RemoveOnStop= does; enable() puts it back."""
        os.rename(self.path, f"{self.path}.off")

    def enable(self):
        os.rename(f"{self.path}.off", self.path)

    def close(self):
        """As "systemctl stop": the socket first, then the service."""
        os.write(self._quit[1], b"x")
        if self.is_running():
            self.starts[-1].stop()
        self._thread.join(60)
        check(not self._thread.is_alive(), f"the end of instance {self.number}")
        self.socket.close()
        for fd in self._quit:
            os.close(fd)


class Activator:
    def __init__(self, sandbox, n, *flags, broken=()):
        """Instances 1 to n; behind the broken ones nothing ever starts."""
        self.pattern = sandbox.path("subworker-%i.sock")
        self.units = [Unit(sandbox, i, flags, i not in broken) for i in range(1, n + 1)]
        sandbox.closers.append(self.close)

    def close(self):
        for unit in self.units:
            unit.close()
        self.units = []

    def flags(self, n=None):
        """For controld."""
        return [f"--max-instances={len(self.units) if n is None else n}", f"--wake-socket={self.pattern}",
                "--reconnect-within=100ms", "--startup-grace=100ms"]

    def n_starts(self):
        return [len(unit.starts) for unit in self.units]

    def running(self):
        return [unit.number for unit in self.units if unit.is_running()]

    def wait_starts(self, *wanted):
        """Waits until instances were started so often; a started one may do its first task before we know of it."""
        until(lambda: self.n_starts() == list(wanted), f"starts {wanted}, there are {self.n_starts()}")

    def wait_running(self, *wanted):
        until(lambda: self.running() == list(wanted), f"instances {wanted}")

    def wait_asleep(self):
        until(lambda: not self.running(), "the end of all instances")
