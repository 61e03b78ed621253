# SPDX-License-Identifier: MIT
"""A client of the FastWorker protocol for tests: plain pyzmq, and no more knowledge than doc/protocol.md."""

import json
import time
import uuid

import zmq

from harness import PATIENCE, Failure, check

CONTEXT = zmq.Context()


class Refused(Exception):
    def __init__(self, code, text):
        super().__init__(f"{code}: {text}")
        self.code, self.text = code, text


def refused(function, *args, **kwargs):
    """Calls a function that must be refused: the refusal."""
    try:
        got = function(*args, **kwargs)
    except Refused as e:
        return e
    raise Failure(f"not refused, but {got!r}")


class Result:
    def __init__(self, frames):
        self.task_id, self.status = frames[0].decode(), frames[1].decode()
        self.data, self.error = frames[2], frames[3].decode()
        self.started, self.completed = int(frames[4]), int(frames[5])

    @property
    def value(self):
        return json.loads(self.data) if self.data else None

    def __repr__(self):
        return f"<{self.task_id} {self.status} {self.data!r} {self.error!r}>"


def encode(field):
    return field if isinstance(field, bytes) else str(field).encode()


class Peer:
    """A DEALER socket that sends frames and waits for answers by their correlation id."""

    def __init__(self, address):
        self.socket = CONTEXT.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.setsockopt(zmq.RECONNECT_IVL, 20)
        self.socket.setsockopt(zmq.RECONNECT_IVL_MAX, 100)
        self.socket.sndhwm = self.socket.rcvhwm = 0
        self.socket.connect(address)
        self.pushed = []  # messages that answer nothing
        self._answers = {}
        self._number = 0
        self.n_received = 0

    def close(self):
        self.socket.close()

    def send(self, verb, *fields, correlation=b""):
        self.socket.send_multipart([f"FW1 {verb}".encode(), encode(correlation), *map(encode, fields)])

    def receive(self, patience=PATIENCE):
        """The next message as a list of frames; None if none comes."""
        if not self.socket.poll(max(0, patience) * 1000):
            return None
        self.n_received += 1
        return self.socket.recv_multipart()

    def _take(self, frames):
        if frames[1]:
            self._answers[frames[1]] = frames
        else:
            self.pushed.append(frames)

    def drain(self):
        """Reads what is there."""
        while True:
            frames = self.receive(0)
            if frames is None:
                return
            self._take(frames)

    def request(self, verb, *fields, patience=PATIENCE):
        """Sends and waits for the answer: (verb, fields)."""
        self._number += 1
        correlation = f"r{self._number}".encode()
        self.send(verb, *fields, correlation=correlation)
        return self.answer(correlation, verb, patience)

    def answer(self, correlation, what, patience=PATIENCE):
        deadline = time.monotonic() + patience
        while correlation not in self._answers:
            frames = self.receive(deadline - time.monotonic())
            if frames is None:
                raise Failure(f"no answer to {what}")
            self._take(frames)
        frames = self._answers.pop(correlation)
        verb = frames[0].decode().partition(" ")[2]
        if verb == "ERROR":
            raise Refused(frames[2].decode(), frames[3].decode())
        return verb, frames[2:]

    def wait_pushed(self, verb, patience=PATIENCE):
        """The next pushed message of that verb: its fields."""
        deadline = time.monotonic() + patience
        while True:
            for i, frames in enumerate(self.pushed):
                if frames[0] == f"FW1 {verb}".encode():
                    return self.pushed.pop(i)[2:]
            frames = self.receive(deadline - time.monotonic())
            check(frames is not None, f"no {verb} came")
            self._take(frames)

    def info(self, verb, *fields):
        answer, fields = self.request(verb, *fields)
        check(answer == "INFO", f"{verb} was answered with {answer}")
        return json.loads(fields[0])


class Client(Peer):
    def __init__(self, address):
        super().__init__(address)
        self.results = {}

    def submit_many(self, tasks, mode="wait"):
        """tasks: dicts with name and optionally args, kwargs, priority, key, options, raw (arguments as bytes).
        The ids, in order."""
        fields = [mode]
        for task in tasks:
            arguments = task.get("raw")
            if arguments is None:
                arguments = json.dumps({"args": task.get("args", []), "kwargs": task.get("kwargs", {})})
            fields += [task["name"], task.get("priority", ""), task.get("key", ""), arguments,
                       task.get("options", "")]
        verb, fields = self.request("SUBMIT", *fields)
        check(verb == "ACCEPTED", f"SUBMIT was answered with {verb}")
        check(len(fields) == len(tasks), f"{len(fields)} ids for {len(tasks)} tasks")
        return [f.decode() for f in fields]

    def submit(self, name, *args, mode="wait", **task):
        return self.submit_many([dict(task, name=name, args=list(args))], mode)[0]

    def _collect(self, frames):
        fields = frames[2:]
        check(frames[0] == b"FW1 RESULT" and len(fields) % 6 == 0, f"no RESULT: {frames[0]!r}")
        for i in range(0, len(fields), 6):
            result = Result(fields[i:i + 6])
            check(result.task_id not in self.results or self.results[result.task_id].status == "unknown",
                  f"a second result for {result.task_id}")
            self.results[result.task_id] = result

    def wait_results(self, ids, patience=PATIENCE):
        """The pushed results of these tasks, in the order of the ids."""
        deadline = time.monotonic() + patience
        while True:
            for frames in self.pushed:
                self._collect(frames)
            self.pushed.clear()
            missing = [i for i in ids if i not in self.results]
            if not missing:
                return [self.results[i] for i in ids]
            frames = self.receive(deadline - time.monotonic())
            check(frames is not None, f"{len(missing)} of {len(ids)} results did not come, first {missing[0]}")
            self._take(frames)

    def result(self, task_id, patience=PATIENCE):
        return self.wait_results([task_id], patience)[0]

    def call(self, name, *args, **task):
        return self.result(self.submit(name, *args, **task))

    def watch(self, *ids):
        self.send("WAIT", *ids, correlation="watch")

    def status(self, task_id):
        """The document of STATUS with arguments, result and error put in."""
        _, fields = self.request("STATUS", task_id)
        return dict(json.loads(fields[0]), arguments=fields[1], result=fields[2], error=fields[3].decode())

    def workers(self):
        return self.info("WORKERS")


def new_id():
    return str(uuid.uuid4())
