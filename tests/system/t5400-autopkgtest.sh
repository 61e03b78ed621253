#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The packages' own tests, debian/tests, run on the host as autopkgtest runs them, but for those that break it.

# shellcheck source-path=SCRIPTDIR source=host-lib.sh
. "$(dirname "$0")/host-lib.sh"

tests=$(dirname "$0")/autopkgtest
n=0

# Names of tests and their restrictions, from the stanzas of debian/tests/control.
list() {
    sed '/^#/d' "$tests/control" | awk -v RS= '{
        names = restrictions = ""
        n = split($0, lines, "\n")
        for (i = 1; i <= n; i++) {
            if (sub(/^Tests: */, "", lines[i])) names = lines[i]
            if (sub(/^Restrictions: */, "", lines[i])) restrictions = lines[i]
        }
        m = split(names, name, /[ ,]+/)
        for (i = 1; i <= m; i++) print name[i], restrictions
    }'
}

fresh
rm -f /etc/fastworker/subworkerd.conf.d/10-tasks.conf
systemctl start fastworker-controld fastworker-subworker.target
while read -r name restrictions; do
    [[ $restrictions != *breaks-testbed* ]] || continue
    say "== $name"
    mkdir "$place/$name"
    (cd "$place" && AUTOPKGTEST_TMP=$place/$name AUTOPKGTEST_ARTIFACTS=$place/$name bash -c '"$0"' "$tests/$name" </dev/null) ||
        fail "debian/tests/$name ends with status $?"
    n=$((n + 1))
done < <(list)
((n > 0)) || fail "debian/tests/control names no tests"
result "$n tests"
