#!/bin/bash
# SPDX-License-Identifier: MIT
#
# "apt remove" stops everything and keeps settings and tasks; "apt purge" leaves nothing behind but the users, compared
# with the list of files from before the first installation.

# shellcheck source-path=SCRIPTDIR source=host-lib.sh
. "$(dirname "$0")/host-lib.sh"

export DEBIAN_FRONTEND=noninteractive
all=(fastworker fastworker-controld fastworker-subworkerd fastworker-examples libfastworker1 libfastworker-dev)
kept=/var/lib/host-tests

units() {
    systemctl list-units --all --plain --no-legend 'fastworker*' | awk '$3 == "active" { print $1 }' | xargs
}

files() {
    find / -xdev -path /proc -prune -o -path $kept -prune -o -print | sort
}

# What else changes while a host runs: logs, states of systemd and of dpkg, what the users of the tests have
# used, and backups of the user database.
other_changes() {
    grep -vE -e '^/(tmp|run|dev|sys|var/log|var/tmp|var/cache|var/lib/(apt|dpkg|systemd|pam|private))(/|$)' \
        -e '^/etc/((passwd|shadow|group|gshadow|subuid|subgid)-?|\.pwd\.lock|machine-id)$' -e '^/(home|root|srv)(/|$)'
}

enable_all() {
    fresh
    systemctl enable --quiet --now fastworker-subworker@{2,3}.service fastworker-subworker@7.socket
    printf '[Subworker]\nConcurrency=2\n' >/etc/fastworker/subworker@3.conf
    systemctl start fastworker-subworker.target
    wait_until 10 "three subworkers" active_is 3
    member fastworker submit --task-name add --args 5 3 >/dev/null
}

check_remove() {
    apt-get -q -y remove fastworker-controld fastworker-subworkerd
    equal "units after the removal" "$(units)" ""
    equal "processes after the removal" "$(pgrep --list-name fastworker || true)" ""
    [[ -n $(find /var/lib/fastworker -type f) ]] || fail "the removal has taken the tasks along"
    [[ -e /etc/fastworker/controld.conf ]] || fail "the removal has taken the settings along"
    [[ ! -e /run/fastworker/control.sock ]] || fail "the removal has left a socket"
}

# A package that is installed again has the tasks of before.
check_again() {
    local task=$1
    apt-get -q -y install fastworker-controld fastworker-subworkerd
    wait_until 20 "controld" systemctl --quiet is-active fastworker-controld
    equal "a task of before" "$(member fastworker status --task-id "$task" --json=short | jq .result)" 8
}

check_purge() {
    local left
    apt-get -q -y purge "${all[@]}"
    equal "units after the purge" "$(units)" ""
    equal "processes after the purge" "$(pgrep --list-name fastworker || true)" ""
    left=$(comm -13 $kept/files-before <(files) | other_changes || true)
    equal "files that are left" "$left" ""
    equal "states of units that are left" "$(find /var/lib/systemd /run/fastworker -name '*fastworker*' 2>/dev/null)" ""
    equal "state of the packages" "$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' '*fastworker*' 2>/dev/null |
        grep -v not-installed || true)" ""
}

enable_all
task=$(member fastworker submit --task-name add --args 5 3 --non-blocking)
equal "the task" "$(member fastworker wait --task-id "$task")" 8
check_remove
check_again "$task"
check_purge
left=$(comm -13 <(cut -d: -f1 $kept/passwd-before | sort) <(getent passwd | cut -d: -f1 | sort) | xargs)
equal "users that are left" "$left" "fastworker fastworker-job fastworker-worker"
result "nothing left but the users $left"
