# Sourced by scripts that need a PostgreSQL and an SES of their own: starting them, waiting, and
# stopping what was started. The directory $dir is the sourcing script's; so is the function `fail`.
# shellcheck shell=sh

# shellcheck disable=SC2034 # the sourcing script sets these
dir='' server='' peer='' programs=''

# Ends a process of ours and waits until it is gone.
stop() {
    kill -s "$2" "$1" 2>/dev/null || return 0
    tries=0
    while kill -0 "$1" 2>/dev/null && [ $tries -lt 100 ]; do
        tries=$((tries + 1))
        sleep 0.1
    done
    kill -s KILL "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

stop_server() {
    # INT is PostgreSQL's fast shutdown: it does not wait for clients.
    [ -z "$server" ] || stop "$server" INT
    server=''
}

# within SECONDS WHAT COMMAND...: waits until the command succeeds.
within() {
    deadline=$(($(date +%s) + $1))
    what=$2
    shift 2
    until "$@"; do
        [ "$(date +%s)" -lt "$deadline" ] || fail "waited too long for $what"
        for pid in $programs $server $peer; do
            kill -0 "$pid" 2>/dev/null || fail "a process ended early while waiting for $what"
        done
        sleep 0.1
    done
}

# --- a PostgreSQL of our own --------------------------------------------------------------------

postgres_programs() {
    newest=$(find /usr/lib/postgresql -path '*/bin/initdb' 2>/dev/null | sort -V | tail -n 1)
    [ -n "$newest" ] || newest=$(command -v initdb)
    dirname "$newest"
}

# PostgreSQL refuses to run as root.
unprivileged() {
    if [ "$(id -u)" != 0 ]; then
        exec "$@"
    fi
    exec setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups "$@"
}

start_server() {
    bin=$(postgres_programs)
    # Whoever reaches the socket is trusted, so nobody else may.
    mkdir -m 700 "$dir/pg"
    [ "$(id -u)" != 0 ] || chown nobody "$dir/pg"
    (
        cd "$dir/pg" || exit
        unprivileged "$bin/initdb" --pgdata="$dir/pg/data" --username=postgres --auth=trust \
            --encoding=UTF8 --no-locale --no-sync
    ) >"$dir/initdb.log" 2>&1 </dev/null || {
        cat "$dir/initdb.log" >&2
        fail 'initdb failed'
    }
    (
        cd "$dir/pg" || exit
        unprivileged "$bin/postgres" -D "$dir/pg/data" -k "$dir/pg" -c listen_addresses= \
            -c fsync=off
    ) >"$dir/server.log" 2>&1 </dev/null &
    server=$!
    within 30 'PostgreSQL' psql_ready
    sql -d postgres -c 'CREATE DATABASE mailroom'
}

sql() { psql -X -q -v ON_ERROR_STOP=1 -h "$dir/pg" -U postgres "$@"; }
psql_ready() { sql -d postgres -c 'SELECT 1' >/dev/null 2>&1; }

sent_is() {
    [ "$(sql -d mailroom -At -c "SELECT count(*) FROM deliveries WHERE state = 'sent'")" -ge "$1" ]
}

# --- a local SES --------------------------------------------------------------------------------

module=tests/peer/node_modules/aws-ses-v2-local

start_peer() {
    # What the account may send; it wants all of this.
    AWS_SES_ACCOUNT='{
        "SendQuota": { "Max24HourSend": 50000, "MaxSendRate": 14, "SentLast24Hours": 0 },
        "DedicatedIpAutoWarmupEnabled": false, "EnforcementStatus": "HEALTHY",
        "ProductionAccessEnabled": true, "SendingEnabled": true,
        "SuppressionAttributes": { "SuppressedReasons": [] },
        "Details": {
            "AdditionalContactEmailAddresses": [], "ContactLanguage": "EN", "MailType": "TRANSACTIONAL",
            "ReviewDetails": { "CaseId": "", "Status": "GRANTED" },
            "UseCaseDescription": "", "WebsiteURL": "https://example.com"
        }
    }' node -e 'require(process.argv[1]).default({ host: "127.0.0.1", port: 0 })
        .then((server) => console.log(server.address().port))' \
        "$PWD/$module" >"$dir/port" 2>"$dir/peer.log" </dev/null &
    peer=$!
    within 30 'the local SES' test -s "$dir/port"
    inbox=http://127.0.0.1:$(cat "$dir/port")
    export AWS_ENDPOINT_URL="$inbox" AWS_REGION=us-east-1
    export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local
    write_peer_program
    node "$dir/peer.js" "$inbox" templates
}

# The example templates, and the mails that came of them. SES knows no dot in names: invoice-ar.
write_peer_program() {
    cat >"$dir/peer.js" <<'PROGRAM'
const [inbox, task, seen] = process.argv.slice(2);

const { readFileSync } = require("node:fs");
const templates = {};
for (const name of ["activationv1", "passwordrecoveryv1", "invoice", "invoice.ar"]) {
  const part = (ending) => readFileSync(`templates/${name}.${ending}`, "utf8");
  templates[name.replace(".", "-")] = { Subject: part("subject").trim(), Text: part("txt") };
}

async function makeTemplates() {
  for (const [TemplateName, TemplateContent] of Object.entries(templates)) {
    const reply = await fetch(inbox + "/v2/email/templates", {
      method: "POST",
      // Any signature will do here; this one is never checked.
      headers: { "Content-Type": "application/json", Authorization: "AWS4-HMAC-SHA256" },
      body: JSON.stringify({ TemplateName, TemplateContent }),
    });
    if (!reply.ok) throw new Error(`template ${TemplateName}: ${reply.status}`);
  }
}

async function showMails(seen) {
  const { emails } = await (await fetch(inbox + "/store")).json();
  for (const mail of emails.slice(seen)) {
    console.log(`  From:    ${mail.from}`);
    console.log(`  To:      ${mail.destination.to.join(", ")}`);
    console.log(`  Subject: ${mail.subject}\n`);
    console.log(mail.body.text.trimEnd().replace(/^(?=.)/gm, "    ") + "\n");
  }
  if (emails.length === seen) throw new Error("no mail arrived");
}

(task === "templates" ? makeTemplates() : showMails(Number(seen))).catch((error) => {
  console.error(`local SES: ${error.message}`);
  process.exit(1);
});
PROGRAM
}

# What this shell has set for real work must not steer the program.
forget_real_work() {
    for name in $(env | sed -n 's/^\(PG[A-Z]*\|AWS_[A-Z0-9_]*\|MAILROOM_[A-Z_]*\)=.*/\1/p'); do
        unset "$name"
    done
    export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null
    export NO_PROXY=127.0.0.1 no_proxy=127.0.0.1
    export PGCLIENTENCODING=UTF8
}
