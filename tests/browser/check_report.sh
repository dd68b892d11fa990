#!/usr/bin/env bash
# Opens a report in headless Chromium and fails when its scripts did not finish, when the console holds an error
# (content security policy included), or when anything but the file itself was asked for.
#   tests/browser/check_report.sh REPORT.html [SCREENSHOT_FOLDER]
# Exit 0 fine, 1 not, 77 no Chromium.
set -euo pipefail
report=$(realpath "$1")
shots=${2:-}
browser=
for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null; then
        browser=$(command -v "$name")
        break
    fi
done
[ -n "$browser" ] || { echo "skipped: no Chromium" >&2; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
browse() {
    timeout 120 "$browser" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-dev-shm-usage \
        --disable-background-networking --disable-component-update --disable-sync --disable-default-apps \
        --disable-extensions --hide-scrollbars --user-data-dir="$work/profile" --enable-logging=stderr --v=0 \
        --virtual-time-budget=8000 --log-net-log="$work/net.json" "$@" "file://$report" 2>"$work/log"
}
failed=0
browse --window-size=1280,900 --dump-dom >"$work/dom.html" || failed=1
if ! grep -q 'data-ready="yes"' "$work/dom.html"; then
    echo "the report's scripts did not finish" >&2
    failed=1
fi
if grep -E 'CONSOLE' "$work/log" >&2; then
    echo "the console is not empty" >&2
    failed=1
fi
# Chromium itself may look for updates; what counts is what the page starts.
if grep -oE '"(initiator|site_for_cookies)":"[^"]*"|"url":"(https?|wss?|ftp):[^"]*"' "$work/net.json" |
    grep -E '"url":' | grep -vE 'google|gstatic|gvt1|chromium|chrome' >&2; then
    echo "something was asked for over the network" >&2
    failed=1
fi
if [ -n "$shots" ]; then
    mkdir -p "$shots"
    browse --window-size=1440,1000 --screenshot="$shots/desktop.png" >/dev/null
    browse --window-size=1440,9000 --screenshot="$shots/desktop-whole.png" >/dev/null
    browse --window-size=500,6500 --screenshot="$shots/narrow-whole.png" >/dev/null
fi
exit $failed
