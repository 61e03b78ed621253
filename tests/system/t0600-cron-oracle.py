#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Cron expressions against two oracles.

1. "systemd-analyze calendar": each of 100 expressions, written as the calendar event that means the same, over two
   years, in zones with and without summer time. All times must be the same. Where ours differs on purpose, when the
   clocks change, each difference must be one of these two, and each expected one must be there:
     gap   what lies in an hour that is skipped comes at the first moment after it; systemd passes over it. A job of
           every night must not be lost because of a change of clocks.
     twice an expression of every hour goes on through both passes of an hour that is shown twice; systemd is silent in
           the second pass. What runs every half hour must not stop for one and a half.
2. A model that looks at each minute of the days around changes of the clocks, with Python's zoneinfo, and applies
   the rules of src/shared/cron.h literally.

Both also show that no time comes twice: the times of each answer rise strictly.

And what the coordinator's schedules fire over those two years is compared with these times, one by one."""

import concurrent.futures
import datetime
import os
import re
import shutil
import subprocess
import sys
import zoneinfo

BUILD = os.path.abspath(os.environ.get("top_builddir", "."))
UTC = datetime.timezone.utc
DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()
NICKNAMES = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
             "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *"}
BEGIN = int(datetime.datetime(2023, 1, 1, tzinfo=UTC).timestamp()) - 1
END = int(datetime.datetime(2025, 1, 1, tzinfo=UTC).timestamp())

ORACLE = """
UTC                 @hourly
UTC                 @daily
UTC                 @midnight
UTC                 @weekly
UTC                 @monthly
UTC                 @yearly
UTC                 @annually
UTC                 0 0 29 2 *
UTC                 59 23 31 12 *
UTC                 0 0 31 * *
UTC                 0 0 30 * *
UTC                 0 12 */2 * *
UTC                 0 12 1-31/3 * *
UTC                 15 10 1,15 * *
UTC                 0 0 13 * 5
UTC                 0 0 1 * MON
UTC                 0 0 1-7 * SUN
UTC                 0 0 */10 * FRI
UTC                 0 0 */7 JAN-JUN MON-WED
UTC                 0 22 * * 1-5
UTC                 0 22 * * 5-7
UTC                 0 22 * * FRI-SUN
UTC                 0 22 * * 0,6
UTC                 0 22 * * 7
UTC                 0 22 * * 0
UTC                 5 4 * * sun
UTC                 5 4 * * mon,wed,fri
UTC                 0 9 * * 1-5/2
UTC                 0 9 * * */2
UTC                 0 9 * * */3
UTC                 23 0-20/2 * * *
UTC                 0 0,12 1 */2 *
UTC                 0 4 8-14 * *
UTC                 5 0 * 8 *
UTC                 15 14 1 * *
UTC                 0 0 1 jan,jul *
UTC                 0 0 1 JAN-DEC/4 *
UTC                 0 0 28-31 2 *
UTC                 10-12 3 * * SAT
UTC                 0-58/29 6 * * 3
UTC                 1,2,3,5,7,11,13 17 * * 2
UTC                 0 */8 * * *
UTC                 0 */5 * * *
UTC                 0 9-17 * * 1
Asia/Kolkata        30 5 * * *
Asia/Kolkata        0 0 1 * *
Asia/Kolkata        0 18 * * MON-FRI
Asia/Kolkata        45 23 31 3 *
Asia/Kathmandu      15 6 * * *
Asia/Kathmandu      0 0 * * 6
Asia/Tokyo          0 9 * * 1-5
Asia/Tokyo          */20 9 * * 1
America/Phoenix     30 2 * * *
America/Phoenix     0 2 * * SUN
Pacific/Kiritimati  0 0 1 1 *
Pacific/Kiritimati  0 12 * * *
Pacific/Pago_Pago   0 12 * * *
Pacific/Marquesas   30 9 * * *
Pacific/Apia        30 12 * * *
Pacific/Chatham     0 12 * * *
Pacific/Chatham     30 1 * * *
Europe/Berlin       0 0 * * *
Europe/Berlin       0 12 * * *
Europe/Berlin       30 1 * * *
Europe/Berlin       30 2 * * *
Europe/Berlin       0 2 * * *
Europe/Berlin       0 3 * * *
Europe/Berlin       59 2 * * *
Europe/Berlin       0,30 2 * * *
Europe/Berlin       */15 2 * * SUN
Europe/Berlin       15 2,3 * * *
Europe/Berlin       0 1-4 * * SUN
Europe/Berlin       30 2 25-31 3,10 *
Europe/Berlin       30 2 * 3,10 SUN
Europe/Berlin       0 */6 * * *
Europe/Berlin       0 */2 * * SUN
Europe/Berlin       30 * * * SUN
Europe/Berlin       0 9-17/4 * * MON-FRI
Europe/London       30 1 * * *
Europe/London       0 1 * * *
Europe/London       15 * * * SUN
Europe/Dublin       30 1 * * *
Atlantic/Azores     30 0 * * *
America/New_York    30 2 * * *
America/New_York    30 1 * * *
America/New_York    0 0 1 * 1
America/New_York    5,35 1-2 * 3,11 0
America/New_York    45 * * 3,11 SUN
America/St_Johns    30 2 * * *
America/Santiago    0 0 * * *
America/Santiago    30 23 * * *
America/Havana      0 0 * * *
America/Havana      30 0 * * *
Africa/Casablanca   30 2 * * *
Africa/Cairo        30 0 * * *
Asia/Beirut         0 0 * * *
Australia/Sydney    30 2 * * *
Australia/Lord_Howe 15 2 * * *
Australia/Lord_Howe 45 1 * * *
Australia/Lord_Howe 10 * * * SUN
"""

# Zone, first and last day (in UTC, exclusive).
CHANGES = [
    ("Europe/Berlin", "2024-03-30", "2024-04-02"), ("Europe/Berlin", "2024-10-26", "2024-10-29"),
    ("America/New_York", "2024-03-09", "2024-03-12"), ("America/New_York", "2024-11-02", "2024-11-05"),
    ("Australia/Lord_Howe", "2024-10-04", "2024-10-08"), ("Australia/Lord_Howe", "2024-04-05", "2024-04-09"),
    ("America/Sao_Paulo", "2018-11-03", "2018-11-06"), ("America/Sao_Paulo", "2018-02-16", "2018-02-20"),
    ("Asia/Kolkata", "2024-03-30", "2024-04-02"), ("Pacific/Apia", "2011-12-28", "2012-01-02"),
    ("Africa/Casablanca", "2024-03-08", "2024-03-12"), ("Africa/Casablanca", "2024-04-12", "2024-04-16"),
    ("Europe/Lisbon", "1992-09-26", "1992-09-29"), ("Antarctica/Troll", "2024-03-30", "2024-04-02"),
    ("Antarctica/Troll", "2024-10-26", "2024-10-29"), ("Asia/Pyongyang", "2018-05-03", "2018-05-07"),
    ("America/Caracas", "2016-04-29", "2016-05-03"), ("America/Caracas", "2007-12-08", "2007-12-11"),
    ("Pacific/Kwajalein", "1993-08-19", "1993-08-24"), ("Africa/Monrovia", "1972-01-05", "1972-01-09"),
    ("Asia/Gaza", "2011-07-30", "2011-08-04"), ("Pacific/Chatham", "2024-09-26", "2024-09-30"),
    ("Africa/Juba", "2021-01-30", "2021-02-02"),
]
RULES = ["* * * * *", "*/7 * * * *", "30 * * * *", "*/15 0-22 * * *", "0 */2 * * *", "0 0 * * *", "30 0 * * *",
         "30 1 * * *", "15 2 * * *", "30 2 * * *", "59 23 * * *", "0 3 * * *", "0 12 * * *", "10,40 0-4 * * *",
         "* 2 * * *", "0 2 * * SUN", "30 12 30 12 *", "0 * 30 12 *", "0 0 30 12 5", "0 23,0 * * *", "45 23 * * *",
         "50 2 * * *"]


def cron_next(lines):
    """Asks tests/cron-next. Returns a list of lists of seconds, one a line."""
    result = subprocess.run([f"{BUILD}/tests/cron-next"], input="".join(f"{line}\n" for line in lines), text=True,
                            capture_output=True, timeout=600, check=False)
    if result.returncode != 0:
        raise SystemExit(f"cron-next failed:\n{result.stdout}{result.stderr}")
    answers = [[int(n) for n in line.split()] for line in result.stdout.splitlines()]
    assert len(answers) == len(lines)
    for line, times in zip(lines, answers):
        assert all(a < b for a, b in zip(times, times[1:])), f"{line}: not rising: {times}"
    return answers


def fired(catch_up, schedules):
    """Asks tests/schedule-fire: for which due times each schedule made tasks over the two years."""
    lines = [f"{catch_up} {zone} {BEGIN} {END} {expression}" for zone, expression in schedules]
    result = subprocess.run([f"{BUILD}/tests/schedule-fire"], input="".join(f"{line}\n" for line in lines), text=True,
                            capture_output=True, timeout=600, check=False)
    assert result.returncode == 0, f"{result.stdout[:1000]}{result.stderr}"
    answers = [[int(n) for n in line.split()] for line in result.stdout.splitlines()]
    assert len(answers) == len(lines)
    return answers


def oracle_schedules():
    schedules = [line.split(None, 1) for line in ORACLE.strip().splitlines()]
    assert len(schedules) == 100 and len(set(map(tuple, schedules))) == 100, len(schedules)
    return schedules


def test_firing():
    """What fires, by a clock that is early and late and with a process that is killed all the time, is what is due: no
    difference, no double fire."""
    schedules = oracle_schedules()
    dues = cron_next([f"{zone} {BEGIN} {END} {expression}" for zone, expression in schedules])
    for catch_up in ("skip", "one", "all"):
        answers = fired(catch_up, schedules)
        for schedule, due, answer in zip(schedules, dues, answers):
            assert len(answer) == len(set(answer)), f"{catch_up} {schedule}: fired twice"
            missing, more = sorted(set(due) - set(answer)), sorted(set(answer) - set(due))
            assert answer == due, f"{catch_up} {schedule}: not fired {missing[:5]}, fired {more[:5]}"
        print(f"{len(schedules)} schedules over two years, catch-up policy {catch_up}: "
              f"{sum(map(len, answers))} firings, none left out, none twice")


def calendar_field(text, low, high, names=()):
    """"1-5/2,9" is "1..5/2,9" for systemd, "*/2" goes from the first value to the last. (Without an end, "0/5",
    systemd 252 forgets midnight after the last day of a month.)"""
    def number(word):
        return str(names.index(word.upper()) + 1) if word.upper() in names else word
    items = []
    for item in text.split(","):
        span, _, step = item.partition("/")
        if span == "*" and step:
            span = f"{low}-{high}"
        items.append("..".join(number(end) for end in span.split("-")) + (f"/{step}" if step else ""))
    return ",".join(items)


def calendar_days(text):
    """systemd knows no steps for days of the week."""
    names = [d.upper() for d in DAYS[:7]]
    days = set()
    for item in text.split(","):
        span, _, step = item.partition("/")
        low, _, high = ("0-7" if span == "*" else span).partition("-")
        low, high = (names.index(w.upper()) if w.upper() in names else int(w or -1) for w in (low, high))
        high = low if high < 0 else 7 if high == 0 else high
        days |= {DAYS[n] for n in range(low, high + 1, int(step or 1))}
    return ",".join(sorted(days, key=DAYS.index)) + " "


def calendar_events(expression, zone):
    """The calendar events that together mean the same as the expression."""
    minute, hour, day, month, weekday = NICKNAMES.get(expression, expression).split()
    clock = f"{calendar_field(hour, 0, 23)}:{calendar_field(minute, 0, 59)}:00 {zone}"
    months = calendar_field(month, 1, 12, MONTHS)
    days = calendar_field(day, 1, 31)
    if day[0] != "*" and weekday[0] != "*":
        return [f"*-{months}-{days} {clock}", f"{calendar_days(weekday)}*-{months}-* {clock}"]
    return [f"{'' if weekday == '*' else calendar_days(weekday)}*-{months}-{days} {clock}"]


def systemd_times(event, iterations):
    result = subprocess.run(["systemd-analyze", "calendar", f"--iterations={iterations}",
                             f"--base-time=@{BEGIN}", event], env=dict(os.environ, TZ="UTC", LC_ALL="C"), text=True,
                            capture_output=True, timeout=600, check=False)
    assert result.returncode == 0, f"{event}: {result.stderr}"
    times = [datetime.datetime.strptime(t, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
             for t in re.findall(r"(?:Next elapse|Iter\. #\d+): \w{3} (\S+ \S+) UTC", result.stdout)]
    assert times, f"{event}: {result.stdout}"
    return {int(t) for t in times if t <= END}


def offset(zone, seconds):
    return int(datetime.datetime.fromtimestamp(seconds, zone).utcoffset().total_seconds())


def allowed_difference(expression, zone, seconds):
    """Why ours has a time that systemd's does not: "gap", "twice", or None."""
    every_hour = expression.split()[1] == "*"
    before, now = offset(zone, seconds - 1), offset(zone, seconds)
    if now > before and not every_hour:
        return "gap"
    day_before = offset(zone, seconds - 6 * 3600)
    if day_before > now and every_hour and offset(zone, seconds - (day_before - now)) == day_before:
        return "twice"
    return None


def compare_with_systemd(zone_name, expression, ours):
    """Returns the number of times and of differences by reason; raises on any other difference."""
    theirs = set()
    for event in calendar_events(expression, zone_name):
        theirs |= systemd_times(event, len(ours) + 8)
    zone = zoneinfo.ZoneInfo(zone_name)
    reasons = {}
    missing = sorted(theirs - set(ours))
    assert not missing, f"{zone_name} {expression}: only systemd has {[show(t, zone) for t in missing]}"
    for t in sorted(set(ours) - theirs):
        reason = allowed_difference(expression, zone, t)
        assert reason, f"{zone_name} {expression}: only ours has {show(t, zone)}"
        reasons[reason] = reasons.get(reason, 0) + 1
    return len(ours), reasons


def show(seconds, zone):
    return datetime.datetime.fromtimestamp(seconds, zone).isoformat()


def test_systemd():
    if not shutil.which("systemd-analyze"):
        print("systemd-analyze is not installed: only the model was asked")
        return False
    schedules = oracle_schedules()
    answers = cron_next([f"{zone} {BEGIN} {END} {expression}" for zone, expression in schedules])
    totals = {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(compare_with_systemd, zone, expression, ours)
                for (zone, expression), ours in zip(schedules, answers)]
    problems = [str(job.exception()) for job in jobs if job.exception()]
    assert not problems, "\n".join(problems)
    results = [job.result() for job in jobs]
    for (zone, expression), (_, reasons) in zip(schedules, results):
        for reason, n in reasons.items():
            print(f"by design: {zone} {expression}: {reason} {n}")
            totals[reason] = totals.get(reason, 0) + n
    print(f"{len(schedules)} expressions, {sum(n for n, _ in results)} times as systemd has them, "
          f"but for {totals} by design")
    # That the table has cases of both kinds is part of the test.
    assert totals.get("gap", 0) > 20 and totals.get("twice", 0) > 5, totals
    return True


# --- the model ---


def numbers(text, low, high, names=(), first=0):
    found = set()
    for item in text.split(","):
        span, _, step = item.partition("/")
        a, _, b = (f"{low}-{high}" if span == "*" else span).partition("-")
        a, b = (names.index(w) + first if w in names else int(w) if w else None for w in (a, b))
        found |= set(range(a, (a if b is None else b) + 1, int(step or 1)))
    return found


def matcher(expression):
    """A function that says whether a time on the wall (naive datetime, whole minute) is one of the expression's."""
    minute, hour, day, month, weekday = expression.split()
    minutes, hours = numbers(minute, 0, 59), numbers(hour, 0, 23)
    days, months = numbers(day, 1, 31), numbers(month, 1, 12, MONTHS, 1)
    weekdays = {n % 7 for n in numbers(weekday, 0, 7, [d.upper() for d in DAYS[:7]])}

    def matches(wall):
        of_month, of_week = wall.day in days, wall.isoweekday() % 7 in weekdays
        either = day[0] != "*" and weekday[0] != "*"
        return (wall.minute in minutes and wall.hour in hours and wall.month in months
                and (of_month or of_week if either else of_month and of_week))
    return matches, len(hours) == 24


def model(expression, zone, begin, end):
    """Goes through time where a minute can begin on the wall, keeping how far the clocks had come."""
    matches, every_hour = matcher(expression)
    epoch = datetime.datetime(1970, 1, 1)
    found = []
    # Far enough back to know the mark.
    mark = max(t + offset(zone, t) for t in range(begin - 2 * 86400, begin + 1, 60))
    for t in range(begin + 1, end + 1):
        # One zone here had an offset that was no number of whole minutes.
        if t % 60 != 0 and zone.key != "Africa/Monrovia":
            continue
        wall = t + offset(zone, t)
        if every_hour:
            due = wall % 60 == 0 and matches(epoch + datetime.timedelta(seconds=wall))
        else:
            # What the clocks reach or pass now for the first time.
            reached = range(-(-(mark + 1) // 60) * 60, wall + 1, 60)
            due = any(matches(epoch + datetime.timedelta(seconds=w)) for w in reached)
            mark = max(mark, wall)
        if due:
            found.append(t)
    return found


def test_model():
    cases = []
    for zone, first, last in CHANGES:
        begin, end = (int(datetime.datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())
                      for day in (first, last))
        cases += [(zone, begin, end, expression) for expression in RULES]
    answers = cron_next([f"{zone} {begin} {end} {expression}" for zone, begin, end, expression in cases])
    n = 0
    for (name, begin, end, expression), ours in zip(cases, answers):
        zone = zoneinfo.ZoneInfo(name)
        wanted = model(expression, zone, begin, end)
        assert ours == wanted, (f"{name} {expression}:\n only ours {[show(t, zone) for t in ours if t not in wanted]}"
                                f"\n only the model {[show(t, zone) for t in wanted if t not in ours]}")
        n += len(ours)
    print(f"{len(cases)} cases around {len(CHANGES)} changes of clocks, {n} times as the model has them")


def main():
    test_model()
    test_firing()
    sys.exit(0 if test_systemd() else 77)


main()
