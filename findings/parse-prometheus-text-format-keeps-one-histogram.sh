#!/bin/sh
# Histograms with labels of prom-client 15.1.3, read by parse-prometheus-text-format 1.1.1 (both npm), 2026-12-01.
# Guess: a histogram of two queues is two entries, each with its labels, buckets, sum and count, as counters and
# gauges with labels are.
# Fact: it is one entry without labels. The buckets of all queues are put into it one over the other, so those of the
# last queue stay; the sum and the count are left out. Nothing is said. A summary with quantiles is treated alike.
# So how long the mail of every queue but one took is lost to a check that reads the numbers this way, and the queue
# that is left has no name. The README shows only histograms without labels and says that the output aims to be
# compatible with prom2json, which keeps them apart. A pull request for it (8) has been open since 2019.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund prom-client@15.1.3 parse-prometheus-text-format@1.1.1 >/dev/null

cat >probe.cjs <<'PROBE'
const { Counter, Histogram, Registry, Summary } = require('prom-client');
const parse = require('parse-prometheus-text-format');

const registers = [new Registry()];
const sent = new Counter({ name: 'sent_total', help: 'Mails.', labelNames: ['queue'], registers });
const took = new Histogram({ name: 'took_seconds', help: 'Time.', labelNames: ['queue'], buckets: [1, 60], registers });
const size = new Summary({ name: 'size_bytes', help: 'Size.', labelNames: ['queue'], percentiles: [0.5], registers });
for (const [queue, count, seconds] of [['reset', 3, 90], ['news', 5, 0.5]]) {
    for (let i = 0; i < count; i += 1) {
        sent.inc({ queue });
        took.observe({ queue }, seconds);
        size.observe({ queue }, seconds * 1000);
    }
}
registers[0].metrics().then((text) => {
    console.log(text.split('\n').filter((line) => line.startsWith('took')).join('\n'));
    for (const { name, metrics } of parse(text)) console.log(name, JSON.stringify(metrics));
});
PROBE
cat >expected <<'SEEN'
took_seconds_bucket{le="1",queue="reset"} 0
took_seconds_bucket{le="60",queue="reset"} 0
took_seconds_bucket{le="+Inf",queue="reset"} 3
took_seconds_sum{queue="reset"} 270
took_seconds_count{queue="reset"} 3
took_seconds_bucket{le="1",queue="news"} 5
took_seconds_bucket{le="60",queue="news"} 5
took_seconds_bucket{le="+Inf",queue="news"} 5
took_seconds_sum{queue="news"} 2.5
took_seconds_count{queue="news"} 5
sent_total [{"value":"3","labels":{"queue":"reset"}},{"value":"5","labels":{"queue":"news"}}]
took_seconds [{"buckets":{"1":"5","60":"5","+Inf":"5"}}]
size_bytes [{"quantiles":{"0.5":"500"}}]
SEEN
node probe.cjs >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
