#!/bin/sh
# Starts Redis with the password in the file $REDIS_PASSWORD_FILE. Only its SHA-256 is written down
# (in $REDIS_RUN_DIR, kept in memory), so that it stands on no command line and may hold any character.
set -eu
umask 077

password=$(cat "$REDIS_PASSWORD_FILE")
test -n "$password" || { echo "$REDIS_PASSWORD_FILE is empty: expected the password of Redis" >&2; exit 1; }
hash=$(printf %s "$password" | sha256sum | cut -c 1-64)
printf 'user default on #%s ~* &* +@all\n' "$hash" >"$REDIS_RUN_DIR/users.conf"

exec redis-server "${REDIS_CONFIG:-/etc/redis/redis.conf}" --include "$REDIS_RUN_DIR/users.conf" "$@"
