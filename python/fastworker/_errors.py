# SPDX-License-Identifier: MIT
"""Exceptions between a task and its runner."""


class Retry(Exception):
    """To be raised by a task: this attempt has failed, try again. `after` is in seconds; None: as the retry settings of
    the task say. Counts as one of max_retries, without which it is an ordinary failure."""

    def __init__(self, message="the task asked to be tried again", after=None):
        super().__init__(message)
        if after is not None and not 0 <= after <= 366 * 86400:
            raise ValueError(f"after={after!r}: a number of seconds from 0 to a year is needed")
        self.after = after


class DoNotRetry(Exception):
    """To be raised by a task: it has failed, and to try again would not help."""


class SoftTimeout(Exception):
    """Raised in a task that has run for its soft_timeout: a chance to put things in order. What is not finished at its
    timeout is killed."""
