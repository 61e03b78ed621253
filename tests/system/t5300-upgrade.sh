#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The packages are upgraded under load, with apt, to a later version: no task is lost, no client sees an error, and
# coordinator and all instances have been restarted.

# shellcheck source-path=SCRIPTDIR source=host-lib.sh
. "$(dirname "$0")/host-lib.sh"

export DEBIAN_FRONTEND=noninteractive

pids() {
    local unit
    for unit in fastworker-controld fastworker-subworker@{1..3}; do
        main_pid "$unit"
    done
}

apt_upgrade() {
    printf 'deb [trusted=yes] file:/srv/apt-next ./\n' >/etc/apt/sources.list.d/fastworker.list
    apt-get -q update
    apt-get -q -y upgrade
}

fresh
printf '# changed by the administrator\n' >>/etc/fastworker/controld.conf
systemctl start fastworker-subworker.target
start_subworkers 3
version=$(dpkg-query -W -f '${Version}' fastworker-controld)
before=$(pids)
sockets=$(stat -c %i /run/fastworker/{control,worker}.sock)
start_load 20000 sleep '[0.002]'
wait_until 20 "the load runs" load_is_at 500
apt_upgrade
at=$(load_done)
((at < 20000)) || fail "the load was over before the upgrade"
equal "version" "$(dpkg-query -W -f '${Version} ' fastworker{,-controld,-subworkerd} libfastworker1 | xargs -n 1 | sort -u)" \
    "$version+next1"
equal "daemons that were not restarted" "$(grep -cxF "$before" <(pids) || true)" 0
equal "daemons" "$(pids | grep -vcx 0)" 4
equal "sockets" "$(stat -c %i /run/fastworker/{control,worker}.sock)" "$sockets"
finish_load
grep -q '^# changed by the administrator$' /etc/fastworker/controld.conf || fail "a change to controld.conf is gone"
equal "failed units" "$(systemctl --failed --no-legend --plain)" ""
result "from $version to $version+next1 after $at of 20000 tasks"
