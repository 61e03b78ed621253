# SPDX-License-Identifier: MIT
"""The @task decorator and the tasks it has made."""

import datetime
import dataclasses
import inspect
import numbers
import re
from typing import Any, Callable

NAME = re.compile(r"[A-Za-z0-9._:-]{1,255}\Z")
PRIORITIES = ("critical", "high", "normal", "low")
RATE = re.compile(r"[1-9][0-9]{0,8}/[smh]\Z")

# Of each option: what is passed on under which name, and what it must be.
NUMBERS = {
    "timeout": (0, 366 * 86400, "seconds"),
    "soft_timeout": (0, 366 * 86400, "seconds"),
    "max_retries": (0, 1000000, "retries"),
    "retry_delay": (0, 366 * 86400, "seconds"),
    "retry_backoff": (1, 100, "a factor"),
    "retry_backoff_max": (0, 366 * 86400, "seconds"),
    "retry_jitter": (0, 1, "a share of the delay"),
    "concurrency": (1, 1000000, "tasks at a time"),
}

registry = {}  # name -> TaskDefinition, in the order of definition


@dataclasses.dataclass(eq=False)
class TaskDefinition:
    """A task: still callable as the function it was made of."""

    function: Callable
    name: str
    description: str
    options: dict  # as they are told to the coordinator, see doc/runner-protocol.md
    before: Callable | None = None
    after: Callable | None = None
    file: str = ""

    def __post_init__(self):
        self.__name__ = getattr(self.function, "__name__", self.name)
        self.__doc__ = self.function.__doc__
        self.__module__ = self.function.__module__
        self.__wrapped__ = self.function

    def __call__(self, *args, **kwargs):
        return self.function(*args, **kwargs)


def _number(option, value):
    low, high, unit = NUMBERS[option]
    if isinstance(value, datetime.timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not low <= value <= high:
        raise ValueError(f"{option}={value!r}: a number from {low} to {high} ({unit}) is needed")
    if option in ("max_retries", "concurrency") and value != int(value):
        raise ValueError(f"{option}={value!r}: a whole number is needed")
    return value


def _until(value):
    if isinstance(value, str):
        value = datetime.datetime.fromisoformat(value)
    if not isinstance(value, datetime.datetime):
        raise ValueError(f"repeat_until={value!r}: a datetime, or one as text in ISO 8601, is needed")
    return value.isoformat()


def _schedule(repeat_interval, cron, repeat_count, repeat_until, timezone):
    if repeat_interval is None and cron is None:
        for option, value in (("repeat_count", repeat_count), ("repeat_until", repeat_until), ("timezone", timezone)):
            if value is not None:
                raise ValueError(f"{option}= needs repeat_interval= or cron=")
        return None
    if repeat_interval is not None and cron is not None:
        raise ValueError("repeat_interval= and cron= exclude each other")
    if cron is not None:
        if not isinstance(cron, str) or not cron.strip():
            raise ValueError(f"cron={cron!r}: five fields are needed, such as \"*/15 8-17 * * 1-5\"")
        schedule = {"cron": cron.strip()}
    else:
        if isinstance(repeat_interval, datetime.timedelta):
            repeat_interval = repeat_interval.total_seconds()
        if isinstance(repeat_interval, bool) or not isinstance(repeat_interval, numbers.Real) or repeat_interval <= 0:
            raise ValueError(f"repeat_interval={repeat_interval!r}: a number of seconds above 0 is needed")
        schedule = {"interval": repeat_interval}
    if repeat_count is not None:
        if isinstance(repeat_count, bool) or not isinstance(repeat_count, int) or repeat_count < 1:
            raise ValueError(f"repeat_count={repeat_count!r}: a whole number from 1 on is needed")
        schedule["count"] = repeat_count
    if repeat_until is not None:
        schedule["until"] = _until(repeat_until)
    if timezone is not None:
        schedule["timezone"] = str(timezone)
    return schedule


def _options(priority, labels, rate_limit, options):
    ret = {}
    for option, value in options.items():
        if option not in NUMBERS:
            raise TypeError(f"@task has no option {option!r}; known are name, description, priority, labels, rate_limit, "
                            f"repeat_interval, cron, repeat_count, repeat_until, timezone, before, after, "
                            f"{', '.join(NUMBERS)}")
        if value is not None:
            ret[option] = _number(option, value)
    if priority is not None:
        name = str(getattr(priority, "value", priority)).lower()
        if name not in PRIORITIES:
            raise ValueError(f"priority={priority!r}: one of {', '.join(PRIORITIES)} is needed")
        ret["priority"] = name
    if labels:
        ret["labels"] = [str(label) for label in ([labels] if isinstance(labels, str) else labels)]
    if rate_limit is not None:
        if not RATE.match(str(rate_limit)):
            raise ValueError(f"rate_limit={rate_limit!r}: a number and s, m or h are needed, such as \"10/s\"")
        ret["rate_limit"] = str(rate_limit)
    return ret


def _description(function):
    lines = (inspect.getdoc(function) or "").strip().splitlines()
    return lines[0].strip() if lines else ""


def _file(function):
    try:
        return inspect.getsourcefile(inspect.unwrap(function)) or function.__module__
    except TypeError:
        return function.__module__


def _hook(option, hook):
    if hook is not None and not callable(hook):
        raise ValueError(f"{option}={hook!r}: a function that takes the task is needed")
    return hook


def task(function=None, *, name=None, description=None, priority=None, labels=None, rate_limit=None,
         repeat_interval=None, cron=None, repeat_count=None, repeat_until=None, timezone=None, before=None, after=None,
         **options):
    """Makes a function, sync or async, a task: @task, @task() or @task(option=...).

    name                the task's name; the function's unless given
    priority            critical, high, normal or low, for submits that name none
    timeout             seconds after which it is killed; soft_timeout: after which SoftTimeout is raised in it
    max_retries         how often it is tried again after a failure, with retry_delay seconds before the first retry,
                        retry_backoff times as long before each further one, at most retry_backoff_max; retry_jitter
                        (0 to 1) spreads that
    concurrency         how many may run at a time, on all workers; rate_limit: how many may start, such as "10/s"
    labels              labels that a worker must have to run it
    repeat_interval     seconds between the starts of a periodic task; cron: five fields, in the time zone `timezone`;
                        repeat_count and repeat_until end the repetition
    before, after       functions called with the Task around each run, in its process; after also when it failed
    """
    def define(function):
        if not callable(function):
            raise TypeError(f"@task is for functions, not for {function!r}")
        task_name = name or function.__name__
        if not NAME.match(task_name):
            raise ValueError(f"{task_name!r} is no name for a task: 1 to 255 letters, digits or . _ : - are needed")
        if task_name in registry:
            raise ValueError(f"there are two tasks {task_name!r}: in {registry[task_name].file} and in {_file(function)}")
        told = _options(priority, labels, rate_limit, options)
        schedule = _schedule(repeat_interval, cron, repeat_count, repeat_until, timezone)
        if schedule:
            told["schedule"] = schedule
        definition = TaskDefinition(function, task_name, description or _description(function), told,
                                    _hook("before", before), _hook("after", after), _file(function))
        registry[task_name] = definition
        return definition

    return define if function is None else define(function)
