#!/bin/bash
# SPDX-License-Identifier: MIT
#
# "journalctl TASK_ID=" tells a task's story across controld, the subworker and what the task itself has said, and
# "journalctl -x" explains messages.

# shellcheck source-path=SCRIPTDIR source=host-lib.sh
. "$(dirname "$0")/host-lib.sh"

has_from() {
    local unit=$1 pattern=$2
    grep -qE -- "^$unit .*($pattern)" "$place/story" || fail "the story of $task has nothing of $unit with \"$pattern\""
}

fresh
printf '[Control]\nLogLevel=debug\n' >/etc/fastworker/controld.conf.d/10-test.conf
printf '[Subworker]\nLogLevel=debug\n' >/etc/fastworker/subworkerd.conf.d/20-test.conf
mark_journal
start_subworkers 1

# It says something, and kills its process; three times, and is dead then.
task=$(member fastworker submit --task-name crash --args abort --non-blocking)
r=0
member fastworker wait --task-id "$task" --timeout=20 2>"$place/error" || r=$?
equal "exit status of wait" "$r" 1
journal TASK_ID="$task" --output=short-precise
journal TASK_ID="$task" --output=json | jq -r '"\(._SYSTEMD_UNIT) \(.MESSAGE)"' >"$place/story"
has_from fastworker-controld.service 'accepted, priority normal'
has_from fastworker-controld.service 'ended as dead, attempt 3'
has_from 'fastworker-subworker@1.service' 'About to crash as asked \(abort\)'
has_from 'fastworker-subworker@1.service' 'crash|SIGABRT|signal'
lines=$(journal TASK_ID="$task" --output=cat | wc -l)
equal "what the task has said" "$(journal TASK_ID="$task" --output=cat | grep -c 'About to crash as asked')" 3

other=$(member fastworker submit --task-name add --args 1 2 --non-blocking)
equal "another task" "$(member fastworker wait --task-id "$other")" 3
journal TASK_ID="$other" --output=cat | grep -q crash && fail "stories are mixed"

journal -x --unit=fastworker-subworker@1 >"$place/explained"
grep -q 'Subject: .*fastworker-test-1 is ready' "$place/explained" || fail "journalctl -x does not explain the start"
grep -qE 'Subject: .*crashed' "$place/explained" || fail "journalctl -x does not explain the crash"
result "$lines lines tell the story of a task that crashed three times"
