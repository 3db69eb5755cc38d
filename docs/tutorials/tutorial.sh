# Sourced by every tutorial, which works in the folder that it is called from:  bash docs/tutorials/no-labels-2d.sh
#
#   STEPS=3    every training takes so many steps: it shows that the commands work, and its pictures show nothing
#   KEEP=DIR   what the page shows, pictures and printed lines, is left there

set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

cytoshift() {
    if [ "$1" = train ] && [ -n "${STEPS:-}" ]; then set -- "$@" "train.steps=$STEPS"; fi
    printf '\n$ cytoshift %s\n' "$*" >&2
    if [ -z "${KEEP:-}" ]; then command cytoshift "$@"; else command cytoshift "$@" | tee "$(said "$1")"; fi || passable $?
}

passable() {  # after a handful of steps blocks need not agree at their faces, which is 3
    if [ "$1" != 3 ] || [ -z "${STEPS:-}" ]; then return "$1"; fi
}

said() {  # where the lines of a verb go: evaluate.txt, evaluate-2.txt ...
    local number=1 path="$KEEP/$1.txt"
    while [ -e "$path" ]; do number=$((number + 1)); path="$KEEP/$1-$number.txt"; done
    echo "$path"
}

keep() {  # keep PICTURE NAME.jpg: for the page, in the size of a page
    if [ -n "${KEEP:-}" ]; then python "$HERE/../tools/shrink.py" "$1" "$KEEP/$2"; fi
}

newest() {  # the last sheet of samples of a run
    ls "$1"/samples/*.png | tail -n 1
}

if [ -n "${KEEP:-}" ]; then mkdir -p "$KEEP"; rm -f "$KEEP"/*; fi
