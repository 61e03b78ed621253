#!/bin/bash
# SPDX-License-Identifier: MIT
#
# From a clean tree on Debian 12 to real tasks run by two subworkers: ./quickstart.sh
#
# Installs what the build needs (apt-get, only what is missing), builds in build/, starts a coordinator and
# two subworkers from there, gives them work, checks the results, and stops everything. With --keep
# the programs go on running. Nothing is installed and nothing is written outside build/ and a directory
# below /tmp.

set -euo pipefail

top=$(cd "$(dirname "$0")" && pwd)
build=$top/build
fastworker=$build/fastworker
keep=no
dir=
pids=()

packages=(
    autoconf autoconf-archive automake build-essential libtool pkg-config
    libglib2.0-dev libinih-dev libjson-c-dev libmd-dev libsmartcols-dev libsqlite3-dev libsystemd-dev libzmq3-dev uthash-dev
)

if [[ -t 1 ]]; then
    bold=$'\e[1m' normal=$'\e[0m'
else
    bold='' normal=''
fi

title() {
    printf '\n%s%s%s\n' "$bold" "$*" "$normal"
}

note() {
    printf '%s\n' "${1:+  $1}"
}

fail() {
    printf 'quickstart.sh: %s\n' "$*" >&2
    exit 1
}

# --- leaving ---

stop_all() {
    local pid
    for pid in ${pids[@]+"${pids[@]}"}; do
        kill -TERM "$pid" 2>/dev/null || true
    done
    for pid in ${pids[@]+"${pids[@]}"}; do
        wait "$pid" 2>/dev/null || true
    done
    pids=()
}

show_logs() {
    local log
    for log in "$dir"/*.log; do
        [[ -s $log ]] || continue
        printf '%s\n' "--- $(basename "$log")" >&2
        tail -n 20 "$log" >&2
    done
}

on_exit() {
    local r=$?
    trap - EXIT
    if [[ -n $dir ]]; then
        ((r == 0)) || show_logs
        if [[ $keep == no ]] || ((r != 0)); then
            stop_all
            rm -rf "$dir"
        fi
    fi
    exit "$r"
}
trap on_exit EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# --- building ---

install_packages() {
    local package missing=() sudo=()
    for package in "${packages[@]}"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
            missing+=("$package")
    done
    ((${#missing[@]} == 0)) && return
    title "Installing ${missing[*]}"
    if ((EUID != 0)); then
        command -v sudo >/dev/null || fail "please run as root: apt-get install ${missing[*]}"
        sudo=(sudo)
    fi
    quietly "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q update
    quietly "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends \
        install "${missing[@]}"
}

# Runs a command, and shows what it printed only if it fails.
quietly() {
    if ! "$@" >"$dir/command.out" 2>&1 </dev/null; then
        tail -n 60 "$dir/command.out" >&2
        fail "this failed: $*"
    fi
}

build_all() {
    title "Building in ${build#"$PWD"/}"
    if [[ ! -x $top/configure || $top/configure.ac -nt $top/configure ||
        $top/Makefile.am -nt $top/Makefile.in ]]; then
        cd "$top"
        quietly autoreconf -fi
    fi
    mkdir -p "$build"
    cd "$build"
    [[ -f Makefile && Makefile -nt $top/configure ]] || quietly "$top/configure" -q
    quietly make -j"$(nproc)"
    quietly make -j"$(nproc)" examples/mytasks.la
    note "done"
}

# --- starting ---

# Whether anything listens at the port (state 0A), on whatever address.
is_taken() {
    local port
    printf -v port '%04X' "$1"
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -qE "^ *[0-9]+: [0-9A-F]+:$port [0-9A-F:]+ 0A "
}

# The documented ports; if one of them is in use, five others in a row.
choose_ports() {
    local port taken attempt
    client_port=5555 discovery_port=5550 worker_port=5560 first_port=5561 second_port=5565
    for attempt in {0..50}; do
        taken=
        for port in $client_port $discovery_port $worker_port $first_port $second_port; do
            ! is_taken "$port" || taken=$port
        done
        [[ -n $taken ]] || return 0
        ((attempt > 0)) || note "port $taken is in use: taking others"
        port=$((20000 + RANDOM % 12000))
        client_port=$port discovery_port=$((port + 1)) worker_port=$((port + 2))
        first_port=$((port + 3)) second_port=$((port + 4))
    done
    fail "no free ports found on 127.0.0.1"
}

# setsid keeps Ctrl-C in this terminal from reaching the daemons before we stop them in order, and lets them
# stay with --keep.
start() {
    local name=$1
    shift
    setsid "$@" >"$dir/$name.log" 2>&1 </dev/null &
    pids+=($!)
}

start_all() {
    local address discovery modules=mytasks,disk-usage
    export FASTWORKER_MODULE_PATH=$build/examples/.libs:$top/examples
    [[ ! -x /usr/bin/python3 ]] || modules+=,texts
    export STATE_DIRECTORY=$dir/state PYTHONDONTWRITEBYTECODE=1

    title "Starting a coordinator and two subworkers"
    choose_ports
    address=tcp://127.0.0.1:$client_port discovery=tcp://127.0.0.1:$discovery_port
    RUNTIME_DIRECTORY=$dir/run start control-plane "$fastworker" control-plane \
        --base-address "$address" --discovery-address "$discovery" \
        --subworker-port "$worker_port"
    RUNTIME_DIRECTORY=$dir/run1 start sw1 "$fastworker" subworker --worker-id sw1 \
        --control-plane-address "$address" \
        --base-address "tcp://127.0.0.1:$first_port" --task-modules "$modules"
    RUNTIME_DIRECTORY=$dir/run2 start sw2 "$fastworker" subworker --worker-id sw2 \
        --control-plane-address "$address" \
        --base-address "tcp://127.0.0.1:$second_port" --task-modules "$modules"
    export FASTWORKER_BASE_ADDRESS=$address

    quietly "$fastworker" ping --timeout 30
    wait_for_subworkers
    note "clients: $address   subworkers: port $worker_port   discovery: $discovery"
}

wait_for_subworkers() {
    local deadline=$((SECONDS + 30)) pid
    until [[ $("$fastworker" workers --json=short) =~ \"active_subworkers\":([2-9]|[1-9][0-9]) ]]; do
        for pid in "${pids[@]}"; do
            kill -0 "$pid" 2>/dev/null || fail "one of the programs has ended"
        done
        ((SECONDS < deadline)) || fail "the subworkers did not register within 30 seconds"
        sleep 0.1
    done
}

# --- working ---

show_command() {
    printf '  %s$ %s%s\n' "$bold" "$*" "$normal"
}

indent() {
    sed 's/^./  &/'
}

add_two_numbers() {
    local result
    title "A first task"
    show_command fastworker submit --task-name add --args 5 3
    result=$("$fastworker" submit --task-name add --args 5 3)
    note "$result"
    [[ $result == 8 ]] || fail "add(5, 3) gave \"$result\" instead of 8"
}

# A command of the system, and a function in Python.
other_kinds() {
    local result wanted directory=/usr/share/common-licenses
    title "Tasks that are no C"
    show_command fastworker submit --task-name disk-usage --args "$directory"
    result=$("$fastworker" submit --task-name disk-usage --args "$directory")
    note "$result"
    wanted=$(du --summarize --bytes "$directory")
    [[ $result == "\"${wanted//$'\t'/\\t}\"" ]] || fail "du says $wanted"
    [[ -x /usr/bin/python3 ]] || return 0
    show_command fastworker submit --task-name top_words --args "'to be or not to be'"
    result=$("$fastworker" submit --task-name top_words --args 'to be or not to be')
    note "$result"
    [[ $result == '[["to",2],["be",2],["or",1]]' ]] || fail "these are not the most frequent words"
}

# One task a file, given to "fastworker batch" as lines of JSON; results come back as they end, with the number
# of their line.
hash_files() {
    local files=(/usr/share/common-licenses/*) file
    title "The SHA-256 of ${#files[@]} files, computed by tasks"
    show_command "fastworker batch <tasks.ndjson    # {\"task_name\":\"sha256\",\"args\":[\"${files[0]}\"]} ..."
    for file in "${files[@]}"; do
        printf '{"task_name":"sha256","args":["%s"]}\n' "$file"
    done >"$dir/tasks.ndjson"
    "$fastworker" batch <"$dir/tasks.ndjson" >"$dir/results.ndjson"
    sed -nE 's/^\{"line":([0-9]+),.*"result":"([0-9a-f]{64})".*/\1 \2/p' "$dir/results.ndjson" |
        sort -n | cut -d ' ' -f 2 | paste -d ' ' - <(printf ' %s\n' "${files[@]}") >"$dir/by-tasks"
    sha256sum "${files[@]}" >"$dir/by-sha256sum"
    sed 's|/usr/share/common-licenses/||' "$dir/by-tasks" | indent
    cmp -s "$dir/by-tasks" "$dir/by-sha256sum" ||
        fail "sha256sum says otherwise: $(diff "$dir/by-tasks" "$dir/by-sha256sum" || true)"
    note "sha256sum says the same."
}

# Six times 0.2 s: about 0.6 s on two subworkers, each of which runs one task at a time.
sleep_in_parallel() {
    local started=${EPOCHREALTIME/[.,]/} i
    title "Six tasks of 0.2 seconds each"
    show_command "fastworker batch <sleep.ndjson    # {\"task_name\":\"sleep\",\"args\":[0.2]} ..."
    for i in {1..6}; do
        printf '{"task_name":"sleep","args":[0.2],"key":"%s-%s"}\n' "$started" "$i"
    done >"$dir/sleep.ndjson"
    "$fastworker" batch <"$dir/sleep.ndjson" >"$dir/slept.ndjson"
    note "done after $(((${EPOCHREALTIME/[.,]/} - started) / 1000)) ms"
}

show_workers() {
    title "Who did it"
    show_command fastworker workers
    "$fastworker" workers | indent
    wait_for_subworkers
}

say_goodbye() {
    title "That was it"
    note "The dashboard on port 8080 comes with the web daemon, which is not part of this version; its flags"
    note "(--gui-host, --gui-port, --no-gui) are accepted already."
    if [[ $keep == yes ]]; then
        note ""
        note "The programs go on running. To talk to them from this directory:"
        note "  export FASTWORKER_BASE_ADDRESS=$FASTWORKER_BASE_ADDRESS PATH=\"$build:\$PATH\""
        note "Their logs are in $dir. To stop them:"
        note "  kill ${pids[*]} && rm -r $dir"
    fi
}

usage() {
    printf 'usage: ./quickstart.sh [--keep]\n\n'
    printf 'Builds FastWorker, runs tasks on two subworkers, and stops them again; with --keep, leaves them running.\n'
}

main() {
    case ${1-} in
    '') ;;
    --keep) keep=yes ;;
    --help | -h)
        usage
        exit 0
        ;;
    *)
        usage >&2
        exit 2
        ;;
    esac
    dir=$(mktemp -d "${TMPDIR:-/tmp}/fastworker-quickstart.XXXXXX")
    # What the caller's shell says about another coordinator must not disturb this one.
    unset "${!FASTWORKER_@}"
    : >"$dir/empty.conf"
    export FASTWORKER_CONFIG=$dir/empty.conf

    install_packages
    build_all
    start_all
    add_two_numbers
    other_kinds
    hash_files
    sleep_in_parallel
    show_workers
    say_goodbye
}

main "$@"
