#!/bin/bash
# SPDX-License-Identifier: MIT
#
# controld is restarted ten times while 20 000 tasks run: each ends once, with success, and no client sees an error.

# shellcheck source-path=SCRIPTDIR source=host-lib.sh
. "$(dirname "$0")/host-lib.sh"

fresh
start_subworkers 4
started=$SECONDS
start_load 20000 sleep '[0.002]'
for i in {1..10}; do
    # A tenth of what is left for each, so that all are under load, however fast it goes.
    wait_until 60 "restart $i under load" load_is_at $((i * 1000))
    systemctl restart fastworker-controld
done
at=$(load_done)
((at < 20000)) || fail "the load was over before the last restart"
finish_load
equal "controld" "$(systemctl is-active fastworker-controld)" active
result "10 restarts in the first $at of 20000 tasks, all after $((SECONDS - started)) s"
