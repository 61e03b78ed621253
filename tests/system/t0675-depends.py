#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Tasks that wait for other tasks: for their success, or for the end of a group."""

import json

import harness
from fwclient import new_id, refused
from harness import check, equal, until

CHAIN = 100000


def cli(sandbox, *argv, **kwargs):
    return sandbox.cli(*argv, environment={"FASTWORKER_BASE_ADDRESS": sandbox.client_address}, **kwargs)


def submit(client, name, *args, key="", **options):
    return client.submit(name, *args, key=key, options=json.dumps(options))


def because(task_id, state):
    return f"task {task_id}, on which this one depends, ended with {state}"


def held(client, stage, **options):
    """A task that runs until the stage is released."""
    task_id = submit(client, "hold", stage.directory, **options)
    stage.wait_started()
    return task_id


def test_success(sandbox):
    sandbox.pair(worker_flags=("--concurrency=2",))
    client, stage = sandbox.client(), sandbox.stage()
    first = held(client, stage)
    second = client.submit("noop")
    client.result(second)
    one = submit(client, "echo", 1, depends_on=[first, second])
    two = submit(client, "echo", 2, depends_on=[first, one, first])
    status = client.status(one)
    equal((status["status"], status["waits_for"]), ("scheduled", f"task {first}"), "a success counts as done")
    equal(client.status(two)["waits_for"], "2 tasks", "named twice is named once")
    listed = client.info("LIST", json.dumps({"status": "scheduled"}))["tasks"]
    equal(sorted((t["task_id"], t["waits_for"]) for t in listed), sorted([(one, f"task {first}"), (two, "2 tasks")]))
    equal(client.call("echo", 3).value["args"], [3], "others do not wait")
    stage.release()
    results = client.wait_results([first, one, two])
    equal([r.status for r in results], ["success"] * 3)
    check(results[0].completed <= results[1].completed <= results[2].completed, f"{results}")


def test_failure(sandbox):
    sandbox.pair()
    client = sandbox.client()
    root = submit(client, "fail-with", "no luck", countdown=0.2)
    child = submit(client, "noop", depends_on=[root])
    grandchild = submit(client, "noop", depends_on=[child])
    after = submit(client, "noop", group="family", depends_on=[grandchild])
    last = submit(client, "echo", "last", after_group="family")
    results = client.wait_results([root, child, grandchild, after])
    equal([(r.status, r.error) for r in results],
          [("failure", "no luck"), ("cancelled", because(root, "failure")), ("cancelled", because(child, "cancelled")),
           ("cancelled", because(grandchild, "cancelled"))])
    equal(client.result(last).value["args"], ["last"], "however they ended")
    late = submit(client, "noop", depends_on=[root])
    equal(client.result(late).error, because(root, "failure"), "also when it had failed before")
    client.request("RETRY", root)
    equal(client.status(child)["status"], "cancelled", "no way back for those that were cancelled")


def test_other_ends(sandbox):
    """Cancelled, expired, dead."""
    sandbox.pair()
    client = sandbox.client()
    root = submit(client, "noop", countdown=3600)
    child = submit(client, "noop", depends_on=[root])
    equal(client.request("CANCEL", root)[1][1:], [b"cancelled", b"cancelled"])
    equal(client.result(child).error, because(root, "cancelled"))
    root = submit(client, "noop", countdown=3600)
    child, other = submit(client, "noop", depends_on=[root]), submit(client, "noop", depends_on=[root])
    equal(client.request("CANCEL", child)[1][1:], [b"cancelled", b"cancelled"], "one that waits")
    equal(client.result(child).error, "cancelled before it began")
    equal(client.status(other)["waits_for"], f"task {root}", "and nobody else")
    late = submit(client, "noop", depends_on=[root], expires=0.1)
    follower = submit(client, "noop", depends_on=[late])
    equal(client.result(late).status, "expired")
    equal(client.result(follower).error, because(late, "expired"))
    dead = client.submit("die", "abort")
    child = submit(client, "noop", depends_on=[dead])
    equal(client.result(child).error, because(dead, "dead"))


def test_retries_are_waited_for(sandbox):
    sandbox.pair()
    client = sandbox.client()
    root = submit(client, "fail-with", "no luck", max_retries=1, retry_delay=0.2)
    child = submit(client, "noop", depends_on=[root])
    until(lambda: client.status(root).get("retries") == 1, "a retry")
    results = client.wait_results([root, child])
    equal([r.status for r in results], ["failure", "cancelled"])
    check(results[0].completed <= results[1].completed, f"{results}")


def test_one_submit(sandbox):
    """Ids that the client gives may be named by later tasks of the same submit, and by nobody before."""
    sandbox.pair()
    client = sandbox.client()
    a, b, c = new_id(), new_id(), new_id()

    def task(key, *depends):
        return {"name": "echo", "key": key, "options": json.dumps({"depends_on": depends}) if depends else ""}
    equal(client.submit_many([task(a), task(b, a), task(c, a, b)]), [a, b, c])
    equal([r.status for r in client.wait_results([a, b, c])], ["success"] * 3)
    equal(client.submit_many([task(a), task(b, a), task(c, a, b)]), [a, b, c], "the same again")
    a, b = new_id(), new_id()
    refusal = refused(client.submit_many, [task(a, b), task(b)])
    equal(refusal.code, "unknown-task")
    check(f"task 1 of this submit: it depends on task {b}, which is expired or unknown" in refusal.text, refusal.text)
    equal(refused(client.submit_many, [task(b), task(a, a)]).code, "unknown-task")
    equal(refused(client.request, "STATUS", b).code, "unknown-task", "nothing of it was taken")


def test_refused(sandbox):
    sandbox.pair()
    client = sandbox.client()
    for options, text in (({"depends_on": "x"}, "must be a list of task ids"), ({"depends_on": ["x"]}, "entry 1 of"),
                          ({"depends_on": [new_id()] * 1001}, "at most 1000"), ({"group": ""}, "1 to 128 bytes"),
                          ({"group": "x" * 129}, "1 to 128 bytes"), ({"after_group": "a\nb"}, "control"),
                          ({"group": 1}, "must be text")):
        refusal = refused(submit, client, "noop", **options)
        equal(refusal.code, "bad-argument")
        check(text in refusal.text, refusal.text)
    many = [client.submit("noop") for _ in range(10)] * 100
    equal(client.result(submit(client, "noop", depends_on=many)).status, "success")
    lost = submit(client, "noop", countdown=3600, durability="none")
    refusal = refused(submit, client, "noop", depends_on=[lost])
    equal(refusal.code, "bad-argument")
    check("in memory only" in refusal.text, refusal.text)
    equal(client.status(submit(client, "noop", depends_on=[lost], durability="none"))["status"], "scheduled")


def test_groups(sandbox):
    sandbox.pair(worker_flags=("--concurrency=3",))
    client, stage = sandbox.client(), sandbox.stage()
    equal(client.result(submit(client, "echo", 1, after_group="nobody")).value["args"], [1], "an empty one")
    ids = [submit(client, "hold", stage.directory, group="g"), submit(client, "fail-with", "x", group="g")]
    then = submit(client, "echo", "then", after_group="g", group="g")
    later = submit(client, "noop", group="g", countdown=3600)
    second = submit(client, "noop", after_group="g")
    client.result(ids[1])
    until(lambda: client.status(then)["waits_for"] == '1 task of group "g"', "one of two")
    equal(client.status(second)["waits_for"], '3 tasks of group "g"')
    stage.wait_started()
    stage.release()
    equal(client.result(then).status, "success", "those that came later do not count")
    until(lambda: client.status(second)["waits_for"] == '1 task of group "g"', "the last one")
    client.request("CANCEL", later)
    equal(client.result(second).status, "success")


def test_group_and_delay(sandbox):
    sandbox.pair()
    client = sandbox.client()
    member = submit(client, "noop", group="g", countdown=0.1)
    both = submit(client, "noop", after_group="g", depends_on=[member], countdown=0.4)
    equal(client.status(both)["waits_for"], "2 tasks")
    client.result(member)
    until(lambda: "waits_for" not in client.status(both), "only the time is left")
    equal(client.result(both).status, "success")


def test_forgotten(sandbox):
    """That the results of members leave does no harm."""
    sandbox.pair("--result-cache-size=0")
    client, stage = sandbox.client(), sandbox.stage()
    first = held(client, stage, group="g")
    fail = submit(client, "fail-with", "x", group="g")
    child = submit(client, "noop", depends_on=[first, fail])
    then = submit(client, "noop", after_group="g")
    grandchild = submit(client, "noop", depends_on=[child])
    stage.release()
    equal([r.status for r in client.wait_results([first, fail, child, grandchild, then])],
          ["success", "failure", "cancelled", "cancelled", "success"])


def restart(sandbox, controld, name, *flags):
    controld.kill()
    second = sandbox.controld(*flags, name=name)
    second.wait_line("sw1 registered")
    return second, sandbox.client()


def test_kill(sandbox):
    controld, _ = sandbox.pair()
    client, stage, path = sandbox.client(), sandbox.stage(), sandbox.path("file")
    gone = submit(client, "noop", group="g")
    client.result(gone)
    first = held(client, stage, group="g")
    child = submit(client, "record", path, "child", depends_on=[gone, first])
    grandchild = submit(client, "record", path, "grandchild", depends_on=[child])
    then = submit(client, "record", path, "then", after_group="g")
    root = submit(client, "noop", countdown=3600)
    doomed = submit(client, "noop", depends_on=[root], countdown=0.01)
    client.request("PURGE", gone)
    controld, client = restart(sandbox, controld, "second")
    equal([client.status(i).get("waits_for") for i in (child, grandchild, then, doomed)],
          [f"task {first}", f"task {child}", '1 task of group "g"', f"task {root}"])
    client.request("CANCEL", root)
    controld, client = restart(sandbox, controld, "third")
    client.watch(first, child, grandchild, then, doomed)
    equal(client.result(doomed).error, because(root, "cancelled"))
    stage.release()
    equal([r.status for r in client.wait_results([first, child, grandchild, then])], ["success"] * 4)
    controld, client = restart(sandbox, controld, "fourth")
    equal([client.status(i)["status"] for i in (first, child, grandchild, then)], ["success"] * 4)
    with open(path, encoding="ascii") as f:
        equal(sorted(f.read().split()), ["child", "grandchild", "then"], "each once")


def test_chain(sandbox):
    """A long chain falls as a whole, in turns that are short."""
    controld = sandbox.controld(f"--result-cache-size={2 * CHAIN}")
    sandbox.subworker("sw1")
    client = sandbox.client()
    last = root = submit(client, "noop", countdown=3600)
    for _ in range(CHAIN // 1000):
        tasks = []
        for _ in range(1000):
            key = new_id()
            tasks.append({"name": "noop", "key": key, "options": json.dumps({"depends_on": [last]})})
            last = key
        client.submit_many(tasks, mode="")
    equal(client.info("STATS")["tasks"]["scheduled"], CHAIN + 1)
    controld, client = restart_alone(sandbox, controld)
    equal(client.info("STATS")["tasks"]["scheduled"], CHAIN + 1)
    client.request("CANCEL", root)
    client.request("PING")
    until(lambda: client.info("STATS")["tasks"]["scheduled"] == 0, "the end of all", 60)
    equal(client.status(last)["status"], "cancelled")
    check(controld.status is None, "it lives")


def restart_alone(sandbox, controld):
    controld.kill()
    second = sandbox.controld(f"--result-cache-size={2 * CHAIN}", name="second")
    second.wait_line("sw1 registered")
    return second, sandbox.client()


def test_chain_of_successes(sandbox):
    sandbox.pair()
    client = sandbox.client()
    keys = [new_id() for _ in range(500)]
    client.submit_many([{"name": "noop", "key": key, "options": json.dumps({"depends_on": keys[i - 1:i]})}
                        for i, key in enumerate(keys)])
    results = client.wait_results(keys)
    check(all(r.status == "success" for r in results), "all")
    check(all(a.completed <= b.completed for a, b in zip(results, results[1:])), "in order")


def test_fan(sandbox):
    sandbox.pair("--result-cache-size=50000")
    client = sandbox.client()
    for state, name in (("success", "noop"), ("cancelled", "fail-with")):
        root = submit(client, name, countdown=1)
        options = json.dumps({"depends_on": [root]})
        ids = [i for _ in range(10) for i in client.submit_many([{"name": "noop", "options": options}] * 1000)]
        equal({r.status for r in client.wait_results(ids)}, {state})


def test_command_line(sandbox):
    sandbox.pair()
    client, path = sandbox.client(), sandbox.path("file")
    first = cli(sandbox, "submit", "--task-name", "noop", "--countdown", "0.3", "--non-blocking").stdout.strip()
    second = cli(sandbox, "submit", "--task-name", "noop", "--depends-on", first, "--group", "g", "--non-blocking").stdout.strip()
    check(f"task {first}" in cli(sandbox, "status", "--task-id", second).stdout, "what it waits for")
    done = cli(sandbox, "submit", "--task-name", "echo", "--args", "1", "--after-group", "g", "--depends-on", f"{first},{second}")
    equal((done.returncode, json.loads(done.stdout)["args"]), (0, [1]), done.stderr)
    for bad in ("x", f"{first},", ""):
        equal(cli(sandbox, "submit", "--task-name", "noop", "--depends-on", bad).returncode, 2, bad)
    lines = [{"task_name": "fail-with", "args": ["x"]}, {"task_name": "noop", "group": "mine"}]
    lines += [{"task_name": "record", "args": [path, "line"], "countdown": 0.2}] * 5
    for stdin, status, n in (("".join(json.dumps(line) + "\n" for line in lines), 7, 8), ("", 0, 1)):
        done = cli(sandbox, "batch", "--then", "record", "--then-args", path, "then", stdin=stdin)
        equal(done.returncode, status, done.stderr)
        printed = [json.loads(line) for line in done.stdout.splitlines()]
        equal(len(printed), n, done.stdout)
        then = next(line["then_task_id"] for line in printed if "then_task_id" in line)
        client.watch(then)
        equal(client.result(then).status, "success")
    with open(path, encoding="ascii") as f:
        equal(f.read().split(), ["line"] * 5 + ["then"] * 2)
    equal(cli(sandbox, "batch", "--then-args", "x", stdin="").returncode, 2)


def test_export(sandbox):
    """What is imported waits as before."""
    controld, _ = sandbox.pair()
    client = sandbox.client()
    root = submit(client, "noop", countdown=3600, group="g")
    child = submit(client, "noop", depends_on=[root])
    then = submit(client, "noop", after_group="g")
    exported = cli(sandbox, "export").stdout
    equal(len(exported.splitlines()), 3)
    controld.stop()
    sandbox.state_directory = sandbox.path("other")
    sandbox.controld(name="other").wait_line("sw1 registered")
    client = sandbox.client()
    equal(cli(sandbox, "import", stdin=exported).returncode, 0)
    equal([client.status(i).get("waits_for") for i in (root, child, then)],
          [None, f"task {root}", '1 task of group "g"'])


if __name__ == "__main__":
    harness.main(globals())
