#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Reload is done when "systemctl reload" returns, and fails if it is refused, with the reason in the status. A wrong
# key is named with file and line and does no harm; a wrong address to listen at is refused at the start with
# one line.

# shellcheck source-path=SCRIPTDIR source=host-lib.sh
. "$(dirname "$0")/host-lib.sh"

conf=/etc/fastworker/controld.conf.d/50-test.conf

results_kept() {
    for _ in 1 2 3 4 5; do
        member fastworker submit --task-name add --args 1 1 >/dev/null
    done
    member fastworker list --status=success --limit=0 --json=short | jq '.tasks | length'
}

check_reload() {
    local i
    for i in 1 2 3; do
        printf '[Control]\nResultCacheSize=%s\n' "$i" >"$conf"
        systemctl reload fastworker-controld
        equal "results kept with ResultCacheSize=$i" "$(results_kept)" "$i"
    done
    rm "$conf"
    systemctl reload fastworker-controld
}

reload_failed_in_status() {
    [[ $(property fastworker-subworker@1 StatusText) =~ reload\ failed,\ going\ on\ as\ before:\ .*nothere ]]
}

check_subworker_reload() {
    mv /etc/fastworker/subworkerd.conf.d/10-tasks.conf "$place/"
    printf '[Subworker]\nTaskModules=nothere\n' >/etc/fastworker/subworkerd.conf.d/10-tasks.conf
    ! systemctl reload fastworker-subworker@1 2>/dev/null || fail "a reload with a module that is not there went well"
    wait_until 5 "the status says why" reload_failed_in_status
    equal "add after the refused reload" "$(member fastworker submit --task-name add --args 5 3 2>&1)" 8
    mv "$place/10-tasks.conf" /etc/fastworker/subworkerd.conf.d/
    systemctl reload fastworker-subworker@1
    equal "add after a reload" "$(member fastworker submit --task-name add --args 5 3 2>&1)" 8
    wait_until 5 "the status is in order again" no_reload_failed_in_status
}

no_reload_failed_in_status() {
    ! reload_failed_in_status
}

check_wrong_key() {
    local pid
    pid=$(main_pid fastworker-controld)
    mark_journal
    printf '# a comment\n[Control]\nResultCasheSize=7\nResultCacheSize=many\n' >"$conf"
    systemctl reload fastworker-controld || true
    journal_has "$conf:3: .*ResultCasheSize" -u fastworker-controld || fail "the wrong key is not named"
    journal_has "$conf:4: .*ResultCacheSize" -u fastworker-controld || fail "the wrong value is not named"
    equal "process of controld" "$(main_pid fastworker-controld)" "$pid"
    systemctl restart fastworker-controld
    journal_has "$conf:3: .*ResultCasheSize" -u fastworker-controld || fail "the wrong key is not named at the start"
    equal "add with a wrong key" "$(member fastworker submit --task-name add --args 5 3 2>&1)" 8
}

controld_failed() {
    [[ $(property fastworker-controld NRestarts) != 0 || $(systemctl is-active fastworker-controld) == failed ]]
}

check_wrong_address() {
    mark_journal
    printf '[Control]\nBaseAddress=tcp:/127.0.0.1\n' >"$conf"
    ! systemctl restart fastworker-controld 2>/dev/null || fail "controld starts with a wrong address"
    systemctl stop fastworker-controld 2>/dev/null
    journal -t fastworker-controld --output=cat --priority=err | sort -u >"$place/errors"
    cat "$place/errors"
    equal "lines about it" "$(wc -l <"$place/errors")" 1
    matches "the line" "$(cat "$place/errors")" "$conf:2: .*BaseAddress"
    rm "$conf"
    systemctl reset-failed fastworker-controld
    equal "add when it is put right" "$(member fastworker submit --task-name add --args 5 3 2>&1)" 8
}

fresh
start_subworkers 1
check_reload
check_subworker_reload
check_wrong_key
check_wrong_address
