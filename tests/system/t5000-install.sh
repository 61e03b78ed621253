#!/bin/bash
# SPDX-License-Identifier: MIT
#
# apt installs coordinator and subworker: controld's sockets are there and one subworker runs, nothing listens on
# the network, and no unit has failed. Keeps a list of the files from before, for t5900-purge.

# shellcheck source-path=SCRIPTDIR source=host-lib.sh
. "$(dirname "$0")/host-lib.sh"

export DEBIAN_FRONTEND=noninteractive

listening() {
    ss --no-header --listening --tcp --udp --numeric
}

units_are_up() {
    local unit
    for unit in fastworker-controld.socket fastworker-controld-worker.socket fastworker-controld.service \
        fastworker-subworker.target fastworker-subworker@1.service; do
        systemctl --quiet is-active "$unit" || fail "$unit is $(systemctl is-active "$unit")"
        equal "state of $unit" "$(systemctl is-enabled "$unit")" enabled
    done
}

status_shows() {
    property fastworker-controld StatusText | grep -qE -- "$1"
}

install_packages() {
    apt-get -q update
    apt-get -q -y install fastworker-controld fastworker-subworkerd
}

check_sockets() {
    equal "control.sock" "$(stat -c '%A %U %G' /run/fastworker/control.sock)" "srw-rw---- root fastworker"
    equal "worker.sock" "$(stat -c '%A %U %G' /run/fastworker/worker.sock)" "srw-rw---- root fastworker-worker"
    equal "what listens on TCP or UDP" "$(listening)" ""
}

check_nothing_failed() {
    equal "failed units" "$(systemctl --failed --no-legend --plain)" ""
    equal "errors in the journal" "$(journal --priority=err --output=cat)" ""
}

mkdir -p /var/lib/host-tests
find / -xdev -path /proc -prune -o -path /var/lib/host-tests -prune -o -print | sort >/var/lib/host-tests/files-before
getent passwd >/var/lib/host-tests/passwd-before
[[ -z $(dpkg-query --show --showformat='${Package} ' '*fastworker*' 2>/dev/null) ]] || fail "it is installed already"

mark_journal
install_packages
wait_until 20 "a subworker registers" status_shows '^1 subworker active'
units_are_up
check_sockets
check_nothing_failed
equal "instances" "$(systemctl list-units --plain --no-legend 'fastworker-subworker@*' | wc -l)" 1
equal "user of controld" "$(ps -o user:20= -p "$(main_pid fastworker-controld)")" fastworker
equal "user of the subworker" "$(ps -o user:20= -p "$(main_pid fastworker-subworker@1)")" fastworker-worker

apt-get -q -y install fastworker-examples libfastworker-dev
adduser --quiet anna fastworker
equal "version" "$(fastworker --version | head -n 1)" "fastworker $(dpkg-query -W -f '${Version}' fastworker)"
result "$(dpkg-query --show --showformat='${Package} ' '*fastworker*' | wc -w) packages of version $(dpkg-query -W -f '${Version}' fastworker)"
