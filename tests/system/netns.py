# SPDX-License-Identifier: MIT
"""Hosts and cables for tests: network namespaces joined by pairs of virtual Ethernet devices. Needs root and
iproute2. All of it is unnamed, and gone when the test's process ends, however that ends.

The addresses are those that are set aside for documentation, so that they cannot be anybody's."""

import ctypes
import os
import shutil
import subprocess

from harness import PATIENCE, Failure, Skip

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
# Belongs to no device: what is sent there is dropped by whoever gets it.
NOBODY = "02:00:00:00:00:99"


class Host:
    """A network namespace with nothing but its loopback."""

    def __init__(self, sandbox):
        if not shutil.which("ip", path=search_path()):
            raise Skip("iproute2 is not installed")
        # Lives as long as its standard input is open.
        self._holder = subprocess.Popen(  # pylint: disable=consider-using-with
            ["unshare", "--net", "sh", "-c", "echo ready && exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env={"PATH": search_path(), "LC_ALL": "C"})
        sandbox.closers.append(self.close)
        said = self._holder.stdout.readline().decode().strip()
        if said != "ready":
            raise Skip(f"no network namespace can be made here: {said}")
        self.pid = self._holder.pid
        self._fd = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.run("ip", "link", "set", "lo", "up")

    def enter(self):
        """To be called in a child before it executes something: preexec=host.enter."""
        if LIBC.setns(self._fd, CLONE_NEWNET) < 0:
            raise OSError(ctypes.get_errno(), "setns")

    def run(self, *argv, skip=None):
        """Runs a command there. If it fails the test does; or is skipped, if a reason is given."""
        done = subprocess.run(argv, env={"PATH": search_path(), "LC_ALL": "C"}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE,
                              check=False, preexec_fn=self.enter)  # pylint: disable=subprocess-popen-preexec-fn
        if done.returncode != 0:
            raise (Skip(f"{skip}: {done.stdout.strip()}") if skip else Failure(f"{argv}: {done.stdout}"))
        return done.stdout

    def give_up_early(self):
        """TCP takes a peer that acknowledges nothing for lost after about a second and a half, not after a quarter
        of an hour."""
        self.run("sh", "-c", "echo 2 >/proc/sys/net/ipv4/tcp_retries2", skip="TCP's patience cannot be set here")

    def close(self):
        if self._holder.poll() is None:
            self._holder.stdin.close()
            self._holder.wait(PATIENCE)
            os.close(self._fd)


class Cable:
    """A network of two hosts: `near` is 192.0.2.4n+1 in it, `far` 192.0.2.4n+2."""

    def __init__(self, near, far, number=0):
        self.near, self.far = near, far
        self.near_address, self.far_address = f"192.0.2.{4 * number + 1}", f"192.0.2.{4 * number + 2}"
        self._device = f"veth{number}"
        near.run("ip", "link", "add", self._device, "type", "veth", "peer", "name", self._device,
                 "netns", str(far.pid), skip="no virtual Ethernet devices can be made here")
        for host, address in ((near, self.near_address), (far, self.far_address)):
            host.run("ip", "address", "add", f"{address}/30", "dev", self._device)
            host.run("ip", "link", "set", self._device, "up")

    def unplug(self):
        """At the far end, which knows it: what is sent there fails. The near end has no carrier."""
        self.far.run("ip", "link", "set", self._device, "down")

    def plug(self):
        self.far.run("ip", "link", "set", self._device, "up")

    def _drop(self, host, to):
        host.run("ip", "neighbour", "replace", to, "lladdr", NOBODY, "dev", self._device, "nud", "permanent")

    def _pass(self, host, to):
        host.run("ip", "neighbour", "delete", to, "dev", self._device)

    def drop_to_far(self):
        """From now on each packet to the far end is lost without a trace."""
        self._drop(self.near, self.far_address)

    def pass_to_far(self):
        self._pass(self.near, self.far_address)

    def drop_to_near(self):
        self._drop(self.far, self.near_address)

    def pass_to_near(self):
        self._pass(self.far, self.near_address)

    def drop_all(self):
        self.drop_to_far()
        self.drop_to_near()

    def pass_all(self):
        self.pass_to_far()
        self.pass_to_near()


def search_path():
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
