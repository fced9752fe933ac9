#!/bin/sh
# Pgpool-II 4.3.5 (Debian 12) with load balancing, PostgreSQL 15 and a standby of it, 2026-11-28.
# Guess: what begins with Pgpool's comment /*NO LOAD BALANCE*/ is answered by the primary, and a
# session that libpq takes for target_session_attrs=read-write says that it can be written to.
# Fact: the comment counts in front of SELECT alone. SHOW transaction_read_only is answered by the
# standby with it or without it, and says "on", while the same question as a SELECT says "off". libpq
# asks nothing: it takes in_hot_standby and default_transaction_read_only, which Pgpool hands on
# from the primary when the session begins. So clients that ask by SHOW refuse a session that libpq
# takes, or the other way round.
# Needs the server programs of PostgreSQL 15 (Debian: postgresql-15, not started).
set -eu
bin=/usr/lib/postgresql/15/bin
dir=$(mktemp -d)
as() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; else "$@"; fi; }
end() {
    [ ! -f "$dir/run/pool.pid" ] || { kill -INT "$(cat "$dir/run/pool.pid")"; wait; } || true
    for name in standby primary; do
        as $bin/pg_ctl -s -m immediate -D "$dir/run/$name" stop || true
    done
    rm -rf "$dir"
}
trap end EXIT
cd "$dir"
mkdir debs root run
(cd debs && apt-get download -q -q pgpool2=4.3.5-1+deb12u1 libpgpool2=4.3.5-1+deb12u1 \
    libmemcached11 libhashkit2 2>/dev/null)
for deb in debs/*.deb; do dpkg -x "$deb" root; done
library=$(dirname "$(find root -name 'libmemcached.so.11' | head -n 1)")
chmod 755 .
[ "$(id -u)" != 0 ] || chown nobody run
cd run

port=$((20000 + $$ % 10000))
as $bin/initdb -U postgres -A trust -N -D primary >/dev/null
as sh -c "printf '%s\n' 'port = $port' \"listen_addresses = ''\" \"unix_socket_directories = '$dir/run'\" >>primary/postgresql.conf"
as $bin/pg_ctl -w -s -D primary -l primary.log start
as $bin/pg_basebackup -U postgres -h "$dir/run" -p $port -c fast -X stream -N -R -D standby
as sh -c "echo 'port = $((port + 1))' >>standby/postgresql.conf"
as $bin/pg_ctl -w -s -D standby -l standby.log start
cat >"$dir/run/pool.conf" <<CONF
backend_clustering_mode = 'streaming_replication'
listen_addresses = '127.0.0.1'
port = $((port + 2))
socket_dir = '$dir/run'
pcp_socket_dir = '$dir/run'
pcp_port = $((port + 3))
pid_file_name = '$dir/run/pool.pid'
logdir = '$dir/run'
num_init_children = 4
load_balance_mode = on
sr_check_user = 'postgres'
sr_check_database = 'postgres'
backend_hostname0 = '$dir/run'
backend_port0 = $port
backend_weight0 = 0
backend_hostname1 = '$dir/run'
backend_port1 = $((port + 1))
backend_weight1 = 1
CONF
: >"$dir/run/pcp" && : >"$dir/run/hba"
as env LD_LIBRARY_PATH="$dir/$library" "$dir/root/usr/sbin/pgpool" -n -f "$dir/run/pool.conf" \
    -F "$dir/run/pcp" -a "$dir/run/hba" >"$dir/pool.log" 2>&1 &
ask() { psql -X -A -t "host=127.0.0.1 port=$((port + 2)) user=postgres dbname=postgres $2" -c "$1"; }
tries=0
until ask 'SELECT 1' '' >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || { cat "$dir/pool.log" >&2; exit 1; }
    sleep 0.2
done

{
    echo "SHOW: $(ask 'SHOW transaction_read_only' '')"
    echo "SHOW behind the comment: $(ask '/*NO LOAD BALANCE*/ SHOW transaction_read_only' '')"
    echo "SELECT behind the comment: $(ask "/*NO LOAD BALANCE*/ SELECT current_setting('transaction_read_only')" '')"
    echo "SHOW, read-write by libpq: $(ask 'SHOW transaction_read_only' target_session_attrs=read-write)"
} >"$dir/seen"
cat "$dir/seen"
cat >"$dir/expected" <<'SEEN'
SHOW: on
SHOW behind the comment: on
SELECT behind the comment: off
SHOW, read-write by libpq: on
SEEN
if ! diff "$dir/expected" "$dir/seen"; then
    echo "this is not what was seen then" >&2
    exit 1
fi
