#!/usr/bin/env bash
# Bring Debian's PostgreSQL packages that are installed here to their newest minor release, so that the tests meet what a server
# of today does. Needs root and apt-get; elsewhere it changes nothing. ZANITH_KEEP_POSTGRESQL=1 keeps what is installed. The
# header of the test run says which minor releases it runs on.
set -uo pipefail

[[ -z ${ZANITH_KEEP_POSTGRESQL:-} && $EUID -eq 0 ]] || exit 0
command -v apt-get >/dev/null && command -v dpkg-query >/dev/null || exit 0
mapfile -t installed < <(dpkg-query --show --showformat='${db:Status-Abbrev}${Package}\n' 'postgresql-[0-9]*' 'postgresql-client-[0-9]*' 2>/dev/null |
    sed -n 's/^ii *//p')
((${#installed[@]})) || exit 0

export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update --quiet --quiet &&
    apt-get install --quiet --quiet --yes --no-install-recommends --only-upgrade "${installed[@]}"; } >/dev/null 2>&1; then
    echo "PostgreSQL's packages could not be brought to their newest minor release: the tests run on what is installed" >&2
fi
