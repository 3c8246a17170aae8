#!/bin/sh
# Makes a folder that runs where there is no JDK, with jlink: ./run.sh image DIR. It fits machines like this one.
set -eu
[ $# -eq 1 ] || { echo "Usage: ./run.sh image DIR" >&2; exit 2; }
home=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
unset JAVA_TOOL_OPTIONS JDK_JAVA_OPTIONS _JAVA_OPTIONS # they are meant for Parley

# jdk.crypto.ec: on JDK 21, most of the web's certificates need it. java.desktop: the demo's images.
"$JAVA_HOME/bin/jlink" --add-modules java.net.http,jdk.httpserver,jdk.crypto.ec,java.desktop --output "$1" \
  --compress zip-6 --strip-java-debug-attributes --no-header-files --no-man-pages
"$1/bin/java" -Xshare:dump >/dev/null 2>&1 ||
  echo "The made Java does not run on this machine: try another JDK, or look whether it runs on its host." >&2
cp "$home/build/parley.jar" "$home/.env.example" "$home/LICENSE" "$1/"
cp "$home/run.sh" "$1/parley"
echo "made $1, $(du -sm "$1" | cut -f1) MB: start it with $1/parley"
