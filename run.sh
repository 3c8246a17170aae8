#!/bin/sh
# Starts Parley on the first JDK of 21 or later that is found: ./run.sh [--demo | --check | --env FILE]
# ./run.sh test runs the tests (with Maven). ./run.sh image DIR makes a folder that runs where there is no JDK (with jlink).
# JAVA_OPTS is given to java, after the flags below.
set -eu
home=$(cd "$(dirname "$(readlink -f "$0" 2>/dev/null || echo "$0")")" && pwd)
jar=$home/build/parley.jar

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

# Main.java builds the jar; here is only its rule, since asking it would take longer than to start the jar.
if [ ! -f "$jar" ] || [ -n "$(find "$home/src/parley" -newer "$jar")" ]; then
  if [ -e "$home/build" ] && [ ! -w "$home/build" ] || [ ! -e "$home/build" ] && [ ! -w "$home" ]; then
    exec "$jdk/bin/java" "$home/Main.java" "$@" # it builds in a temporary folder
  fi
  "$jdk/bin/java" -Dparley.build=only "$home/Main.java"
fi

# Small hosts: the quick compiler only, a bounded heap that shrinks after a load, and an end instead of half a life where even the JDK's own
# threads find no memory (what was acknowledged is on disk).
flags="-XX:TieredStopAtLevel=1 -XX:+UseG1GC -Xms8m -Xmx256m -XX:MinHeapFreeRatio=5 -XX:MaxHeapFreeRatio=15 -XX:G1PeriodicGCInterval=1000 \
-XX:+ExitOnOutOfMemoryError -Xlog:cds=off -Xlog:cds+dynamic=off -Xshare:auto"

if [ "${1:-}" = image ]; then
  [ $# -eq 2 ] || { echo "Usage: ./run.sh image DIR" >&2; exit 2; }
  # jdk.crypto.ec: on JDK 21, most of the web's certificates need it. java.desktop: the demo's images.
  "$jdk/bin/jlink" --add-modules java.net.http,jdk.httpserver,jdk.crypto.ec,java.desktop --output "$2" \
    --compress zip-6 --strip-java-debug-attributes --no-header-files --no-man-pages
  "$2/bin/java" -Xshare:dump >/dev/null 2>&1 || echo "The made Java does not run on this machine: try another JDK, or look whether it runs on its host." >&2
  cp "$jar" "$home/.env.example" "$home/LICENSE" "$2/"
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
exec "$jdk/bin/java" $flags $keep -XX:SharedArchiveFile="$home/build/parley.jsa" -Dparley.home="$home" ${JAVA_OPTS:-} -jar "$jar" "$@"
