#!/bin/sh
# node.sh FOLDER [SCRIPT]: installs an npm package's dependencies and runs its script, when its lock file or sources changed.
# Without npm it says what that means and ends well.
set -eu
folder=$1
script=${2:-}

if ! command -v npm >/dev/null || ! node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20 ? 1 : 0)' 2>/dev/null; then
    echo "make: no Node.js 20 or newer with npm: $folder is not installed (the explorer then loads its libraries from a CDN)"
    exit 0
fi
stamp=$folder/node_modules/.made
state=$(cd "$folder" && find . -type f -not -path './node_modules/*' -not -path './dist/*' -exec cksum {} + | sort | cksum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$state" ]; then
    exit 0
fi
echo "make: installing $folder"
(cd "$folder" && npm ci --silent --no-audit --no-fund && { [ -z "$script" ] || npm run --silent "$script"; })
printf '%s' "$state" >"$stamp"
