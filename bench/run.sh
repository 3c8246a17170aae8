#!/usr/bin/env bash
# Measures Parley against the provider asked directly: bench/run.sh [--main | --small] [JDK-FOLDER...]
#   --main   started by java Main.java (the default); --small: by ./run.sh, with its flags
# Prints ratios of medians over interleaved rounds, and the methods that took the time (JFR); writes the table to bench/table.md.
# Needs wrk (Debian: apt-get install wrk) and Linux. Two minutes a JDK.
set -euo pipefail
cd "$(dirname "$0")/.."
home=$PWD
way=--main
case ${1:-} in --main | --small) way=$1; shift ;; esac
[ $# -gt 0 ] || set -- "${JAVA_HOME:-$(dirname "$(dirname "$(readlink -f "$(command -v java)")")")}"
command -v wrk >/dev/null || { echo "wrk is missing: apt-get install wrk" >&2; exit 1; }
PORT=18080 PROVIDER=18081 SLOW=18082 ROUNDS=3 SECONDS_EACH=3
work=$(mktemp -d)
started=()
trap 'kill "${started[@]}" 2>/dev/null || true; rm -rf "$work"' EXIT

await() { until curl -s -o "$work/answer" "$@"; do sleep 0.005; done; }
wrk_() { wrk -t1 -c"$2" -d"${4:-$SECONDS_EACH}s" -s bench/chat.lua "http://127.0.0.1:$1$3" -- "r$RANDOM$RANDOM" | sed -n 's/^RESULT //p'; }
ticks() { awk '{print $14 + $15}' "/proc/$1/stat"; }
resident() { awk '/^VmRSS/ {printf "%d", $2 / 1024}' "/proc/$1/status"; }
median() { sort -n | awk '{a[NR] = $1} END {print a[int((NR + 1) / 2)]}'; }
column() { awk -v c="$1" '{print $c}' "$2"; }

settings() { # settings PROVIDER-PORT: the edit takes effect at the next request
  cat > "$work/.env" <<END
PORT=$PORT
GEMINI_API_KEY=none
GEMINI_BASE_URL=http://127.0.0.1:$1
SYSTEM_INSTRUCTIONS=You are a helpful assistant.
END
  sleep 0.1
}

row() { # row CONNECTIONS MILLISECONDS PROVIDER-PORT
  settings "$3"
  : > "$work/parley"; : > "$work/direct"
  for _ in $(seq $ROUNDS); do
    wrk_ "$3" "$1" /v1beta/models/m:streamGenerateContent >> "$work/direct"
    before=$(ticks "$parley")
    result=$(wrk_ $PORT "$1" /chat)
    echo "$result $(( ($(ticks "$parley") - before) * 10000 / $(echo "$result" | awk '{print $5}') ))" >> "$work/parley"
  done
  ours=$(column 1 "$work/parley" | median) theirs=$(column 1 "$work/direct" | median)
  echo "| $1 connection$([ "$1" = 1 ] || echo s), provider after $2 ms | $ours | $(awk "BEGIN {printf \"%.2f\", $ours / $theirs}") | $(column 2 "$work/parley" | median) | $(column 3 "$work/parley" | median) \
| $(awk "BEGIN {printf \"%.2f\", $(column 6 "$work/parley" | median) / 1000}") | $(column 4 "$work/parley" | awk '{n += $1} END {print n}') |"
}

table() {
  echo "$(date +%F), $(nproc) cores of $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), JDK $("$jdk/bin/java" -version 2>&1 | sed -n '1s/.*"\(.*\)".*/\1/p'), $1"
  echo
  echo "| POST /chat | turns a second | of direct | median ms | 99 % ms | CPU ms a turn | errors |"
  echo "| --- | --- | --- | --- | --- | --- | --- |"
  row 32 0 $PROVIDER
  row 256 50 $SLOW
  row 1 0 $PROVIDER
  loaded=$(resident "$parley")
  sleep 10
  echo
  echo "First answer ${first} ms after the start; resident ${idle} MB then, ${loaded} MB at the end of the load, $(resident "$parley") MB 10 s later."
}

for delay in 0:$PROVIDER 50:$SLOW; do
  "$1/bin/java" -Xmx256m bench/Provider.java "${delay#*:}" "${delay%:*}" & started+=($!)
  await "http://127.0.0.1:${delay#*:}" -m 5 -d hello
done
for jdk in "$@"; do
  settings $PROVIDER
  if [ $way = --main ]; then command=("$jdk/bin/java" "$home/Main.java"); name="java Main.java"; else command=("$home/run.sh"); name="./run.sh"; fi
  export JAVA_HOME=$jdk
  if [ $way = --small ]; then (cd "$work" && "$home/run.sh" --version); fi # compiles
  begun=$(date +%s%N)
  (cd "$work" && exec "${command[@]}" >> "$work/log" 2>&1) & parley=$!
  started+=("$parley")
  await "http://127.0.0.1:$PORT/health"
  first=$(( ($(date +%s%N) - begun) / 1000000 )) idle=$(resident "$parley")
  wrk_ $PORT 32 /chat 10 > /dev/null # warm
  table "$name" | tee "$work/table-$(basename "$jdk")"
  settings $PROVIDER
  "$jdk/bin/jcmd" "$parley" JFR.start name=bench settings=profile > /dev/null
  wrk_ $PORT 32 /chat 5 > /dev/null
  "$jdk/bin/jcmd" "$parley" JFR.dump name=bench filename="$work/bench.jfr" > /dev/null
  "$jdk/bin/jfr" view hot-methods "$work/bench.jfr"
  "$jdk/bin/jfr" view allocation-by-site "$work/bench.jfr"
  kill "$parley"
  wait "$parley" || true
done
cat "$work"/table-* > bench/table.md
