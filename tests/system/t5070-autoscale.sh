#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Autoscaling: with four enabled sockets and no subworker, 500 sleeping tasks start four of them, no more are started
# than there are, and 30 s after the last task none runs, with the settings as shipped; then a task starts one again.

# shellcheck source-path=SCRIPTDIR source=host-lib.sh
. "$(dirname "$0")/host-lib.sh"

instances() {
    systemctl list-units --plain --no-legend --state=active 'fastworker-subworker@*.service' | wc -l
}

instances_are() {
    (($(instances) == $1))
}

at_exit() {
    systemctl disable --quiet --now fastworker-subworker@{1..4}.socket
}

fresh
printf '[Scaling]\nMaxInstances=4\n' >/etc/fastworker/controld.conf.d/10-test.conf
systemctl enable --quiet --now fastworker-subworker@{1..4}.socket
equal "instances before" "$(instances)" 0
mark_journal

started=$SECONDS
load_window=500
start_load 500 sleep '[0.05]'
wait_until 20 "four instances run" instances_are 4
four=$((SECONDS - started))
wait_until 20 "all four are registered" active_is 4
finish_load
ended=$SECONDS
equal "workers that ran something" "$(member fastworker list --limit=0 --json=short | jq -r '.tasks[].worker' | sort -u | wc -l)" 4
wait_until 30 "no instance runs" instances_are 0
gone=$((SECONDS - ended))
equal "starts of instances" "$(journal --output=cat _PID=1 | grep -cE '^Started fastworker-subworker@[0-9]+\.service')" 4
equal "failed units" "$(systemctl --failed --no-legend --plain)" ""

equal "one more task" "$(member fastworker submit --task-name add --args 5 3 2>&1)" 8
equal "instances for one task" "$(instances)" 1
wait_until 30 "no instance runs" instances_are 0
result "4 after $four s, none $gone s after the last task"
