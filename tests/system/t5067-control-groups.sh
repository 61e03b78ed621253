#!/bin/bash
# SPDX-License-Identifier: MIT
#
# In the service each runner has a control group of its own, in which a task's processes cannot but stay: they end with
# the task, although the daemon is another user and is shown none of them in /proc. What the groups can hold of memory
# depends on the controllers that this host has.

# shellcheck source-path=SCRIPTDIR source=host-lib.sh
. "$(dirname "$0")/host-lib.sh"

unit=fastworker-subworker@1.service
tasks=/etc/fastworker/tasks.d

at_exit() {
    rm -rf "$tasks"/test-*.task
}

# Below the unit's.
group_of() {
    sed -n "s|^0::.*/$unit||p" "/proc/$1/cgroup"
}

group_directory() {
    printf '%s%s\n' "$(findmnt --noheadings --first-only --types cgroup2 --output TARGET)" "$(property "$unit" ControlGroup)"
}

runner() {
    pgrep --parent "$(main_pid "$unit")" --oldest
}

# All that this test's commands have started.
crowd() {
    grep -lzE '^TEST_CROWD=yes$' /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 | sort
}

crowd_is() {
    [[ $(crowd | wc -l) == "$1" ]]
}

write_tasks() {
    mkdir -p "$tasks"
    cat >"$tasks/test-crowd.task" <<'END'
[Task]
Environment=TEST_CROWD=yes
Exec=/bin/bash -c 'trap "" TERM; for i in {1..25}; do sleep 1000 & (setsid sh -c "trap \\"\\" TERM; exec sleep 1000 <&- >&- 2>&-" &); done; wait'
END
    cat >"$tasks/test-swell.task" <<'END'
[Task]
Exec=/bin/bash -c 'x=$(head -c 400M /dev/zero | tr "\\\\0" x); echo ${#x}'
MemoryMax=64M
TasksMax=8
END
    cat >"$tasks/test-forks.task" <<'END'
[Task]
Exec=/bin/bash -c 'for i in {1..16}; do sleep 1000 & done 2>/dev/null; jobs -p | wc -l'
TasksMax=8
END
    printf '[Subworker]\nTaskModules=mytasks test-crowd test-swell test-forks\nTaskMemoryMax=256M\n' \
        >/etc/fastworker/subworkerd.conf.d/10-tasks.conf
}

check_places() {
    equal "group of the daemon" "$(group_of "$(main_pid "$unit")")" /supervisor
    matches "group of the runner" "$(group_of "$(runner)")" '^/runner-[0-9]+$'
    equal "owner of the runner's group" "$(stat -c %U "$(group_directory)$(group_of "$(runner)")")" fastworker-worker
    # A task is not to get out.
    ! nsenter --target "$(runner)" --mount setpriv --reuid fastworker-job --regid fastworker-job --clear-groups \
        bash -c "echo 0 >$(group_directory)/supervisor/cgroup.procs" 2>"$place/why" || fail "a task can change its group"
    grep -q 'Permission denied' "$place/why" || fail "a task cannot change its group, but: $(cat "$place/why")"
}

# cancel_crowd: 51 processes of another user, half of them in sessions of their own.
cancel_crowd() {
    local id job pid
    id=$(member fastworker submit --task-name test-crowd --non-blocking | awk '{print $NF}')
    wait_until 20 "51 processes" crowd_is 51
    job=$(runner)
    for pid in $(crowd); do
        equal "group of a process" "$(group_of "$pid")" "$(group_of "$job")"
        equal "user of a process" "$(stat -c %U "/proc/$pid")" fastworker-job
    done
    member fastworker cancel --task-id "$id" >"$place/cancel"
    wait_until 1 "the end of all processes" crowd_is 0
}

# The runner is killed, as by a crash.
crash_crowd() {
    local id
    id=$(member fastworker submit --task-name test-crowd --non-blocking | awk '{print $NF}')
    wait_until 20 "51 processes" crowd_is 51
    crowd >"$place/before"
    kill -KILL "$(runner)"
    # It is tried again at once, so some of them may be new.
    wait_until 2 "the end of all processes of the first attempt" none_left
    member fastworker cancel --task-id "$id" >"$place/cancel"
    wait_until 2 "the end of all processes" crowd_is 0
}

none_left() {
    [[ -z $(crowd | comm -12 - "$place/before") ]]
}

has_controller() {
    grep -qw "$1" "$(group_directory)/cgroup.controllers"
}

check_memory() {
    local r=0
    member fastworker submit --task-name test-swell >"$place/out" 2>&1 || r=$?
    ((r != 0)) || fail "a task that uses more than MemoryMax= has succeeded"
    if has_controller memory; then
        matches "its error" "$(cat "$place/out")" 'killed by the memory limit of 64M \(MemoryMax=\)'
        result "memory: by control group"
    else
        journal_has 'TaskMemoryMax= holds for each process of a task by itself, not for all together: there is no memory controller' \
            -u "$unit" || fail "the journal does not say that there is no memory controller"
        result "memory: no controller on this machine, by limits of processes"
    fi
}

check_pids() {
    member fastworker submit --task-name test-forks --timeout=60 >"$place/out" 2>&1 || true
    if has_controller pids; then
        (($(cat "$place/out") <= 8)) || fail "more than TasksMax= processes: $(cat "$place/out")"
        result "processes: by control group"
    else
        journal_has 'TasksMax= and CPUWeight= of tasks have no effect' -u "$unit" || fail "the journal does not say so of TasksMax="
        result "processes: no controller on this machine"
    fi
}

# The supervisor's, the runner's, and those of at most two runners that have just gone.
few_groups() {
    (($(find "$(group_directory)" -mindepth 1 -type d | wc -l) <= 4))
}

fresh
write_tasks
mark_journal
systemctl start fastworker-controld
start_subworkers 1
check_places
cancel_crowd
crash_crowd
check_memory
check_pids
# Groups of runners that are gone are removed when the next one starts.
systemctl reload "$unit"
wait_until 10 "the end of the groups of runners that are gone" few_groups
directory=$(group_directory)
systemctl stop "$unit"
[[ ! -e $directory ]] || fail "$directory is there still"
