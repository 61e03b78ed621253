# SPDX-License-Identifier: MIT
"""What a running task knows of itself."""

import concurrent.futures.thread
import dataclasses
import datetime
import functools
import threading
from typing import Any


@dataclasses.dataclass
class Task:
    """One task as its function and the before= and after= hooks see it."""

    id: str
    name: str
    args: list = dataclasses.field(default_factory=list)
    kwargs: dict = dataclasses.field(default_factory=dict)
    attempt: int = 1  # grows with each attempt, also by those that were lost with their worker
    status: str = "running"  # in after=: success or failure
    result: Any = None
    error: str | None = None
    started_at: datetime.datetime | None = None
    completed_at: datetime.datetime | None = None
    traceparent: str | None = None  # the submitter's W3C trace context, as the environment variable TRACEPARENT


class _Here(threading.local):
    """Of each thread: (the Task that it works for or None,), or None where the one that started it decides."""

    owner = None


_here = _Here()
_running = None
_report_progress = None


def current_task():
    """The Task that this process runs, or None outside of one; also in a thread that an earlier task has left behind."""
    running = _running
    return running if running is not None and _owner() is running else None


def progress(percent, text=""):
    """Tells how far the running task is: 0 to 100, and a short text. Shown by `fastworker status`. Does nothing outside of
    a task, so that the function can be called from elsewhere."""
    percent = float(percent)
    if not 0 <= percent <= 100:
        raise ValueError(f"progress({percent!r}): a number from 0 to 100 is needed")
    report = _report_progress
    if report is not None and current_task() is not None:
        report(percent, str(text))


# For the runner.


def _enter(current, report_progress):
    """`current` runs from now on, in this thread and those that it starts; None: nothing does."""
    global _running, _report_progress  # pylint: disable=global-statement
    _running, _report_progress = current, report_progress
    _here.owner = (current,)


def _owner():
    """The task, maybe one that has ended, that this thread works for."""
    if _here.owner is not None:
        return _here.owner[0]
    return getattr(threading.current_thread(), "_fastworker_task", None)


def _run_for(owner, function, /, *args, **kwargs):
    before, _here.owner = _here.owner, (owner,)
    try:
        return function(*args, **kwargs)
    finally:
        _here.owner = before


def _follow_threads():
    """From now on threads belong to the task in which they were started, and what a pool of threads does to the one that
    gave it the work: pools live longer than tasks. Context variables would not do, as threads do not inherit them."""
    start = threading.Thread.start
    submit = concurrent.futures.thread.ThreadPoolExecutor.submit

    @functools.wraps(start)
    def start_for_task(self):
        self._fastworker_task = _owner()
        start(self)

    @functools.wraps(submit)
    def submit_for_task(self, fn, /, *args, **kwargs):
        return submit(self, _run_for, _owner(), fn, *args, **kwargs)

    threading.Thread.start = start_for_task
    concurrent.futures.thread.ThreadPoolExecutor.submit = submit_for_task
