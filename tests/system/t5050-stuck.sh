#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Daemons that hang (SIGSTOP): the watchdog ends controld and it is started again, with nothing lost, and the journal
# says so; the tasks of a subworker that hangs are run by another one.

# shellcheck source-path=SCRIPTDIR source=host-lib.sh
. "$(dirname "$0")/host-lib.sh"

# The units' own limit, 30 s, is looked at elsewhere; a shorter one saves the time.
short_watchdog() {
    mkdir -p "/run/systemd/system/$1.d"
    printf '[Service]\nWatchdogSec=%s\n' "$2" >"/run/systemd/system/$1.d/watchdog.conf"
}

is_another_process() {
    local pid
    pid=$(main_pid "$1")
    [[ $pid != 0 && $pid != "$2" ]] && systemctl --quiet is-active "$1"
}

check_controld() {
    local pid
    start_load 3000 sleep '[0.01]'
    wait_until 20 "the load runs" load_is_at 200
    pid=$(main_pid fastworker-controld)
    kill -STOP "$pid"
    wait_until 20 "the watchdog restarts controld" is_another_process fastworker-controld "$pid"
    finish_load
    journal_has 'fastworker-controld.service: Watchdog timeout' || fail "nothing about the watchdog in the journal"
    journal_has 'fastworker-controld.service: Scheduled restart job' || fail "nothing about the restart in the journal"
}

holds_tasks() {
    (($(member fastworker list --status=running --worker="$1" --limit=0 --json=short | jq '.tasks | length') > 0))
}

runs_elsewhere() {
    [[ $(member fastworker status --task-id "$1" --json=short | jq -r '"\(.status) \(.worker)"') == "running $2" ]]
}

# The first one holds a task when it stops; the other one gets it when the first one is given up.
check_subworker() {
    local task first second
    task=$(member fastworker submit --task-name sleep --args 3 --non-blocking)
    wait_until 5 "it runs" is_running "$task"
    first=$(member fastworker status --task-id "$task" --json=short | jq -r .worker)
    second=fastworker-test-$((3 - ${first##*-}))
    kill -STOP "$(main_pid "fastworker-subworker@${first##*-}")"
    wait_until 20 "the task moves" runs_elsewhere "$task" "$second"
    member fastworker wait --task-id "$task" --timeout=20
    equal "attempt" "$(member fastworker status --task-id "$task" --json=short | jq .attempt)" 2
    journal_has "$first" -t fastworker-controld MESSAGE_ID=7f14d5d8d0a1426dbc24141c5ef35404 ||
        fail "the journal does not tell that $first is inactive"
}

is_running() {
    [[ $(member fastworker status --task-id "$1" --json=short | jq -r .status) == running ]]
}

fresh
short_watchdog fastworker-controld.service 4
systemctl daemon-reload
printf '[Workers]\nHeartbeatSec=1\nInactiveSec=4\n' >/etc/fastworker/controld.conf.d/10-test.conf
systemctl start fastworker-controld
start_subworkers 2
mark_journal
check_controld
active_is 2 || wait_until 10 "both subworkers are back" active_is 2
check_subworker
short_watchdog fastworker-subworker@.service 4
systemctl daemon-reload
systemctl kill --signal=KILL --kill-whom=main 'fastworker-subworker@*.service'
wait_until 20 "both subworkers are back" active_is 2
mark_journal
pid=$(main_pid fastworker-subworker@1)
kill -STOP "$pid"
wait_until 20 "the watchdog restarts the subworker" is_another_process fastworker-subworker@1 "$pid"
journal_has 'fastworker-subworker@1.service: Watchdog timeout' || fail "nothing about the watchdog in the journal"
result "with WatchdogSec=4 and InactiveSec=4"
