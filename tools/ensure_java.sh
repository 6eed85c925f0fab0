#!/bin/sh
# Tests of mobile/android run in Java 17 and Maven; install them where we may, else say so and fail.
set -u
command -v mvn >/dev/null 2>&1 && command -v java >/dev/null 2>&1 && exit 0
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    apt-get update -qq && apt-get install -y -qq --no-install-recommends openjdk-17-jdk-headless maven >/dev/null && exit 0
fi
echo "expected Java 17 and Maven, received none; install a JDK and Maven" >&2
exit 1
