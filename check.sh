#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Builds and tests everything: ./check.sh, or ./check.sh STEP... for some steps only (--list names them).
# Installs missing test dependencies with apt-get if it may. Logs stay in build-check/logs.
# The last line says how many steps and tests passed and failed; the exit status is 1 if any failed.

# The steps are called by name: shellcheck takes them for unreachable.
# shellcheck disable=SC2317

set -uo pipefail

top=$(cd "$(dirname "$0")" && pwd)
work=$top/build-check
logs=$work/logs
jobs=$(nproc)
tail_lines=40 # of the log of what failed
passed=0 failed=0 skipped=0
total_names=(TOTAL PASS SKIP XFAIL FAIL XPASS ERROR)
declare -A totals=()

all_steps=(gcc clang sanitizers optimized format shellcheck codespell scripts distcheck packages host)

declare -A about=(
    [gcc]="gcc -Werror, make check"
    [clang]="clang -Werror, compiled"
    [sanitizers]="AddressSanitizer and UBSan, make check"
    [optimized]="gcc -O3 -DNDEBUG -Werror, compiled"
    [format]="clang-format on every C file"
    [shellcheck]="shellcheck on every shell script"
    [codespell]="codespell on every text"
    [scripts]="sizes, licence lines, words"
    [distcheck]="make distcheck"
    [packages]="Debian packages: twice the same, lintian"
    [host]="packages and units on a booted systemd"
)

packages=(
    autoconf autoconf-archive automake build-essential libtool pkg-config
    libglib2.0-dev libinih-dev libjson-c-dev libmd-dev libsmartcols-dev libsqlite3-dev libsystemd-dev libzmq3-dev uthash-dev
    apt-utils debhelper dpkg-dev fakeroot lintian pkgconf
    iproute2 mmdebstrap procps util-linux
    check clang clang-format-14 codespell git mandoc python3 python3-zmq scdoc shellcheck xz-utils
)

say() {
    printf '%s\n' "$*"
}

usage() {
    say "usage: ./check.sh [STEP...]"
    say
    local step
    for step in "${all_steps[@]}"; do
        printf '  %-12s %s\n' "$step" "${about[$step]}"
    done
}

# --- dependencies ---

missing_packages() {
    local package
    for package in "${packages[@]}"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || say "$package"
    done
}

install_packages() {
    local missing sudo=()
    mapfile -t missing < <(missing_packages)
    ((${#missing[@]} == 0)) && return 0
    if ((EUID != 0)); then
        if ! sudo -n true 2>/dev/null; then
            say "Missing packages: ${missing[*]}"
            say "As root: apt-get install ${missing[*]}"
            return 1
        fi
        sudo=(sudo -n)
    fi
    say "Installing: ${missing[*]}"
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q update &&
        "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends \
            install "${missing[@]}"
}

# --- the steps; each runs in a directory of its own, its output goes to the log ---

configure_in() {
    local directory=$1
    shift
    mkdir -p "$work/$directory" && cd "$work/$directory" || return 1
    "$top/configure" -q "$@"
}

step_gcc() {
    configure_in gcc --enable-werror CC=gcc CFLAGS='-O2 -g' &&
        make -j"$jobs" && make -j"$jobs" check VERBOSE=1
}

# "make check TESTS=" compiles the tests as well and runs none.
step_clang() {
    configure_in clang --enable-werror CC=clang CFLAGS='-O1 -g' &&
        make -k -j"$jobs" && make -k -j"$jobs" check TESTS=
}

step_sanitizers() {
    configure_in sanitizers --enable-werror --enable-sanitizers CC=gcc CFLAGS='-O1 -g' &&
        make -j"$jobs" && make -j"$jobs" check VERBOSE=1
}

step_optimized() {
    configure_in optimized --enable-werror CC=gcc CFLAGS='-O3' CPPFLAGS='-DNDEBUG' &&
        make -k -j"$jobs"
}

step_format() {
    local out=$logs/format.out
    c_files | xargs -0 clang-format-14 --dry-run -Werror >"$out" 2>&1 && return
    cat "$out"
    say "clang-format-14 -i would change:"
    sed -nE 's/^([^: ]+\.[ch]):[0-9]+:[0-9]+: error: code should be.*/\1/p' "$out" | sort | uniq -c
    return 1
}

step_shellcheck() {
    shell_scripts | xargs -0 shellcheck -x
}

step_codespell() {
    # Words that are wrong on purpose in tests.
    cd "$top" && codespell --skip='tests/corpus,tests/vectors' --ignore-words-list=nd,te,unknow \
        README.md check.sh configure.ac Makefile.am quickstart.sh \
        catalog debian doc etc examples include man scripts src tests tools
}

step_scripts() {
    local r=0 script
    for script in check-file-size check-spdx check-words; do
        say "== scripts/$script"
        "$top/scripts/$script" || r=1
    done
    return "$r"
}

step_distcheck() {
    configure_in distcheck CC=gcc CFLAGS='-O1' &&
        make -j"$jobs" distcheck DISTCHECK_CONFIGURE_FLAGS="CC=gcc CFLAGS=-O1" VERBOSE=1 &&
        compare_with_tarball
}

# What is under version control is to be in the tarball.
compare_with_tarball() {
    local tarball missing
    git -C "$top" rev-parse --git-dir >/dev/null 2>&1 || return 0
    tarball=$(echo "$work"/distcheck/fastworker-*.tar.xz)
    missing=$(comm -23 <(git -C "$top" ls-files | grep -v '^\.gitignore$' | sort) \
        <(tar -tf "$tarball" | sed 's|^[^/]*/||' | sort))
    [[ -z $missing ]] || { say "Not in $tarball, see EXTRA_DIST:" && say "$missing" && return 1; }
}

# The packages stay in build-check/packages.
step_packages() {
    DEB_BUILD_OPTIONS="nocheck parallel=$jobs" "$top/scripts/check-packages" "$work/packages"
}

# Of the packages of the step before, if that has just been run.
step_host() {
    local options=(--logs="$work/host")
    [[ " ${steps[*]} " != *" packages "* ]] || options+=(--packages="$work/packages")
    "$top/tests/host/check" "${options[@]}"
}

c_files() {
    find "$top"/src "$top"/include "$top"/examples "$top"/tests -name '*.[ch]' -print0
}

# Everything whose first line calls for a shell.
shell_scripts() {
    local places=() place
    for place in .ci check.sh debian quickstart.sh scripts systemd tests tools; do
        [[ ! -e $top/$place ]] || places+=("$top/$place")
    done
    find "${places[@]}" -type f -print0 |
        xargs -0 grep -lZE -m1 '^#!(/usr)?/bin/(env )?(ba|da)?sh\b'
}

# --- running and counting ---

# Adds automake's totals from the summary in the step's log. (test-suite.log, printed when a test fails, has the
# same lines once more.)
count_tests() {
    local log=$1 name n
    while read -r name n; do
        totals[$name]=$((${totals[$name]:-0} + n))
        case $name in
        PASS | XFAIL) passed=$((passed + n)) ;;
        FAIL | XPASS | ERROR) failed=$((failed + n)) ;;
        SKIP) skipped=$((skipped + n)) ;;
        esac
    done < <(sed -nE '/^Testsuite summary for/,/^# ERROR:/s/^# ([A-Z]+): +([0-9]+)$/\1 \2/p' "$log")
}

# Says why tests were skipped, and shows the end of the log of each one that failed. Returns 1 if one did.
show_tests() {
    local trs result test r=0
    while read -r trs; do
        result=$(sed -n 's/^:global-test-result: //p' "$trs")
        test=${trs#"$work/"}
        test=${test%.trs}
        case $result in
        SKIP) say "      skipped $test: $(grep -v '^SKIP ' "$work/$test.log" | grep . | tail -n 1)" ;;
        FAIL | ERROR | XPASS)
            say "      $result $work/$test.log"
            tail -n "$tail_lines" "$work/$test.log" | sed 's/^/      | /'
            r=1
            ;;
        esac
    done < <(find "$work/$1" -name '*.trs' 2>/dev/null | sort)
    return $r
}

# make distcheck leaves a read-only tree behind when it fails.
remove() {
    [[ ! -d $1 ]] || { chmod -R u+w "$1" && rm -rf "$1"; }
}

run_step() {
    local step=$1 log=$logs/$1.log start=$SECONDS r=0
    printf '%-12s %-42s ' "$step" "${about[$step]}"
    remove "$work/$step"
    ("step_$step") >"$log" 2>&1 </dev/null || r=$?
    if ((r == 0)); then
        passed=$((passed + 1))
        printf 'ok      %4d s\n' $((SECONDS - start))
    elif ((r == 77)); then
        skipped=$((skipped + 1))
        printf 'skipped %4d s   %s\n' $((SECONDS - start)) "$(sed -n 's/^skipped: //p' "$log" | tail -n 1)"
        return
    else
        failed=$((failed + 1))
        printf 'FAILED  %4d s   %s\n' $((SECONDS - start)) "$log"
    fi
    count_tests "$log"
    if show_tests "$step" && ((r != 0)); then
        tail -n "$tail_lines" "$log" | sed 's/^/      | /'
    fi
}

needs_configure() {
    [[ " $* " =~ \ (gcc|clang|sanitizers|optimized|distcheck)\  ]]
}

make_configure() {
    (cd "$top" && autoreconf -fi) >"$logs/autoreconf.log" 2>&1 && return
    say "autoreconf failed:"
    tail -n 40 "$logs/autoreconf.log"
    return 1
}

finish() {
    local name line=
    for name in "${total_names[@]}"; do
        line+="# $name: ${totals[$name]:-0}  "
    done
    ((${#totals[@]} > 0)) && say "${line%  }"
    if ((skipped > 0)); then
        say "$passed passed, $failed failed, $skipped skipped"
    else
        say "$passed passed, $failed failed"
    fi
    ((failed == 0))
    exit
}

main() {
    local steps=("$@") step
    ((${#steps[@]} > 0)) || steps=("${all_steps[@]}")
    for step in "${steps[@]}"; do
        case $step in
        --list | --help | -h)
            usage
            exit 0
            ;;
        esac
        if [[ ! -v about[$step] ]]; then
            say "check.sh: no step is called $step" >&2
            usage >&2
            exit 2
        fi
    done

    mkdir -p "$logs" || exit 1
    if ! install_packages; then
        failed=1
        finish
    fi
    if needs_configure "${steps[@]}" && ! make_configure; then
        failed=1
        finish
    fi
    for step in "${steps[@]}"; do
        run_step "$step"
    done
    finish
}

main "$@"
