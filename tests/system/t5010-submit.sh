#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Start four subworkers and submit: a member of group fastworker gets a result, somebody else gets to know
# what to do, and "systemctl status" shows counts.

# shellcheck source-path=SCRIPTDIR source=host-lib.sh
. "$(dirname "$0")/host-lib.sh"

# Prints what otto gets, standard output and error in one, with the exit status behind.
outsider() {
    local r=0
    as_user otto "$@" 2>&1 || r=$?
    printf '%s\n' "$r"
}

check_outsider() {
    local text
    text=$(outsider fastworker submit --task-name add --args 5 3 | paste -sd ' ')
    matches "what an outsider sees" "$text" "[Pp]ermission denied.*/run/fastworker/control.sock.*group fastworker.*usermod.* 5$"
    say "$text"
}

status_shows() {
    property "$1" StatusText | grep -qE -- "$2"
}

check_status() {
    local i
    wait_until 5 "systemctl status of controld shows counts" status_shows fastworker-controld \
        '^4 subworkers active, 0 queued, 0 assigned or running, 9 results cached'
    for i in 1 2 3 4; do
        wait_until 5 "systemctl status of subworker $i shows counts" status_shows "fastworker-subworker@$i" \
            '^Registered at ipc:///run/fastworker/worker.sock; 0 of 1 runner busy, [0-9]+ tasks done'
    done
    systemctl status --no-pager fastworker-controld | grep -q 'Status: "4 subworkers active' || fail "systemctl status"
}

fresh
systemctl start fastworker-controld
start_subworkers 4
equal "add 5 3" "$(member fastworker submit --task-name add --args 5 3 2>&1)" 8
equal "add 5 3, by root" "$(fastworker submit --task-name add --args 5 3 2>&1)" 8
start_load 7 add '[1,2]'
finish_load
check_status
check_outsider
systemctl --quiet is-active fastworker.slice || fail "there is no fastworker.slice"
matches "slice" "$(property fastworker-subworker@4 ControlGroup)" '^/fastworker.slice/'
