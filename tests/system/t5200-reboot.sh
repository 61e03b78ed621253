#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The host is rebooted while tasks wait and run: all of them are there again and end once, and what is enabled is up.

# shellcheck source-path=SCRIPTDIR source=host-lib.sh
. "$(dirname "$0")/host-lib.sh"

before=/var/lib/host-tests/reboot

before_reboot() {
    local i
    fresh
    # What still runs then is handed back, and begins anew.
    printf '[Subworker]\nDrainSec=1\n' >/etc/fastworker/subworkerd.conf.d/20-test.conf
    systemctl start fastworker-subworker.target
    wait_until 10 "a subworker" active_is 1
    mkdir -p "$before"
    member fastworker submit --task-name sleep --args 600 --key running --non-blocking >"$before/running"
    for i in {1..50}; do
        member fastworker submit --task-name add --args "$i" 1 --key "queued-$i" --non-blocking
    done >"$before/queued"
    equal "different tasks" "$(sort -u "$before/queued" | wc -l)" 50
    cat /proc/sys/kernel/random/boot_id >"$before/boot"
    exit 88
}

after_reboot() {
    local i
    [[ $(cat /proc/sys/kernel/random/boot_id) != "$(cat "$before/boot")" ]] || fail "this is the same boot"
    wait_until 20 "a subworker" active_is 1
    equal "failed units" "$(systemctl --failed --no-legend --plain)" ""
    member fastworker cancel --task-id "$(cat "$before/running")"
    i=0
    while read -r task; do
        i=$((i + 1))
        equal "task $i" "$(member fastworker wait --task-id "$task" --timeout=20 2>&1)" $((i + 1))
    done <"$before/queued"
    equal "task 7, sent again with its key" \
        "$(member fastworker submit --task-name add --args 7 1 --key queued-7 --non-blocking)" "$(sed -n 7p "$before/queued")"
    equal "tasks that have not ended" "$(unfinished)" 0
    result "50 queued tasks and a running one"
}

if [[ ${1-} == after-reboot ]]; then
    after_reboot
else
    before_reboot
fi
