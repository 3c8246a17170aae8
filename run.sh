#!/bin/sh
# Starts Parley on the first JDK of 21 or later that is found: ./run.sh [--demo | --check | --env FILE]
# ./run.sh test runs the tests (with Maven). ./run.sh image DIR makes a folder that runs where there is no JDK.
# JAVA_OPTS is given to java. What it, JAVA_TOOL_OPTIONS or JDK_JAVA_OPTIONS chooses wins over the flags below.
set -eu
# In the locale C, Java opens no file whose path has a letter outside ASCII.
case ${LC_ALL:-${LC_CTYPE:-${LANG:-C}}} in C | POSIX) export LC_ALL=C.UTF-8 ;; esac
home=$(CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "$0" 2>/dev/null || echo "$0")")" && pwd)

# The JDK's own file "release" tells its version without starting it.
feature() { sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$1/release" 2>/dev/null || true; }

find_jdk() {
  found=
  on_path=$(command -v java 2>/dev/null || true)
  [ -z "$on_path" ] || on_path=$(dirname "$(dirname "$(readlink -f "$on_path" 2>/dev/null || echo "$on_path")")")
  for jdk in "${JAVA_HOME:-}" "$on_path" /usr/lib/jvm/* /opt/*jdk* /opt/java/* \
    "${HOME:-}"/.sdkman/candidates/java/* "${HOME:-}"/.jdks/* /Library/Java/JavaVirtualMachines/*/Contents/Home; do
    [ -n "$jdk" ] && [ -x "$jdk/bin/javac" ] || continue
    version=$(feature "$jdk")
    if [ "${version:-0}" -ge 21 ]; then return; fi
    found="$found $jdk (${version:-unknown})"
  done
  echo "Parley needs a JDK of 21 or later. Found:${found:- none}. Install one, or set JAVA_HOME to its folder." >&2
  exit 1
}

# Ends with one line for the tests that were skipped, and why.
run_tests() {
  command -v mvn >/dev/null || { echo "The tests need Maven: install it, so that 'mvn' is on the PATH." >&2; exit 1; }
  reports=$home/target/surefire-reports
  rm -f "$reports"/TEST-*.xml
  status=0
  JAVA_HOME=$jdk mvn -B -f "$home/pom.xml" test "$@" || status=$?
  sed -n 's/.*Assumption failed: \([^"]*\).*/\1/p' "$reports"/TEST-*.xml 2>/dev/null | sort | uniq -c |
    awk '{ n = $1; $1 = ""; all += n; why = why "," $0 " (" n ")" }
      END { if (all) print all " skipped:" substr(why, 2) }'
  exit $status
}

# Main.java builds the jar where it is not of these sources. To ask it takes longer than to start the jar, so its answer
# is kept: the checksums of the sources and the jar that belong together.
build() {
  case $jar in *:*) return 1 ;; esac # a class path cannot name it
  sources=$(LC_ALL=C && cd "$home" && cksum src/parley/* src/parley/*/* 2>/dev/null | cksum)
  known=$home/build/parley.sum
  [ "$(cat "$known" 2>/dev/null)" != "$sources $(cksum "$jar" 2>/dev/null)" ] || return 0
  mkdir -p "$home/build/try$$" 2>/dev/null && rmdir "$home/build/try$$" || return 1
  # What these hold is meant for Parley, such as a debugger's port. A stop while it builds is passed on.
  set -- -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dparley.build=only "$home/Main.java"
  (unset JAVA_TOOL_OPTIONS JDK_JAVA_OPTIONS _JAVA_OPTIONS && exec "$java" "$@") &
  builder=$!
  trap 'kill $builder; wait $builder; exit 143' INT TERM HUP
  wait $builder || exit
  trap - INT TERM HUP
  echo "$sources $(cksum "$jar")" >"$known"
}

own=" ${JAVA_TOOL_OPTIONS:-} ${JDK_JAVA_OPTIONS:-} ${_JAVA_OPTIONS:-} ${JAVA_OPTS:-}"
# Whether the person's own options hold one of these words, or name a file that may.
chosen() {
  for word in "$@" " @" Flags= VMOptionsFile=; do
    case $own in *"$word"*) return 0 ;; esac
  done
  return 1
}

# Small hosts: the quick compiler only, a bounded heap that shrinks after a load, and an end instead of half a life
# where even the JDK's own threads find no memory (what was acknowledged is on disk).
flags=
chosen Tiered Compil || flags="$flags -XX:TieredStopAtLevel=1"
chosen -Xms HeapSize InitialRAM || flags="$flags -Xms8m"
chosen -Xms -Xmx HeapSize RAM || flags="$flags -Xmx256m"
chosen HeapFreeRatio || flags="$flags -XX:MinHeapFreeRatio=5 -XX:MaxHeapFreeRatio=15"
chosen GC || flags="$flags -XX:+UseG1GC -XX:G1PeriodicGCInterval=1000"
chosen OutOfMemoryError || flags="$flags -XX:+ExitOnOutOfMemoryError"

# Quotes in JAVA_OPTS hold a word with blanks together, as they do in JDK_JAVA_OPTIONS. Nothing else in it is special.
start() {
  options=${JAVA_OPTS:-}
  case $options in
    *[\"\']*) options=$(printf %s "$options" | xargs printf '%s\n' | sed 's/[^-[:alnum:]+,./:=@_]/\\&/g' | tr '\n' ' ') ;;
    *) # shellcheck disable=SC2086 # these are several words
      exec "$java" $flags $options "$@" ;;
  esac
  eval "exec \"\$java\" $flags $options \"\$@\""
}

if [ -f "$home/parley.jar" ]; then # a folder that deploy/image.sh made
  java=$home/bin/java
  jar=$home/parley.jar
else
  find_jdk
  if [ "${1:-}" = test ]; then
    shift
    run_tests "$@"
  fi
  java=$jdk/bin/java
  jar=$home/build/parley.jar
  build || start "$home/Main.java" "$@" # it needs no jar in place, and no class path
  if [ "${1:-}" = image ]; then
    shift
    JAVA_HOME=$jdk exec "$home/deploy/image.sh" "$@"
  fi
fi

# What a server has loaded is kept at its first stop, and the next starts are faster by a quarter. What --version and
# its like load is too little.
case " $* " in
  *" --version "* | *" --help "* | *" --check "*) keep=- ;;
  *) keep=+ ;;
esac
set -- "-Dparley.home=$home" -jar "$jar" "$@"
# With an agent, such as a debugger's, or a flight recorder Java does not keep it, or does not start.
if ! chosen Archive -Xshare AOT agent -Xrun FlightRecord; then
  set -- "-XX:SharedArchiveFile=${jar%jar}jsa" "-XX:${keep}AutoCreateSharedArchive" "$@"
  set -- -Xlog:cds=off -Xlog:cds+dynamic=off "$@"
fi
start "$@"
