#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The million tasks of a busy day leave fewer than 1000 lines in the journal at level info: there is none per task,
# whether it succeeds or fails.

# shellcheck source-path=SCRIPTDIR source=host-lib.sh
. "$(dirname "$0")/host-lib.sh"

tasks=1000000

fresh
printf '[Control]\nDurability=process\n' >/etc/fastworker/controld.conf.d/10-test.conf
mark_journal
start_subworkers 2
started=$SECONDS
for i in {1..10}; do
    task_lines $((tasks / 10)) noop '[]' >"$place/in"
    member fastworker batch --timeout=120 --window=10000 <"$place/in" >"$place/out"
    equal "results of client $i" "$(wc -l <"$place/out")" $((tasks / 10))
done
took=$((SECONDS - started))
r=0
task_lines 500 fail '["wrong"]' | member fastworker batch --timeout=60 >"$place/out" 2>"$place/err" || r=$?
equal "exit status with failed tasks" "$r" 1
equal "failed tasks" "$(jq -r .status "$place/out" | grep -c failure)" 500
journal --output=cat -t fastworker-controld -t fastworker-subworkerd -t fastworker-runner >"$place/lines"
lines=$(wc -l <"$place/lines")
tail -n 20 "$place/lines"
((lines > 0)) || fail "not even the start of the daemons is in the journal"
((lines < 1000)) || fail "$lines lines for $tasks tasks"
! journal_has 'Suppressed .* messages' || fail "the journal has dropped lines"
result "$lines lines for $tasks tasks in $took s"
