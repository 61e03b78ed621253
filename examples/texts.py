# SPDX-License-Identifier: MIT
"""Tasks in Python: fastworker subworker --module-path examples --task-modules texts ..."""

import asyncio
import collections
import urllib.error
import urllib.request

from fastworker import DoNotRetry, Retry, SoftTimeout, progress, task


@task
def top_words(text, top=3):
    """The most frequent words of a text: top_words(text, top=3)."""
    return collections.Counter(text.lower().split()).most_common(top)


@task(soft_timeout=60, timeout=70)
def primes(below):
    """How many primes there are below a number, or up to where it came in a minute: primes(below)."""
    found, n = [], 2
    try:
        for n in range(2, below):
            if all(n % p for p in found if p * p <= n):
                found.append(n)
            if n % 1000 == 0:
                progress(100 * n / below, f"{len(found)} primes below {n}")
    except SoftTimeout:
        return {"below": n, "primes": len(found)}
    return {"below": below, "primes": len(found)}


def get(url):
    with urllib.request.urlopen(url, timeout=20) as answer:
        return {"status": answer.status, "bytes": len(answer.read())}


@task(max_retries=3, retry_delay=5)
async def fetch(url):
    """The status and the size of a web page: fetch(url)."""
    try:
        return await asyncio.get_running_loop().run_in_executor(None, get, url)
    except urllib.error.HTTPError as e:
        if e.code == 503:
            raise Retry(f"{url}: not now", after=60) from None
        raise DoNotRetry(f"{url}: {e}") from None
