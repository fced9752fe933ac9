#!/bin/sh
# LISTEN and NOTIFY of two clients of PGlite 0.5.14 behind its socket server 0.2.17 with
# maxConnections above one, by pg 8.23.1 (npm), 2026-11-29.
# Guess: the sessions share one backend, but the multiplexer keeps them apart enough that the client
# which listens gets the notification, at the latest with its next query.
# Fact: the client that notifies gets it, though it never listened; the one that listens gets nothing,
# also not with its next query. It goes on when the listener has left. A test of a relay in which one
# client both listens and notifies passes; with one client for each it waits for ever.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund @electric-sql/pglite@0.5.14 \
    @electric-sql/pglite-socket@0.2.17 pg@8.23.1 >/dev/null

cat >probe.mjs <<'PROBE'
import { PGlite } from '@electric-sql/pglite';
import { PGLiteSocketServer } from '@electric-sql/pglite-socket';
import pg from 'pg';
const path = `${process.cwd()}/.s.PGSQL.5432`;
const server = new PGLiteSocketServer({ db: await PGlite.create(), path, maxConnections: 4 });
await server.start();
const open = async (name) => {
    const client = new pg.Client({ host: process.cwd(), user: 'postgres', database: 'postgres' });
    client.on('notification', (it) => console.log(`${name} is told: ${it.payload}`));
    await client.connect();
    return client;
};
const listener = await open('listener');
const sender = await open('sender');
await listener.query('LISTEN news');
await sender.query("NOTIFY news, 'one'");
await listener.query('SELECT 1');
await listener.end();
await sender.query("NOTIFY news, 'two, the listener has left'");
await sender.end();
await server.stop();
process.exit(0);
PROBE
cat >expected <<'SEEN'
sender is told: one
sender is told: two, the listener has left
SEEN
node probe.mjs >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
