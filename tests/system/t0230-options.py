#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Where settings come from, and what a reload does with them."""

import os
import re
import signal
import subprocess

import harness
from harness import BUILD, check, equal, until


def print_config(sandbox, program, *flags, environment=None):
    """key -> (value, origin)"""
    env = dict(sandbox.environment, **(environment or {}))
    result = subprocess.run([f"{BUILD}/{program}", *flags, "--print-config"], env=env, capture_output=True, text=True,
                            timeout=harness.PATIENCE, check=False)
    equal(result.returncode, 0, result.stderr)
    found, section, comment = {}, None, ""
    for line in result.stdout.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line.startswith("#"):
            comment = line[1:].strip()
        elif "=" in line:
            key, _, value = line.partition("=")
            value, _, behind = value.partition(" #")
            found[f"{section}.{key.strip()}"] = (value.strip(), behind.strip() or comment)
    return found, result.stdout


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def test_precedence(sandbox):
    conf = sandbox.path("etc/controld.conf")
    environment = {"FASTWORKER_CONFIG": conf}

    def size(*flags, **more):
        found, text = print_config(sandbox, "fastworker-controld", *flags, environment=dict(environment, **more))
        value, origin = found["Control.ResultCacheSize"]
        return value, origin, text
    write(conf, "[Control]\nLogLevel=notice\n")
    value, origin, text = size()
    equal(value, "10000", text)
    check("default" in origin, f"{origin!r} in:\n{text}")

    write(conf, "[Control]\nResultCacheSize=1\n")
    value, origin, text = size()
    equal(value, "1", text)
    check(f"{conf}:2" in origin, f"{origin!r} in:\n{text}")

    write(conf + ".d/10-a.conf", "[Control]\nResultCacheSize=2\n")
    write(conf + ".d/20-b.conf", "# nothing but a comment\n\n[Control]\nResultCacheSize = 3\n")
    write(conf + ".d/30-c.other", "[Control]\nResultCacheSize=4\n")
    value, origin, text = size()
    equal(value, "3", text)
    check("20-b.conf:4" in origin, f"{origin!r}")

    value, origin, text = size(FASTWORKER_RESULT_CACHE_SIZE="5")
    equal(value, "5", text)
    check("FASTWORKER_RESULT_CACHE_SIZE" in origin, f"{origin!r}")

    for flags in (["--result-cache-size=6"], ["--result-cache-size", "6"]):
        value, origin, text = size(*flags, FASTWORKER_RESULT_CACHE_SIZE="5")
        equal(value, "6", text)
        check("--result-cache-size" in origin, f"{origin!r}")


def test_every_flag_and_variable(sandbox):
    """Those of the manual: (key, flag, variable, default, another value)."""
    controld = [
        ("Control.WorkerId", "worker-id", "WORKER_ID", "control-plane", "cp2"),
        ("Control.BaseAddress", "base-address", "BASE_ADDRESS", "tcp://127.0.0.1:5555", "tcp://127.0.0.1:7555"),
        ("Control.DiscoveryAddress", "discovery-address", "DISCOVERY_ADDRESS", "tcp://127.0.0.1:5550",
         "tcp://127.0.0.1:7550"),
        ("Control.SubworkerPort", "subworker-port", "SUBWORKER_PORT", "5560", "7560"),
        ("Control.ResultCacheSize", "result-cache-size", "RESULT_CACHE_SIZE", "10000", "20000"),
        ("Control.ResultCacheTTL", "result-cache-ttl", "RESULT_CACHE_TTL", None, "7200"),
        ("Control.TaskModules", "task-modules", "TASK_MODULES", "", "mytasks"),
        ("Gui.Host", "gui-host", "GUI_HOST", "127.0.0.1", "127.0.0.2"),
        ("Gui.Port", "gui-port", "GUI_PORT", "8080", "9090"),
    ]
    subworker = [
        ("Subworker.WorkerId", "worker-id", "WORKER_ID", None, "sw9"),
        ("Subworker.ControlPlaneAddress", "control-plane-address", "CONTROL_PLANE_ADDRESS", None,
         "tcp://127.0.0.1:7555"),
        ("Subworker.BaseAddress", "base-address", "BASE_ADDRESS", None, "tcp://127.0.0.1:7561"),
        ("Subworker.DiscoveryAddress", "discovery-address", "DISCOVERY_ADDRESS", None, "tcp://127.0.0.1:7550"),
        ("Subworker.TaskModules", "task-modules", "TASK_MODULES", "*.task", "mytasks"),
        ("Subworker.Concurrency", "concurrency", "WORKER_CONCURRENCY", "1", "4"),
    ]
    for program, table, base in (("fastworker-controld", controld, {}), ("fastworker-subworkerd", subworker, {
            "FASTWORKER_WORKER_ID": "w", "FASTWORKER_CONTROL_PLANE_ADDRESS": "tcp://127.0.0.1:1"})):
        defaults, text = print_config(sandbox, program, environment=base)
        for key, flag, variable, default, other in table:
            variable = f"FASTWORKER_{variable}"
            check(key in defaults, f"{program}: no {key} in:\n{text}")
            if default is not None:
                equal(defaults[key][0], default, f"default of {key}")
            found, _ = print_config(sandbox, program, f"--{flag}={other}", environment=base)
            self_same = {"7200": ("7200", "2h", "7200s")}.get(other, (other,))
            check(found[key][0] in self_same, f"--{flag}: {found[key]}")
            check(f"--{flag}" in found[key][1], f"--{flag}: {found[key]}")
            found, _ = print_config(sandbox, program, environment=dict(base, **{variable: other}))
            check(found[key][0] in self_same, f"{variable}: {found[key]}")
            check(variable in found[key][1], f"{variable}: {found[key]}")
    found, _ = print_config(sandbox, "fastworker-controld", "--no-gui")
    equal(found["Gui.Enabled"][0], "no")


def test_lists(sandbox):
    """Both forms of the manual: A,B and given twice."""
    for flags in (["--task-modules=a,b"], ["--task-modules=a b"], ["--task-modules=a", "--task-modules=b"]):
        found, _ = print_config(sandbox, "fastworker-controld", *flags)
        equal(re.split("[, ]+", found["Control.TaskModules"][0]), ["a", "b"], str(flags))


def refuses(sandbox, *flags, environment=None, program="fastworker-controld"):
    env = dict(sandbox.environment, **(environment or {}))
    result = subprocess.run([f"{BUILD}/{program}", *flags], env=env, capture_output=True, text=True,
                            timeout=harness.PATIENCE, check=False)
    check(result.returncode > 0, f"{flags} {environment}: status {result.returncode}")
    check(result.stderr.count("\n") in (1, 2), f"one line that says why, not:\n{result.stderr}")
    return result.stderr


def test_refusals(sandbox):
    check("no-such-flag" in refuses(sandbox, "--no-such-flag"), "names the flag")
    check("result-cache-size" in refuses(sandbox, "--result-cache-size=12x"), "names the flag")
    check("FASTWORKER_RESULT_CACHE_SIZE" in refuses(sandbox, environment={"FASTWORKER_RESULT_CACHE_SIZE": "-1"}),
          "names the variable")
    refuses(sandbox, "--base-address=http://127.0.0.1:5555")
    refuses(sandbox, "--subworker-port=65536")
    refuses(sandbox, "--subworker-port=5555")
    refuses(sandbox, "surplus-argument")
    check("worker-id" in refuses(sandbox, program="fastworker-subworkerd"), "the id is needed")
    error = refuses(sandbox, "--worker-id=a", program="fastworker-subworkerd")
    check("control-plane-address" in error, error)
    # An address in a file widens access: a bad one is fatal, and the line is named.
    conf = sandbox.path("etc/controld.conf")
    write(conf, "[Control]\nBaseAddress=nonsense\n")
    error = refuses(sandbox, environment={"FASTWORKER_CONFIG": conf})
    check(f"{conf}:2" in error, error)


def test_file_mistakes(sandbox):
    """Unknown keys and bad values in files are named with their lines, and do no harm."""
    conf = sandbox.path("etc/controld.conf")
    write(conf, "[Control]\nNoSuchKey=1\nResultCacheSize=many\n[NoSuchSection]\nA=b\n")
    controld = sandbox.controld(environment={"FASTWORKER_CONFIG": conf})
    for line in (2, 3, 5):
        controld.wait_line(re.escape(f"{conf}:{line}"))
    equal(sandbox.client().info("STATS")["cache"]["max_size"], 10000)


def test_address_in_use(sandbox):
    sandbox.controld()
    second = sandbox.controld(f"--state-directory={sandbox.path('other')}", ready=False, name="second")
    second.expect_status = 1
    equal(second.wait_end(), 1)
    second.wait_line(f"127.0.0.1:{sandbox.client_port}.*[Aa]ddress already in use")


def test_reload(sandbox):
    conf = sandbox.path("etc/controld.conf")
    write(conf, "[Control]\nResultCacheSize=10\n")
    controld = sandbox.controld("--startup-grace=1", environment={"FASTWORKER_CONFIG": conf})
    client = sandbox.client()

    def max_size():
        return client.info("STATS")["cache"]["max_size"]

    def reload(text):
        write(conf, text)
        start = len(controld.messages)
        controld.signal(signal.SIGHUP)
        controld.wait_message("RELOADING", "^1$", start)
        controld.wait_message("READY", "^1$", start)
    equal(max_size(), 10)
    reload("[Control]\nResultCacheSize=20\n")
    until(lambda: max_size() == 20, "the new size")
    controld.wait_line("[Rr]eloaded")

    # A bad file keeps what was, and says why.
    lines = len(controld.lines)
    reload("[Control]\nResultCacheSize=30\nBaseAddress=nonsense\n")
    controld.wait_line("[Rr]eload failed.*BaseAddress|BaseAddress.*old", lines)
    controld.wait_message("STATUS", "[Rr]eload failed")
    equal(max_size(), 20)

    # What only a restart can change is said, the rest is taken.
    lines = len(controld.lines)
    reload("[Control]\nResultCacheSize=40\nWorkerId=other\n")
    controld.wait_line("WorkerId=.*restart", lines)
    until(lambda: max_size() == 40, "the new size")
    equal(client.info("STATS")["worker_id"], "control-plane")


def test_cache_shrinks_with_reload(sandbox):
    conf = sandbox.path("etc/controld.conf")
    write(conf, "[Control]\nResultCacheSize=100\n")
    controld = sandbox.controld(environment={"FASTWORKER_CONFIG": conf})
    sandbox.subworker("sw1")
    controld.wait_line("sw1 registered")
    client = sandbox.client()
    client.wait_results(client.submit_many([{"name": "noop"}] * 50))
    write(conf, "[Control]\nResultCacheSize=5\n")
    controld.signal(signal.SIGHUP)
    until(lambda: client.info("STATS")["cache"]["current_size"] == 5, "five results left")


def test_nothing_written_elsewhere(sandbox):
    """Started by hand, nothing appears outside the state and runtime directories."""
    state, runtime = sandbox.path("mystate"), sandbox.path("myrun")
    controld = sandbox.controld(f"--state-directory={state}", f"--runtime-directory={runtime}",
                                "--task-modules=testtasks")
    sandbox.client().call("echo", 1)
    controld.stop()
    allowed = ("mystate", "myrun", "run-", "none.conf", "notify-", "state")
    strangers = [e for e in os.listdir(sandbox.directory) if not e.startswith(allowed)]
    equal(strangers, [])


harness.main(globals())
