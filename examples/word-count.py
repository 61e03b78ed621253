#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The command of word-count.task: arguments on standard input, the result on standard output, messages for the
journal on standard error, "<4>" being a warning."""

import collections
import json
import os
import sys

EX_TEMPFAIL = 75  # "try again later", whatever RetryOn= says


def main():
    call = json.load(sys.stdin)
    text, top = call["args"][0], call["kwargs"].get("top", 3)
    if os.getloadavg()[0] > 1000:
        print("<4>This machine has other worries.", file=sys.stderr)
        return EX_TEMPFAIL
    words = collections.Counter(text.lower().split())
    json.dump({"task": os.environ["FASTWORKER_TASK_ID"], "words": words.most_common(top)}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
