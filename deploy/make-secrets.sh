#!/bin/sh
# Makes the secrets that docker-compose.yml mounts, where they do not exist yet.
#
# The files are readable to all and their folder only to you: compose mounts a file with its own
# permissions, and the containers run under other user ids than yours.
set -eu
folder=${1:-$(dirname "$0")/secrets}

new() {
    if [ -e "$folder/$1" ]; then
        echo "kept $folder/$1"
    else
        printf '%s\n' "$2" >"$folder/$1"
        chmod 444 "$folder/$1"
        echo "made $folder/$1"
    fi
}

random() {
    head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n'
}

mkdir -p "$folder"
chmod 700 "$folder"
for user in admin worker producer flower; do
    new "redis_${user}_password" "$(random)"
done
new flower_basic_auth "operator:$(random)"
