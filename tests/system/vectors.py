# SPDX-License-Identifier: MIT
"""Reads messages in the format of tests/vectors (see tests/wire-vector.h).

As a program, `vectors.py --corpus DIR FILE...` writes each short message as an input of the fuzz target for the
decoder (tests/fuzz_wire.c)."""

import hashlib
import os
import re
import sys

DIRECTIONS = ["client -> controld", "controld -> client", "worker -> controld",
              "controld -> worker", "anyone -> discovery", "anyone -> worker"]
ESCAPES = {"\\": b"\\", '"': b'"', "n": b"\n", "t": b"\t", "r": b"\r"}


class Vector:
    def __init__(self):
        self.title = self.direction = self.verdict = None
        self.frames = []


def parse_text(text):
    """The bytes between the quotes, with their escapes resolved."""
    out = b""
    pattern = re.compile(r'\\x([0-9a-f]{2})|\\(.)|([^\\]+)', re.S)
    for code, escape, plain in pattern.findall(text):
        if code:
            out += bytes([int(code, 16)])
        elif escape:
            out += ESCAPES[escape]
        else:
            out += plain.encode()
    return out


def parse_line(vector, line):
    word, _, rest = line.partition(" ")
    if line.startswith('"'):
        vector.frames.append(parse_text(line[1:-1]))
    elif line == "empty":
        vector.frames.append(b"")
    elif word == "hex":
        vector.frames.append(bytes.fromhex(rest))
    elif word == "fill":
        count, value = rest.split()
        vector.frames.append(bytes([int(value, 16)]) * int(count))
    elif word == "repeat":
        count, _, last = rest.split()
        group = vector.frames[-int(last):]
        vector.frames += group * (int(count) - 1)
    elif word == "message":
        vector.title = rest
    elif line in DIRECTIONS:
        vector.direction = line
    elif word in ("ok", "accepted", "refused"):
        vector.verdict = tuple(line.split())
    else:
        raise ValueError(f"cannot read: {line}")


def read(path):
    vector = Vector()
    with open(path, encoding="utf-8") as file:
        for line in file:
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            parse_line(vector, line)
            if vector.verdict:
                yield vector
                vector = Vector()


def fuzz_input(vector):
    out = bytes([DIRECTIONS.index(vector.direction)])
    for frame in vector.frames:
        out += len(frame).to_bytes(2, "big") + frame
    return out


def main(directory, paths):
    for path in paths:
        for vector in read(path):
            if sum(len(f) + 2 for f in vector.frames) > 1000:
                continue
            data = fuzz_input(vector)
            name = vector.verdict[1].lower() + "-" + hashlib.sha256(data).hexdigest()[:8]
            with open(os.path.join(directory, name), "wb") as file:
                file.write(data)


if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[1] != "--corpus":
        sys.exit("usage: vectors.py --corpus DIRECTORY FILE...")
    main(sys.argv[2], sys.argv[3:])
