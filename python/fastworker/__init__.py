# SPDX-License-Identifier: MIT
"""Background tasks in Python for FastWorker.

A module of tasks is an ordinary Python file:

    from fastworker import task

    @task
    def add(a, b):
        return a + b

    @task(max_retries=3, retry_delay=10)
    async def fetch(url): ...

Named in TaskModules= (or --task-modules), the file is loaded by a fastworker-subworkerd, which runs its functions in
processes of their own. A function stays an ordinary function, to be called from anywhere else.

What a running task may use: current_task(), progress(), log lines of the module `logging`, and the exceptions Retry,
DoNotRetry and SoftTimeout. This package needs nothing but the standard library."""

from ._context import Task, current_task, progress
from ._errors import DoNotRetry, Retry, SoftTimeout
from ._task import TaskDefinition, task

__all__ = ["DoNotRetry", "Retry", "SoftTimeout", "Task", "TaskDefinition", "current_task", "progress", "task"]
