#!/bin/sh
# Tests run the JavaScript of mobile/web in Node, and its page needs npm; install them where we may, else they say so.
set -u
command -v node >/dev/null 2>&1 && command -v npm >/dev/null 2>&1 && exit 0
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    apt-get update -qq && apt-get install -y -qq --no-install-recommends nodejs npm >/dev/null && exit 0
fi
echo "Node or npm is missing: tests of mobile/web will be skipped, those of its page fail" >&2
