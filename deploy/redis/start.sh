#!/bin/sh
# Starts Redis with the users of users.acl and the passwords in the files $REDIS_SECRETS/redis_<user>_password.
# Only their SHA-256 are written down (in $REDIS_RUN_DIR, kept in memory), so that they stand on no command line
# and may hold any character.
set -eu
umask 077

users=$(grep '^user' "$(dirname "$0")/users.acl")
for user in admin worker producer flower; do
    file=$REDIS_SECRETS/redis_${user}_password
    password=$(cat "$file")
    test -n "$password" || { echo "$file is empty: expected the password of Redis's user $user" >&2; exit 1; }
    hash=$(printf %s "$password" | sha256sum | cut -c 1-64)
    users=$(printf '%s\n' "$users" | sed "s/@$user@/$hash/")
done
printf '%s\n' "$users" >"$REDIS_RUN_DIR/users.conf"

exec redis-server "${REDIS_CONFIG:-/etc/redis/redis.conf}" --include "$REDIS_RUN_DIR/users.conf" "$@"
