#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Cron expressions of @task are checked where they are written, in Python, and again by the coordinator, in C. Both must say
the same of any text, word for word, or a module would be loaded whose schedule is refused later."""

import glob
import importlib.util
import os
import random
import subprocess

import harness
from harness import BUILD, SOURCE, check, equal

GOOD = """
* * * * *
0 0 * * *
*/15 8-17 * * 1-5
0 9 * * MON-FRI
0 9 * * mon,Wed,FRI
5 4 * * 7
5 4 * * FRI-SUN
5 4 * * 5-7
5 4 * * SUN-SUN
0 0 1 JAN-DEC/4 *
0 0 29 2 *
0 0 31 1,3 *
0 0 30 2 1
0 0 1-31/30 * *
0,0,0 00 01 001 *
*/59 */23 */31 */12 */7
1-1/59 * * * *
*,5 * * * *
@hourly
@DAILY
@midnight
@Weekly
@monthly
@yearly
@annually
"""

BAD = """
*
* * * *
* * * * * *
* * * * * * *
60 * * * *
* 24 * * *
* * 0 * *
* * 32 * *
* * * 13 *
* * * 0 *
* * * * 8
-1 * * * *
1- * * * *
-
1-- * * * *
1-2- * * * *
1-2-3 * * * *
5-4 * * * *
* 22-2 * * *
* * * * FRI-MON
* * * * SAT-0
* * * DEC-JAN *
, * * * *
1,, * * * *
1, * * * *
,1 * * * *
5/15 * * * *
5/15,7 * * * *
5/1234567890 * * * *
MON/2 * * * *
* * * * MON/2
*/0 * * * *
*/60 * * * *
* */24 * * *
*/ * * * *
*/-1 * * * *
*/2/2 * * * *
*/a * * * *
1-5/ * * * *
** * * * *
*5 * * * *
5* * * * *
1.5 * * * *
1;2 * * * *
? * * * *
* * L * *
* * ? * *
* * 15W * *
* * * * 5#3
* * * * 5L
MON * * * *
* * * * MONDAY
* * * * MO
* * * FEBR *
* * * MON *
* * * * JAN
H * * * *
0x5 * * * *
+5 * * * *
99999999999999999999 * * * *
1001 * * * *
10011 * * * *
é * * * *
"5" * * * *
１ * * * *
0 0 30 2 *
0 0 31 2,4,6,9,11 *
0 0 30-31 FEB *
0 0 30 2 */2
0 0 30,31 2 *
@
@every 5m
@every
@reboot
@rebooted
@Reboot
@dailyy
@daily x
@daily@
@hourly * * * *
every five minutes please sir
0123456789012345678901234567890123456789 * * * *
* * * * 0123456789012345678901234567890123456
* * * * 012345678901234567890123456789012345
"""


def python_module():
    spec = importlib.util.spec_from_file_location("fastworker_cron", f"{SOURCE}/python/fastworker/_cron.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def verdicts_of_c(texts):
    """Of each text the error, or None."""
    # From 0 to 0: no times are asked for. What precedes the text may be blanks only as far as it is not part of it.
    r = subprocess.run([f"{BUILD}/tests/cron-next"], input=b"".join(b"UTC 0 0 " + t.encode() + b"\n" for t in texts),
                       stdout=subprocess.PIPE, check=False, timeout=harness.PATIENCE)
    lines = r.stdout.decode("ascii").split("\n")[:-1]
    equal(len(lines), len(texts))
    return [line.removeprefix("error: ") if line.startswith("error: ") else None for line in lines]


def compare(texts):
    """How many of them are good."""
    module, n_good = python_module(), 0
    for text, wanted in zip(texts, verdicts_of_c(texts)):
        try:
            module.check(text)
            got = None
        except ValueError as e:
            got = str(e)
        equal(got, wanted, repr(text))
        n_good += got is None
    return n_good


def test_table(_):
    good, bad = GOOD.strip("\n").split("\n"), BAD.strip("\n").split("\n")
    equal(compare(good), len(good))
    equal(compare(bad), 0)
    long = ["*" + " " * n + "* * * *" for n in (247, 248, 249, 250)] + ["0," * 124 + "0 * * * *", "0," * 125 + "0 * * * *",
                                                                        "\t0 \t0 0\t* *\t ", "  @daily \t", "é" * 200]
    check(0 < compare(long) < len(long), "on both sides of the limit")


def test_corpus(_):
    """What the fuzzer of the parser in C begins with: five bytes for other things, and the text."""
    texts = []
    for path in glob.glob(f"{SOURCE}/tests/corpus/cron/*"):
        with open(path, "rb") as f:
            texts.append(f.read()[5:].decode("utf-8", "replace").replace("\n", " ").replace("\0", " "))
    check(len(texts) >= 10, os.path.dirname(path))
    compare([t for t in texts if t.strip()])


def test_random(_):
    """Texts that are next to good ones. The seed is fixed, so that a failure is the same each time."""
    chance = random.Random(20261124)
    words = [w for line in (GOOD + BAD).split("\n") for w in line.split()]
    pieces = ["*", ",", "-", "/", "0", "1", "7", "23", "31", "59", "60", "SUN", "mon", "FEB", "L", "?", "@", " ", "\""]
    texts = []
    for _n in range(20000):
        fields = chance.choices(["*", "1", "*/2", "1-5"] if chance.random() < 0.5 else words, k=5)
        for _m in range(chance.randrange(4)):
            i, piece = chance.randrange(len(fields)), chance.choice(pieces)
            at = chance.randrange(len(fields[i]) + 1)
            fields[i] = fields[i][:at] + piece + fields[i][at + chance.randrange(2):]
        texts.append(" ".join(fields))
    n_good = compare([t for t in texts if t.strip()])
    check(1000 < n_good < 19000, f"{n_good} good ones")


harness.main(globals())
