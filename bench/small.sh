#!/usr/bin/env bash
# How small can it go: bench/small.sh [HEAP...] starts ./run.sh with each heap (such as 16m), lets 10 and then 256 clients chat
# for five seconds each (the provider takes 50 ms), and prints what was answered and how much memory the process took.
set -euo pipefail
cd "$(dirname "$0")/.."
home=$PWD PORT=18080 SLOW=18082
command -v wrk >/dev/null || { echo "wrk is missing: apt-get install wrk" >&2; exit 1; }
[ $# -gt 0 ] || set -- 8m 10m 12m 16m 24m 32m 64m 128m 256m
work=$(mktemp -d)
started=()
trap 'kill "${started[@]}" 2>/dev/null || true; rm -rf "$work"' EXIT
printf 'PORT=%s\nGEMINI_API_KEY=none\nGEMINI_BASE_URL=http://127.0.0.1:%s\n' $PORT $SLOW > "$work/.env"
export JAVA_HOME=${JAVA_HOME:-$(dirname "$(dirname "$(readlink -f "$(command -v java)")")")}
"$JAVA_HOME/bin/java" -Xmx256m bench/Provider.java $SLOW 50 & started+=($!)
until curl -s -m 5 -o "$work/answer" -d hello "http://127.0.0.1:$SLOW"; do sleep 0.1; done
(cd "$work" && "$home/run.sh" --version)

load() { # load CLIENTS: turns a second, and what was not answered well
  wrk -t1 -c"$1" -d5s -s bench/chat.lua "http://127.0.0.1:$PORT/chat" -- "r$RANDOM$RANDOM" "$((2 * $1))" | sed -n 's/^RESULT //p' | awk '{printf "%d, %d failed", $1, $4}'
}
memory() { # memory FIELD PID: in MB, and nothing where the process has ended
  awk -v field="^$1:" '$0 ~ field {printf "%d", $2 / 1024}' "/proc/$2/status" 2>/dev/null || true
}

echo "| heap | resident at the start | 10 clients: turns a second | 256 clients | most resident |"
echo "| --- | --- | --- | --- | --- |"
for heap in "$@"; do
  (cd "$work" && JAVA_OPTS="-Xmx$heap" exec "$home/run.sh" > "$work/log" 2>&1) & parley=$!
  started+=("$parley")
  for _ in $(seq 100); do curl -s -o "$work/answer" "http://127.0.0.1:$PORT/health" && break; sleep 0.1; done
  idle=$(memory VmRSS "$parley")
  [ -n "$idle" ] || { echo "| $heap | does not start | | | |"; continue; }
  ten=$(load 10) many=$(load 256)
  most=$(memory VmHWM "$parley")
  most=${most:+$most MB}
  echo "| $heap | $idle MB | $ten | $many | ${most:-it has ended} |"
  kill "$parley" 2>/dev/null && wait "$parley" || true
done
