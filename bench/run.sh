#!/usr/bin/env bash
# Measures Parley against what a person would write instead, and against the JDK's own parts with nothing between (bench/peers):
# bench/run.sh [JDK-FOLDER...] prints the tables, and writes bench/work/results.md and docs/performance.svg. Under ten minutes a JDK.
# Installs by name what is missing, as root: wrk, python3, node with npm, Maven. Linux only; everything stays on 127.0.0.1.
set -euo pipefail
cd "$(dirname "$0")"
need() { command -v "$1" >/dev/null || { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -yq "${@:2}"; } >/dev/null 2>&1; }
need wrk wrk; need python3 python3; need npm nodejs npm; need mvn maven; need curl curl
[ $# -gt 0 ] || set -- "${JAVA_HOME:-$(dirname "$(dirname "$(readlink -f "$(command -v java)")")")}"
mkdir -p work
[ -d peers/express/node_modules ] || npm install --silent --no-audit --no-fund --prefix peers/express >/dev/null
[ -d peers/javalin/target/lib ] || JAVA_HOME=$1 mvn -q -B -f peers/javalin/pom.xml package >/dev/null
exec python3 bench.py "$@"
