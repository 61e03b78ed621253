#!/bin/bash
# SPDX-License-Identifier: MIT
#
# All subworkers are restarted ten times while 20 000 tasks run: each ends once, with success, and no client sees
# an error.

# shellcheck source-path=SCRIPTDIR source=host-lib.sh
. "$(dirname "$0")/host-lib.sh"

pids() {
    local i
    for i in 1 2 3 4; do
        main_pid "fastworker-subworker@$i"
    done
}

fresh
start_subworkers 4
started=$SECONDS
start_load 20000 sleep '[0.002]'
for i in {1..10}; do
    wait_until 60 "restart $i under load" load_is_at $((i * 1000))
    before=$(pids)
    systemctl restart fastworker-subworker.target
    equal "subworkers that were not restarted" "$(grep -cxF "$before" <(pids) || true)" 0
done
at=$(load_done)
((at < 20000)) || fail "the load was over before the last restart"
finish_load
active_is 4 || fail "not all subworkers are active"
result "10 restarts in the first $at of 20000 tasks, all after $((SECONDS - started)) s"
