#!/bin/sh
# Reading CSV from a pipe that stays open with csv-parse 7.0.3 (npm), 2026-12-01.
# Guess: a record is given out when its line feed has been read.
# Fact: a line feed that is the last octet read is not looked at before more octets come or the input ends. So each
# record is given out when the next one arrives, and the last one waits for as long as the pipe is open and quiet.
# Naming the line feed as record_delimiter changes nothing. All of them come in the end, so a test with a file is
# right. @fast-csv/parse 5.0.8, papaparse 5.7.1 and csv-parser 3.2.1 give each out at once. The same was reported as
# issue 96 of node-csv-parse in 2016 and mended by pull request 99; it is back in the parser that was written since.
# The README calls it a transform stream of Node.js and does not speak of it.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund \
    csv-parse@7.0.3 @fast-csv/parse@5.0.8 papaparse@5.7.1 csv-parser@3.2.1 >/dev/null

cat >probe.mjs <<'PROBE'
import { PassThrough } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { parse } from 'csv-parse';
import * as fast from '@fast-csv/parse';
import papa from 'papaparse';
import csvParser from 'csv-parser';

const records = ['1,ann@example.org,"Ann, A."\n', '1,bob@example.org,"Bob\nB."\n', '2,carol@example.org,Carol\n'];
for (const [name, parser] of [
    ['csv-parse', parse()],
    ['csv-parse, record_delimiter', parse({ record_delimiter: '\n' })],
    ['@fast-csv/parse', fast.parse()],
    ['papaparse', papa.parse(papa.NODE_STREAM_INPUT)],
    ['csv-parser', csvParser({ headers: false })],
]) {
    const pipe = new PassThrough();
    let given = 0;
    parser.on('data', () => { given += 1; });
    pipe.pipe(parser);
    const seen = [];
    for (const record of records) {
        pipe.write(record);
        await pause(200);
        seen.push(given);
    }
    pipe.end();
    await pause(200);
    console.log(`${name}: given out after each of the records ${seen.join(', ')}; after the end ${given}`);
}
PROBE
cat >expected <<'SEEN'
csv-parse: given out after each of the records 0, 1, 2; after the end 3
csv-parse, record_delimiter: given out after each of the records 0, 1, 2; after the end 3
@fast-csv/parse: given out after each of the records 1, 2, 3; after the end 3
papaparse: given out after each of the records 1, 2, 3; after the end 3
csv-parser: given out after each of the records 1, 2, 3; after the end 3
SEEN
node probe.mjs >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
