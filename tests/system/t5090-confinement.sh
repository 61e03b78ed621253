#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What "systemd-analyze security" says of the units, and that a task's process is another user than the daemons, cannot
# read what they hold, cannot signal them and cannot connect to the coordinator.

# shellcheck source-path=SCRIPTDIR source=host-lib.sh
. "$(dirname "$0")/host-lib.sh"

# exposure UNIT MAXIMUM
exposure() {
    local unit=$1 score
    score=$(systemd-analyze --no-pager security "$unit" | sed -nE 's/.*Overall exposure level for .*: ([0-9.]+) .*/\1/p')
    [[ -n $score ]] || fail "systemd-analyze security says nothing of $unit"
    jq -n --exit-status "$score <= $2" >/dev/null || fail "$unit: exposure $score, at most $2 is wanted"
    result "$unit $score"
}

# A process of a task, with its own user, groups and capabilities.
runner_of() {
    pgrep --parent "$(main_pid "$1")" --oldest
}

status_of() {
    sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status" | xargs
}

check_runner() {
    local runner job key
    runner=$(runner_of fastworker-subworker@1)
    job=$(id -u fastworker-job)
    equal "user ids of the runner" "$(status_of "$runner" Uid)" "$job $job $job $job"
    equal "groups of the runner" "$(status_of "$runner" Groups)" "$(id -g fastworker-job)"
    for key in CapInh CapPrm CapEff CapAmb; do
        equal "$key of the runner" "$(status_of "$runner" $key)" 0000000000000000
    done
    equal "NoNewPrivs of the runner" "$(status_of "$runner" NoNewPrivs)" 1
}

# In the place of a task: with the runner's file system, and its user.
as_job() {
    nsenter --target "$(runner_of fastworker-subworker@1)" --mount \
        setpriv --reuid fastworker-job --regid fastworker-job --clear-groups --inh-caps=-all --bounding-set=-all "$@"
}

cannot() {
    local what=$1
    shift
    ! as_job "$@" >/dev/null 2>"$place/why" || fail "a task's process can $what"
    grep -qiE 'denied|not permitted|no such|read-only' "$place/why" || fail "a task's process cannot $what, but: $(cat "$place/why")"
}

check_limits_of_jobs() {
    as_job true || fail "nothing can be run in the place of a task"
    cannot "read the store" ls /var/lib/fastworker
    cannot "read the configuration of controld" cat /etc/fastworker/controld.conf
    cannot "signal its subworker" bash -c "kill -CONT $(main_pid fastworker-subworker@1)"
    cannot "signal controld" bash -c "kill -CONT $(main_pid fastworker-controld)"
    cannot "read the environment of its subworker" cat "/proc/$(main_pid fastworker-subworker@1)/environ"
    cannot "submit tasks" fastworker submit --task-name add --args 1 1
    cannot "write to the system" touch /etc/fastworker/x
}

# sha256 and wordcount open what they are told, in a real task.
check_real_task() {
    local r=0
    member fastworker submit --task-name sha256 --args /var/lib/fastworker/tasks.db >"$place/out" 2>&1 || r=$?
    equal "exit status of a task that reads the store" "$r" 1
    r=0
    member fastworker submit --task-name wordcount --args /etc/shadow >"$place/out" 2>&1 || r=$?
    equal "exit status of a task that reads /etc/shadow" "$r" 1
    matches "its error" "$(cat "$place/out")" 'Permission denied'
}

fresh
systemctl start fastworker-controld
start_subworkers 1
exposure fastworker-controld.service 1.5
exposure fastworker-subworker@1.service 3.5
check_runner
check_limits_of_jobs
check_real_task
equal "mode of the store's directory" "$(stat -c '%A %U' /var/lib/fastworker)" "drwx------ fastworker"
