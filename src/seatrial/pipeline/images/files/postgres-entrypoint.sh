#!/bin/sh
# Starts PostgreSQL; an empty data directory is initialised first.
# POSTGRES_PASSWORD, POSTGRES_USER (postgres), POSTGRES_DB (as the user), each also as NAME_FILE; PGDATA.
set -eu

fail() { echo "entrypoint: $*" >&2; exit 1; }

value_of() { # NAME DEFAULT: the variable, or what the file in NAME_FILE says
    eval "value=\${$1:-}; file=\${$1_FILE:-}"
    if [ -n "$value" ] && [ -n "$file" ]; then fail "$1 and $1_FILE are both set: expected one of them"; fi
    if [ -n "$file" ]; then
        [ -r "$file" ] || fail "cannot read $file, which $1_FILE names"
        value=$(cat "$file")
    fi
    printf '%s' "${value:-$2}"
}

initialise() {
    user=$(value_of POSTGRES_USER postgres)
    password=$(value_of POSTGRES_PASSWORD "")
    database=$(value_of POSTGRES_DB "$user")
    [ -n "$password" ] || fail "POSTGRES_PASSWORD (or POSTGRES_PASSWORD_FILE) is empty: the new database needs a password"
    # In a directory of its own, so that a start which is interrupted leaves no half database behind.
    new="$PGDATA/.new"
    rm -rf "$new"
    mkdir -m 0700 "$new"
    printf '%s\n' "$password" > "$new.password"
    chmod 0600 "$new.password"
    initdb --pgdata="$new" --username="$user" --pwfile="$new.password" --encoding=UTF8 --locale=C.UTF-8 \
        --auth-local=trust --auth-host=scram-sha-256 > /dev/null
    rm -f "$new.password"
    echo "host all all all scram-sha-256" >> "$new/pg_hba.conf"
    echo "listen_addresses = '*'" >> "$new/postgresql.conf"
    if [ "$database" != postgres ]; then
        # The statement reaches the server as data: a name is no SQL.
        quoted=$(printf '%s' "$database" | sed 's/"/""/g')
        printf 'CREATE DATABASE "%s"\n' "$quoted" |
            postgres --single -j -D "$new" postgres > /dev/null
    fi
    touch "$new/.complete"
}

settle() { # PG_VERSION comes last: it says that the rest is there
    for entry in "$PGDATA"/.new/*; do
        [ "${entry##*/}" = PG_VERSION ] || mv "$entry" "$PGDATA/"
    done
    mv "$PGDATA/.new/PG_VERSION" "$PGDATA/"
    rm -rf "$PGDATA/.new"
}

if [ "${1:-}" = "" ] || [ "${1#-}" != "$1" ]; then set -- postgres "$@"; fi
if [ "$1" != postgres ]; then exec "$@"; fi

if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA"
    [ "$(stat -c %u "$PGDATA")" = 999 ] || chown -R postgres:postgres "$PGDATA"
    chmod 0700 "$PGDATA"
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

mkdir -p "$PGDATA"
chmod 0700 "$PGDATA" 2> /dev/null || :
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    if [ ! -e "$PGDATA/.new/.complete" ]; then
        [ ! -e "$PGDATA/base" ] || fail "$PGDATA has files of a database, but no PG_VERSION: restore it or empty it"
        initialise
    fi
    settle
fi
unset POSTGRES_PASSWORD
exec "$@"
