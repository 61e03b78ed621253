#!/bin/bash
# SPDX-License-Identifier: MIT
#
# An instance has settings of its own in /etc/fastworker/subworker@INSTANCE.conf, and a stop lets running tasks finish.

# shellcheck source-path=SCRIPTDIR source=host-lib.sh
. "$(dirname "$0")/host-lib.sh"

slots_are() {
    [[ $(member fastworker workers --json=short | jq -c '[.subworkers[].slots] | sort') == "$1" ]]
}

is_running() {
    [[ $(member fastworker status --task-id "$1" --json=short | jq -r .status) == running ]]
}

fresh
printf '[Subworker]\nConcurrency=3\n' >/etc/fastworker/subworker@5.conf
systemctl start fastworker-subworker@4 fastworker-subworker@5
wait_until 10 "two subworkers" active_is 2
slots_are '[1,3]' || fail "slots: $(member fastworker workers)"
equal "names" "$(member fastworker workers --json=short | jq -r '.subworkers | keys | join(" ")')" \
    "fastworker-test-4 fastworker-test-5"

systemctl stop fastworker-subworker@4
task=$(member fastworker submit --task-name sleep --args 1 --non-blocking)
wait_until 5 "the task runs" is_running "$task"
systemctl stop fastworker-subworker@5
equal "a task that ran when its subworker was stopped" \
    "$(member fastworker status --task-id "$task" --json=short | jq -r '"\(.status) \(.attempt)"')" "success 1"
equal "processes that are left" "$(pgrep --uid fastworker-worker,fastworker-job | wc -l)" 0
equal "result of the stop" "$(property fastworker-subworker@5 Result)" success
