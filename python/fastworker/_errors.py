# SPDX-License-Identifier: MIT
"""Exceptions between a task and its runner."""

import numbers


class Retry(Exception):
    """To be raised by a task: this attempt has failed, try again. It counts as one of max_retries.

    With `after`, in that many seconds, whatever the retry settings say of the delay; where nobody has set max_retries,
    up to 100 times. Without, it is tried again when and as often as the retry settings say of any failure: not at all
    where there are none."""

    AFTER_MAX = 366 * 86400
    after = None

    def __init__(self, message="the task asked to be tried again", after=None):
        super().__init__(message)
        if after is not None and (isinstance(after, bool) or not isinstance(after, numbers.Real)
                                  or not 0 <= after <= self.AFTER_MAX):
            raise ValueError(f"after={after!r}: a number of seconds from 0 to {self.AFTER_MAX} is needed")
        self.after = after


class DoNotRetry(Exception):
    """To be raised by a task: it has failed, and to try again would not help."""


class SoftTimeout(Exception):
    """Raised in a task that has run for its soft_timeout: a chance to put things in order. What is not finished at its
    timeout is killed."""
