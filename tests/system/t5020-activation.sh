#!/bin/bash
# SPDX-License-Identifier: MIT
#
# controld is stopped: a submit starts it again, and gets its result. That works as well when nobody has ever
# started it, and for a subworker that comes first.

# shellcheck source-path=SCRIPTDIR source=host-lib.sh
. "$(dirname "$0")/host-lib.sh"

is_stopped() {
    [[ $(systemctl is-active fastworker-controld) == inactive ]]
}

fresh
systemctl start fastworker-controld
start_subworkers 1
systemctl stop fastworker-controld 2>/dev/null
# The subworker looks for its coordinator, and so may have started it again already.
equal "add 5 3 after a stop" "$(member fastworker submit --task-name add --args 5 3 2>&1)" 8
systemctl --quiet is-active fastworker-controld || fail "controld does not run"

systemctl stop fastworker-subworker@1 fastworker-controld 2>/dev/null
wait_until 5 "controld has stopped" is_stopped
equal "a task for later" "$(member fastworker submit --task-name add --args 2 3 --key later --non-blocking 2>&1 | wc -w)" 1
systemctl --quiet is-active fastworker-controld || fail "the socket did not start controld"
systemctl start fastworker-subworker@1
equal "the task submitted before its subworker" \
    "$(member fastworker submit --task-name add --args 2 3 --key later 2>&1)" 5

systemctl stop fastworker-subworker@1 fastworker-controld 2>/dev/null
wait_until 5 "controld has stopped" is_stopped
systemctl start fastworker-subworker@1
wait_until 10 "a subworker starts controld" systemctl --quiet is-active fastworker-controld
