# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# What the tests for the booted host (t5???-*.sh, see tests/host) have in common. They run as root in it, one after
# another in the same host, and each says what it found with "result".

set -euo pipefail

# They install, purge, and kill: never on the machine of who has called one by mistake.
if [[ ! -e /run/fastworker-host || ! -e /run/systemd/container ]]; then
    printf 'Runs in the host for tests only: tests/host/check %s\n' "$(basename "$0" .sh)"
    exit 77
fi

place=$(mktemp -d /tmp/test.XXXXXX)
chmod 755 "$place"
background=()

# For a test that has something of its own to undo.
at_exit() {
    true
}

clean_up() {
    local r=$? pid
    for pid in ${background[@]+"${background[@]}"}; do
        kill "$pid" 2>/dev/null || true
    done
    at_exit
    rm -rf "$place"
    exit "$r"
}
trap clean_up EXIT

say() {
    printf '%s\n' "$*"
}

# What tests/host/check prints behind the test's name.
result() {
    printf 'result: %s\n' "$*"
}

fail() {
    printf 'FAILED: %s\n' "$*"
    exit 1
}

skip() {
    printf '%s\n' "$*"
    exit 77
}

# equal WHAT IS EXPECTED
equal() {
    [[ $2 == "$3" ]] || fail "$1: \"$2\" instead of \"$3\""
}

# matches WHAT IS PATTERN (an extended regular expression)
matches() {
    [[ $2 =~ $3 ]] || fail "$1: \"$2\" does not match \"$3\""
}

# wait_until SECONDS WHAT COMMAND...: until the command succeeds.
wait_until() {
    local deadline=$((SECONDS + $1)) what=$2 limit=$1
    shift 2
    until "$@"; do
        ((SECONDS <= deadline)) || fail "not within $limit s: $what"
        sleep 0.05
    done
}

as_user() {
    local user=$1
    shift
    runuser -u "$user" -- "$@"
}

# member COMMAND...: as somebody in group fastworker.
member() {
    as_user anna "$@"
}

# --- units ---

property() {
    systemctl show --value --property="$2" "$1"
}

main_pid() {
    property "$1" MainPID
}

# So many instances are registered and active.
active_is() {
    [[ $(member fastworker workers --json=short 2>/dev/null | jq .active_subworkers) == "$1" ]]
}

# The services from nothing: no tasks, settings as installed but for the example tasks, nothing up but controld's
# sockets.
fresh() {
    systemctl --quiet stop 'fastworker-subworker@*.socket' 'fastworker-subworker@*.service' \
        fastworker-subworker.target 'fastworker-controld*'
    systemctl reset-failed 'fastworker*' 2>/dev/null || true
    rm -rf /run/systemd/system/fastworker*.d /etc/fastworker/{controld,subworkerd}.conf.d /etc/fastworker/subworker@*.conf
    find /var/lib/fastworker -mindepth 1 -delete
    mkdir -p /etc/fastworker/{controld,subworkerd}.conf.d
    printf '[Subworker]\nTaskModules=mytasks\n' >/etc/fastworker/subworkerd.conf.d/10-tasks.conf
    systemctl daemon-reload
    systemctl start fastworker-controld.socket fastworker-controld-worker.socket
}

# start_subworkers N: the instances 1 to N, registered.
start_subworkers() {
    local i units=()
    for ((i = 1; i <= $1; i++)); do
        units+=("fastworker-subworker@$i.service")
    done
    systemctl start "${units[@]}"
    wait_until 20 "$1 active subworkers" active_is "$1"
}

# --- tasks ---

# task_lines N NAME ARGUMENTS: input for "fastworker batch".
task_lines() {
    local line
    printf -v line '{"task_name":"%s","args":%s}' "$2" "$3"
    yes "$line" 2>/dev/null | head -n "$1" || true
}

# start_load N NAME ARGUMENTS: a member of the group submits N tasks and waits for all of them, in the background. Its
# output is in $place/load.*. With a window of its own size all of them are in the hands of the coordinator at once.
start_load() {
    task_lines "$@" >"$place/load.in"
    : >"$place/load.out"
    : >"$place/load.err"
    load_size=$1
    member fastworker batch --timeout=120 --window="${load_window:-1000}" \
        <"$place/load.in" >"$place/load.out" 2>"$place/load.err" &
    load_pid=$!
    background+=("$load_pid")
}

load_done() {
    wc -l <"$place/load.out"
}

load_is_at() {
    (($(load_done) >= $1))
}

# The client is content, it has one result for each of its lines, and all are successes.
finish_load() {
    local r=0
    wait "$load_pid" || r=$?
    cat "$place/load.err"
    equal "exit status of fastworker batch" "$r" 0
    equal "what the client wrote to standard error" "$(cat "$place/load.err")" ""
    equal "results" "$(load_done)" "$load_size"
    equal "different tasks" "$(jq -r .task_id "$place/load.out" | sort -u | wc -l)" "$load_size"
    equal "different lines" "$(jq .line "$place/load.out" | sort -u | wc -l)" "$load_size"
    equal "states" "$(jq -r .status "$place/load.out" | sort | uniq -c | xargs)" "$load_size success"
    equal "tasks that have not ended" "$(unfinished)" 0
}

unfinished() {
    local status n=0
    for status in queued assigned running; do
        n=$((n + $(member fastworker list --status=$status --limit=0 --json=short | jq '.tasks | length')))
    done
    printf '%s\n' "$n"
}

# --- the journal ---

# From here on: "journal" shows what came since, with journalctl's options. (Not with a cursor: journalctl 252 leaves
# out the first entry when it is given a match as well.)
mark_journal() {
    since=@$EPOCHREALTIME
}

journal() {
    journalctl --sync
    journalctl --quiet --no-pager --since="$since" "$@"
}

journal_has() {
    local pattern=$1
    shift
    journal "$@" --output=cat >"$place/journal"
    grep -qE -- "$pattern" "$place/journal"
}
