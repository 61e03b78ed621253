# SPDX-License-Identifier: MIT
"""Whether a cron expression is one that the coordinator takes, and if not, why: a mistake is an error where it is written.
The rules, and the words, are those of fastworker-schedules(7)."""

import dataclasses
import re

TEXT_MAX = 256
QUOTED_MAX = 36
BLANKS = " \t"
WORD = re.compile(r"[0-9A-Za-z]*")
NUMBER = re.compile(r"[0-9]+\Z")
LAST_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
NICKNAMES = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")


@dataclasses.dataclass(frozen=True)
class Field:
    """One of the five: what its numbers are, and what the first of its names stands for."""

    name: str
    low: int
    high: int
    expected: str
    names: tuple = ()
    first: int = 0

    def value(self, word):
        """What a number or a name stands for, or None."""
        if word.lower() in self.names:
            return self.first + self.names.index(word.lower())
        if NUMBER.match(word) and self.low <= int(word) <= self.high:
            return int(word)
        return None


MINUTE = Field("minute", 0, 59, "0 to 59")
DAY_OF_WEEK = Field("day of the week", 0, 7, "0 to 7 or SUN to SAT", ("sun", "mon", "tue", "wed", "thu", "fri", "sat"))
FIELDS = (
    MINUTE,
    Field("hour", 0, 23, "0 to 23"),
    Field("day of the month", 1, 31, "1 to 31"),
    Field("month", 1, 12, "1 to 12 or JAN to DEC",
          ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1),
    DAY_OF_WEEK,
)


def _quote(text):
    shown = "".join(c if " " <= c < "\x7f" and c != '"' else "?" for c in text[:QUOTED_MAX])
    return f'"{shown}{"..." if len(text) > QUOTED_MAX else ""}"'


class _Reader:
    """Goes through the text of one field."""

    def __init__(self, field, text):
        self.field, self.text, self.at = field, text, 0

    def fail(self, what):
        raise ValueError(f"{self.field.name} field {_quote(self.text)}: {what}")

    def next_is(self, character):
        return self.text[self.at:self.at + 1] == character

    def word(self):
        word = WORD.match(self.text, self.at).group()
        self.at += len(word)
        return word

    def bad_value(self, word):
        if not word:
            self.fail(f"a number is missing, expected {self.field.expected}")
        self.fail(f"{_quote(word)} is not a {self.field.name}, expected {self.field.expected}")

    def range_end(self, low):
        self.at += 1
        word = self.word()
        high = self.field.value(word)
        if high is None:
            self.bad_value(word)
        if self.field is DAY_OF_WEEK and high == 0 and len(word) == 3:
            high = 7  # the Sunday that follows Saturday
        if high < low:
            top = 6 if self.field is DAY_OF_WEEK else self.field.high
            self.fail(f"the range ends before it begins, write {low}-{top},{self.field.low}-{high}")
        return high

    def step(self):
        self.at += 1
        word = self.word()
        if not NUMBER.match(word) or not 1 <= int(word) <= self.field.high:
            hint = " (for every hour, write one minute)" if self.field is MINUTE else ""
            self.fail(f"{_quote(word)} is not a step, expected 1 to {self.field.high}{hint}")
        return int(word)

    def item(self):
        """The numbers of one item of the list, up to a comma or the end."""
        low, high, step, is_single = self.field.low, self.field.high, 1, False
        if self.next_is("*"):
            self.at += 1
        else:
            rest = self.text[self.at:].partition(",")[0]
            word = self.word()
            low = high = self.field.value(word)
            if low is None:
                self.bad_value(word or rest)
            is_single = not self.next_is("-")
            if not is_single:
                high = self.range_end(low)
        if self.next_is("/"):
            if is_single:
                rest = _quote(self.text[self.at:].partition(",")[0])[1:-1][:8]
                self.fail(f"a step needs a range, write {low}-{self.field.high}{rest}")
            step = self.step()
        if self.at < len(self.text) and not self.next_is(","):
            self.fail(f"{_quote(self.text[self.at:])} is not understood, expected numbers, ranges (a-b), "
                      f"steps (*/n, a-b/n) and commas")
        return range(low, high + 1, step)

    def items(self):
        """The numbers of the whole field."""
        numbers = set(self.item())
        while self.at < len(self.text):
            self.at += 1
            numbers.update(self.item())
        return numbers


def _check_nickname(text):
    name, _, rest = text.replace("\t", " ").partition(" ")
    if name.lower() in NICKNAMES and not rest.strip(BLANKS):
        return
    if text.startswith("@reboot"):
        raise ValueError("@reboot is not a time: submit the task when the system starts, from a service unit")
    if text.startswith("@every"):
        raise ValueError("@every is not a cron expression: give an interval instead")
    raise ValueError(f"{_quote(text)} is not known, expected five fields or one of @hourly @daily @weekly @monthly @yearly")


def _check_possible(days, months):
    if not any(day <= LAST_DAYS[month - 1] for day in days for month in months):
        raise ValueError(f"this never comes: none of the months has day {min(days)}; the last days are 28 or 29 in FEB, "
                         f"30 in APR JUN SEP NOV, 31 in the others")


def check(text):
    """ValueError, which names the field, what is wrong and what would be right, if this is no cron expression."""
    text = text.encode("utf-8", "replace").decode("latin-1").lstrip(BLANKS)  # byte by byte
    if text.startswith("@"):
        _check_nickname(text)
        return
    if len(text) > TEXT_MAX:
        raise ValueError(f"the expression is longer than {TEXT_MAX} characters")
    words = text.replace("\t", " ").split(" ")
    words = [word for word in words if word]
    if len(words) != len(FIELDS):
        hint = "; seconds and years are not known: leave that field out" if len(words) == len(FIELDS) + 1 else ""
        raise ValueError(f"expected five fields (minute, hour, day of the month, month, day of the week), found "
                         f"{len(words)}{hint}")
    sets = [_Reader(field, word).items() for field, word in zip(FIELDS, words)]
    if words[2].startswith("*") or words[4].startswith("*"):  # otherwise either of the two is enough
        _check_possible(sets[2], sets[3])
