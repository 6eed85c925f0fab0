#!/bin/sh
# Tests run the JavaScript of mobile/web in Node; install it where we may, else they say so and skip.
set -u
command -v node >/dev/null 2>&1 && exit 0
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    apt-get update -qq && apt-get install -y -qq --no-install-recommends nodejs >/dev/null && exit 0
fi
echo "Node is missing: tests of mobile/web will be skipped" >&2
