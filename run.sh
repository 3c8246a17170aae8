#!/bin/sh
# Starts Parley on the first JDK of 21 or later that is found: ./run.sh [--demo | --check | --env FILE]
# ./run.sh test runs the tests (with Maven). ./run.sh image DIR makes a folder that runs where there is no JDK (with jlink).
# JAVA_OPTS is given to java, after the flags below.
set -eu
home=$(cd "$(dirname "$0")" && pwd)
build=$home/build

# The JDK's own file "release" tells its version without starting it.
feature() { sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$1/release" 2>/dev/null || true; }

found=
on_path=$(command -v java 2>/dev/null || true)
[ -z "$on_path" ] || on_path=$(dirname "$(dirname "$(readlink -f "$on_path" 2>/dev/null || echo "$on_path")")")
for jdk in "${JAVA_HOME:-}" "$on_path" /usr/lib/jvm/* /opt/*jdk* /opt/java/* "$HOME"/.sdkman/candidates/java/* "$HOME"/.jdks/* \
    /Library/Java/JavaVirtualMachines/*/Contents/Home; do
  [ -n "$jdk" ] && [ -x "$jdk/bin/javac" ] || continue
  version=$(feature "$jdk")
  if [ "${version:-0}" -ge 21 ]; then break; fi
  found="$found $jdk (${version:-unknown})"
  jdk=
done
if [ -z "${jdk:-}" ] || [ ! -x "$jdk/bin/javac" ]; then
  echo "Parley needs a JDK of 21 or later. Found:${found:- none}. Install one, or set JAVA_HOME to its folder." >&2
  exit 1
fi

if [ "${1:-}" = test ]; then
  shift
  command -v mvn >/dev/null || { echo "The tests need Maven: install it, so that 'mvn' is on the PATH." >&2; exit 1; }
  JAVA_HOME=$jdk exec mvn -B -f "$home/pom.xml" test "$@"
fi

# Compiles when a source is newer than the jar, or another JDK made it. Two starts at once do not meet: each moves its own jar into place.
compile() {
  mkdir -p "$build" && work=$(mktemp -d "$build/new.XXXXXX") || return 1
  trap 'rm -rf "$work"' EXIT
  trap 'exit 1' INT TERM
  "$jdk/bin/javac" -g -proc:none -XDstringConcat=inline -encoding UTF-8 -d "$work/classes" "$home"/src/parley/*.java || exit 1
  cp "$home"/src/parley/*.html "$work/classes/parley/"
  "$jdk/bin/jar" --create --file "$work/parley.jar" --main-class parley.Parley -C "$work/classes" .
  rm -f "$build"/parley.jsa
  mv "$work/parley.jar" "$build/parley.jar" && echo "$jdk" > "$build/jdk"
  rm -rf "$work"
  trap - EXIT INT TERM
}
if [ ! -f "$build/parley.jar" ] || [ "$(cat "$build/jdk" 2>/dev/null)" != "$jdk" ] || [ -n "$(find "$home/src" -newer "$build/parley.jar" -print)" ]; then
  compile || exec "$jdk/bin/java" "$home/Main.java" "$@" # the folder cannot be written
fi

# Small hosts: the quick compiler only, a bounded heap that shrinks after a load, and an end instead of half a life where even the JDK's own
# threads find no memory (what was acknowledged is on disk).
flags="-XX:TieredStopAtLevel=1 -XX:+UseG1GC -Xms8m -Xmx256m -XX:MinHeapFreeRatio=5 -XX:MaxHeapFreeRatio=15 -XX:G1PeriodicGCInterval=1000 \
-XX:+ExitOnOutOfMemoryError -Xlog:cds=off -Xlog:cds+dynamic=off -Xshare:auto"

if [ "${1:-}" = image ]; then
  [ $# -eq 2 ] || { echo "Usage: ./run.sh image DIR" >&2; exit 2; }
  # jdk.crypto.ec: on JDK 21, most of the web's certificates need it.
  "$jdk/bin/jlink" --add-modules java.net.http,jdk.httpserver,jdk.crypto.ec --output "$2" \
    --compress zip-6 --strip-java-debug-attributes --no-header-files --no-man-pages
  "$2/bin/java" -Xshare:dump >/dev/null 2>&1 || echo "The made Java does not run on this machine: try another JDK, or look whether it runs on its host." >&2
  cp "$build/parley.jar" "$home/.env.example" "$home/LICENSE" "$2/"
  cat > "$2/parley" <<END
#!/bin/sh
# Starts Parley on the Java that lies beside it: ./parley [--demo | --check | --env FILE]
home=\$(cd "\$(dirname "\$0")" && pwd)
exec "\$home/bin/java" $flags -XX:+AutoCreateSharedArchive -XX:SharedArchiveFile="\$home/parley.jsa" -Dparley.home="\$home" \${JAVA_OPTS:-} -jar "\$home/parley.jar" "\$@"
END
  chmod +x "$2/parley"
  echo "made $2, $(du -sm "$2" | cut -f1) MB: start it with $2/parley"
  exit
fi

# What a server has loaded is kept at its first stop, and the next starts are faster by a quarter. What --version and its like load is too little.
case " $* " in *" --version "* | *" --help "* | *" --check "*) keep= ;; *) keep=-XX:+AutoCreateSharedArchive ;; esac

# shellcheck disable=SC2086 # flags are several words
exec "$jdk/bin/java" $flags $keep -XX:SharedArchiveFile="$build/parley.jsa" -Dparley.home="$home" ${JAVA_OPTS:-} -jar "$build/parley.jar" "$@"
