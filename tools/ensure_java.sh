#!/bin/sh
# Tests of mobile/android run in Java 17 and Maven; install them where we may, else say so and fail.
set -u
command -v mvn >/dev/null 2>&1 && command -v java >/dev/null 2>&1 && exit 0
"$(dirname "$0")/apt_install.sh" openjdk-17-jdk-headless maven && exit 0
echo "expected Java 17 and Maven, received none; install a JDK and Maven" >&2
exit 1
