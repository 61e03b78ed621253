# SPDX-License-Identifier: MIT
"""The @task decorator and the tasks it has made."""

import datetime
import dataclasses
import inspect
import numbers
import os
import re
import zoneinfo
from typing import Callable

from . import _cron

NAME = re.compile(r"[A-Za-z0-9._:-]{1,255}\Z")
PRIORITIES = ("critical", "high", "normal", "low")
CATCH_UP = ("skip", "one", "all")
INTERVAL_MIN, INTERVAL_MAX = 0.1, 3650 * 86400
YEAR_MIN, YEAR_MAX = 1970, 2399
COUNT_MAX = (1 << 63) - 1
RATE = re.compile(r"([1-9][0-9]{0,6})/[smh]\Z")
RATE_MAX = 1000000
LABEL = re.compile(r"[A-Za-z0-9_.:-]{1,63}\Z")
LABELS_MAX = 32
ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*\Z")

# Of each option: what is passed on under which name, and what it must be.
NUMBERS = {
    "timeout": (0.001, 366 * 86400, "seconds; without the option there is no limit"),
    "soft_timeout": (0.001, 366 * 86400, "seconds; without the option there is no limit"),
    "max_retries": (0, 10000, "retries"),
    "retry_delay": (0, 366 * 86400, "seconds"),
    "retry_backoff": (1, 1000, "a factor"),
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


def _real(value):
    """The value as an int or a float, as which JSON can have it; None if it is no number."""
    if isinstance(value, datetime.timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    try:
        return int(value) if isinstance(value, numbers.Integral) else float(value)
    except OverflowError:
        return None


def _number(option, value):
    low, high, unit = NUMBERS[option]
    number = _real(value)
    if number is None or not low <= number <= high:
        raise ValueError(f"{option}={value!r}: a number from {low} to {high} ({unit}) is needed")
    if option in ("max_retries", "concurrency"):
        if number != int(number):
            raise ValueError(f"{option}={value!r}: a whole number is needed")
        number = int(number)
    return number


def _until(value):
    moment = value
    if isinstance(value, str):
        try:
            moment = datetime.datetime.fromisoformat(value)
        except ValueError:
            moment = None
    if not isinstance(moment, datetime.datetime) or not YEAR_MIN <= moment.year <= YEAR_MAX:
        raise ValueError(f"repeat_until={value!r}: a datetime, or one as text in ISO 8601 such as \"2030-12-31T18:00:00\", "
                         f"from {YEAR_MIN} to {YEAR_MAX} is needed")
    return moment.isoformat()


def _timezone(value):
    name = str(value)
    good = ZONE.match(name) is not None
    if good and name != "UTC" and any(map(os.path.isdir, zoneinfo.TZPATH)):  # without its database we cannot know
        try:
            zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            good = False
    if not good:
        raise ValueError(f"timezone={name!r}: the name of a time zone is needed, such as \"Europe/Berlin\" or \"UTC\"")
    return name


def _cron_text(value):
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"cron={value!r}: five fields are needed, such as \"*/15 8-17 * * 1-5\"")
    try:
        _cron.check(value.strip())
    except ValueError as e:
        raise ValueError(f"cron={value!r}: {e}") from None
    return value.strip()


def _missed(schedule, skip_if_running, catch_up):
    if skip_if_running is not None:
        if not isinstance(skip_if_running, bool):
            raise ValueError(f"skip_if_running={skip_if_running!r}: True or False is needed")
        schedule["skip_if_running"] = skip_if_running
    if catch_up is not None:
        if not isinstance(catch_up, str) or catch_up not in CATCH_UP:
            raise ValueError(f"catch_up={catch_up!r}: one of {', '.join(CATCH_UP)} is needed")
        if catch_up == "all" and skip_if_running:
            raise ValueError("catch_up=\"all\" and skip_if_running=True exclude each other")
        schedule["catch_up"] = catch_up


def _schedule(repeat_interval, cron, repeat_count, repeat_until, timezone, skip_if_running, catch_up):
    if repeat_interval is None and cron is None:
        for option, value in (("repeat_count", repeat_count), ("repeat_until", repeat_until), ("timezone", timezone),
                              ("skip_if_running", skip_if_running), ("catch_up", catch_up)):
            if value is not None:
                raise ValueError(f"{option}= needs repeat_interval= or cron=")
        return None
    if repeat_interval is not None and cron is not None:
        raise ValueError("repeat_interval= and cron= exclude each other")
    if cron is not None:
        schedule = {"cron": _cron_text(cron)}
    else:
        seconds = _real(repeat_interval)
        if seconds is None or not INTERVAL_MIN <= seconds <= INTERVAL_MAX:
            raise ValueError(f"repeat_interval={repeat_interval!r}: a number of seconds, from {INTERVAL_MIN} on, is needed, "
                             f"{INTERVAL_MAX} (ten years) at most")
        schedule = {"interval": seconds}
    if repeat_count is not None:
        if isinstance(repeat_count, bool) or not isinstance(repeat_count, int) or not 1 <= repeat_count <= COUNT_MAX:
            raise ValueError(f"repeat_count={repeat_count!r}: a whole number from 1 on is needed")
        schedule["count"] = repeat_count
    if repeat_until is not None:
        schedule["until"] = _until(repeat_until)
    if timezone is not None:
        schedule["timezone"] = _timezone(timezone)
    _missed(schedule, skip_if_running, catch_up)
    return schedule


def _labels(labels):
    words = [labels] if isinstance(labels, str) else labels
    if not isinstance(words, (list, tuple, set, frozenset)) or len(words) > LABELS_MAX:
        raise ValueError(f"labels={labels!r}: a word or a list of at most {LABELS_MAX} is needed")
    for word in words:
        if not isinstance(word, str) or not LABEL.match(word):
            raise ValueError(f"labels={labels!r}: {word!r} is no label: 1 to 63 letters, digits or _ . : - are needed")
    return sorted(words) if isinstance(words, (set, frozenset)) else list(words)


def _options(priority, labels, rate_limit, options):
    ret = {}
    for option, value in options.items():
        if option not in NUMBERS:
            raise TypeError(f"@task has no option {option!r}; known are name, description, priority, labels, rate_limit, "
                            f"repeat_interval, cron, repeat_count, repeat_until, timezone, skip_if_running, catch_up, before, "
                            f"after, {', '.join(NUMBERS)}")
        if value is not None:
            ret[option] = _number(option, value)
    if "timeout" in ret and ret.get("soft_timeout", 0) >= ret["timeout"]:
        raise ValueError(f"soft_timeout={options['soft_timeout']!r}: less than timeout={options['timeout']!r} is needed, so "
                         f"that the task has time to come to an end")
    if priority is not None:
        name = str(getattr(priority, "value", priority)).lower()
        if name not in PRIORITIES:
            raise ValueError(f"priority={priority!r}: one of {', '.join(PRIORITIES)} is needed")
        ret["priority"] = name
    if labels:
        ret["labels"] = _labels(labels)
    if rate_limit is not None:
        rate = RATE.match(str(rate_limit))
        if not rate or int(rate.group(1)) > RATE_MAX:
            raise ValueError(f"rate_limit={rate_limit!r}: a number from 1 to {RATE_MAX} and s, m or h are needed, such as "
                             f"\"10/s\"")
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
         repeat_interval=None, cron=None, repeat_count=None, repeat_until=None, timezone=None, skip_if_running=None,
         catch_up=None, before=None, after=None, **options):
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
                        repeat_count and repeat_until end the repetition; skip_if_running: whether a start is dropped while the
                        task still runs; catch_up: what becomes of starts that were missed, skip, one or all
    before, after       functions called with the Task around each run, in its process; after also when it failed
    """
    def define(function):
        if not callable(function):
            raise TypeError(f"@task is for functions, not for {function!r}")
        task_name = name if name is not None else getattr(function, "__name__", None)
        if not isinstance(task_name, str) or not NAME.match(task_name):
            raise ValueError(f"{task_name!r} is no name for a task: 1 to 255 letters, digits or . _ : - are needed")
        if task_name in registry:
            raise ValueError(f"there are two tasks {task_name!r}: in {registry[task_name].file} and in {_file(function)}")
        if description is not None and not isinstance(description, str):
            raise ValueError(f"description={description!r}: a text is needed")
        told = _options(priority, labels, rate_limit, options)
        schedule = _schedule(repeat_interval, cron, repeat_count, repeat_until, timezone, skip_if_running, catch_up)
        if schedule:
            told["schedule"] = schedule
        definition = TaskDefinition(function, task_name, description or _description(function), told,
                                    _hook("before", before), _hook("after", after), _file(function))
        registry[task_name] = definition
        return definition

    return define if function is None else define(function)
