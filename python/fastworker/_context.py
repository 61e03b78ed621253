# SPDX-License-Identifier: MIT
"""What a running task knows of itself."""

import dataclasses
import datetime
from typing import Any


@dataclasses.dataclass
class Task:
    """One task as its function and the before= and after= hooks see it."""

    id: str
    name: str
    args: list = dataclasses.field(default_factory=list)
    kwargs: dict = dataclasses.field(default_factory=dict)
    attempt: int = 1  # grows with each attempt, also by those that were lost with their worker
    priority: str = "normal"
    status: str = "running"  # in after=: success or failure
    result: Any = None
    error: str | None = None
    started_at: datetime.datetime | None = None
    completed_at: datetime.datetime | None = None
    traceparent: str | None = None  # the submitter's W3C trace context, as the environment variable TRACEPARENT


_current = None
_report_progress = None


def current_task():
    """The Task that this process runs, or None outside of one."""
    return _current


def progress(percent, text=""):
    """Tells how far the running task is: 0 to 100, and a short text. Shown by `fastworker status`. Does nothing outside of
    a task, so that the function can be called from elsewhere."""
    percent = float(percent)
    if not 0 <= percent <= 100:
        raise ValueError(f"progress({percent!r}): a number from 0 to 100 is needed")
    if _current is not None and _report_progress is not None:
        _report_progress(percent, str(text))


def _enter(current, report_progress):
    """For the runner: `current` runs from now on; None: nothing does."""
    global _current, _report_progress  # pylint: disable=global-statement
    _current, _report_progress = current, report_progress
