//! `mailroom check`: all is well, and then each thing broken in turn is named, with what to do,
//! and the other things are looked at all the same.

use crate::support::cluster::Database;
use crate::support::endpoint::{Endpoint, Reply};
use crate::support::program::{Finished, Program, wait_until};
use crate::support::tls::{Authority, Secured};
use serde_json::{Value, json};
use std::path::Path;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// What SES says of an account that may send, by a clock that is so many seconds ahead.
fn healthy(ahead: i64) -> Reply {
    account(ahead, json!({}))
}

fn account(ahead: i64, changes: Value) -> Reply {
    let mut body = json!({
        "SendingEnabled": true, "ProductionAccessEnabled": true, "EnforcementStatus": "HEALTHY",
        "SendQuota": { "MaxSendRate": 14, "Max24HourSend": 50000, "SentLast24Hours": 1000 },
    });
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    let date = OffsetDateTime::now_utc() + time::Duration::seconds(ahead);
    let date = date.format(&Rfc2822).unwrap();
    Reply::Full(200, vec![("date", date)], body.to_string())
}

/// SES where all is well, templates included.
fn ses() -> Endpoint {
    let endpoint = Endpoint::start();
    endpoint.account(healthy(0));
    let sender =
        r#"{"VerifiedForSendingStatus": true, "SendingOptions": {"SendingEnabled": true}}"#;
    endpoint.set(Reply::Full(200, Vec::new(), sender.into()));
    endpoint
}

fn program(database: &Database, url: &str) -> Program {
    with(Program::new(&["check", "--json"]), database, url)
}

fn with(program: Program, database: &Database, url: &str) -> Program {
    program
        .on(database)
        .env("AWS_ENDPOINT_URL", url)
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
        .env("AWS_REGION", "eu-central-1")
        .env("MAILROOM_SES_SOURCE", "noreply@example.com")
}

/// What came of it: exit status, and the checks by name.
struct Found {
    code: i32,
    checks: Vec<Value>,
}

impl Found {
    fn of(finished: Finished) -> Found {
        assert!(!finished.out.contains("AKIDEXAMPLE") && !finished.out.contains("wJalrXUtnFEMI"));
        assert_eq!(finished.log, "", "all is said on standard output");
        let report: Value = serde_json::from_str(&finished.out)
            .unwrap_or_else(|error| panic!("{error}: {} {}", finished.out, finished.log));
        let checks = report["checks"].as_array().unwrap().clone();
        let failed = checks.iter().any(|check| check["status"] == "failed");
        assert_eq!(report["ok"], !failed, "{report}");
        for check in &checks {
            let advised = check["advice"] != "";
            assert!(check["status"] != "failed" || advised, "no advice: {check}");
            assert!(check["status"] != "ok" || !advised, "advice on what is well: {check}");
        }
        Found { code: finished.code.unwrap(), checks }
    }

    fn one(&self, name: &str) -> &Value {
        let found = self.checks.iter().find(|check| check["name"] == name);
        found.unwrap_or_else(|| panic!("no check {name:?} in {:#?}", self.checks))
    }

    /// This one came out so, and says this.
    fn says(&self, name: &str, status: &str, text: &str) -> &Found {
        let check = self.one(name);
        assert_eq!(check["status"], status, "{check}");
        let said = format!("{} {}", check["detail"], check["advice"]);
        assert!(said.contains(text), "no {text:?} in {check}");
        self
    }

    /// Only these are not well.
    fn only(&self, names: &[&str]) -> &Found {
        let bad = self.checks.iter().filter(|check| check["status"] != "ok");
        let bad: Vec<&str> = bad.map(|check| check["name"].as_str().unwrap()).collect();
        assert_eq!(bad, names, "{:#?}", self.checks);
        self
    }
}

#[test]
fn where_all_is_well_every_line_says_ok_and_nothing_is_sent() {
    let (database, endpoint) = (Database::migrated(), ses());
    let found = Found::of(program(&database, &endpoint.url()).output());
    found.only(&[]);
    assert_eq!(found.code, 0);
    found
        .says("credentials", "ok", "from ")
        .says("region, endpoint", "ok", "eu-central-1")
        .says("quota", "ok", "14 recipients/s (sending 14); 49000 of 50000 in 24 h left")
        .says("NOTIFY", "ok", "a notification came within")
        .says("template passwordrecoveryv1", "ok", "action 2: renders");
    let paths: Vec<String> = endpoint.requests().into_iter().map(|one| one.path).collect();
    let path = |name: &str| format!("/v2/email/templates/{name}/render");
    let sender = ["identities/noreply%40example.com", "configuration-sets/default"];
    let sender = sender.map(|path| format!("/v2/email/{path}"));
    let listed = "/v2/email/templates?PageSize=100".to_owned();
    assert_eq!(paths[..3], [listed, path("activationv1"), path("passwordrecoveryv1")]);
    assert_eq!(paths[3..], sender);
    let screen = with(Program::new(&["check"]), &database, &endpoint.url()).output();
    assert_eq!(screen.code, Some(0));
    assert_eq!(screen.out.lines().last(), Some("all is well"));
    assert_eq!(screen.out.matches("\nok ").count() + 1, found.checks.len(), "{}", screen.out);
}

#[test]
fn settings_of_the_daemons_a_sender_of_a_kind_and_the_file_of_metrics_are_looked_at() {
    let (database, endpoint) = (Database::migrated(), ses());
    let dir = tempfile::tempdir().unwrap();
    let with_file = |path: &Path| {
        let program = program(&database, &endpoint.url());
        Found::of(program.env("MAILROOM_METRICS_FILE", path).output())
    };
    let found = with_file(&dir.path().join("mailroom.prom"));
    found.only(&[]).says("metrics file", "ok", "mailroom.prom can be written");
    for (path, why) in [(dir.path().join("no/a.prom"), "ENOENT"), (dir.path().into(), "directory")]
    {
        let found = with_file(&path);
        found.only(&["metrics file"]).says("metrics file", "failed", why);
    }
    database
        .run("INSERT INTO kinds (kind, template, sender) VALUES ('news', 'activationv1', 'Shop')");
    let found = Found::of(program(&database, &endpoint.url()).output());
    found.only(&["kinds.sender"]).says("kinds.sender", "failed", "news: the address has no @");
    for name in ["MAILROOM_HEALTH_MAX_AGE", "MAILROOM_END_TIMEOUT"] {
        let found = Found::of(program(&database, &endpoint.url()).env(name, "10").output());
        found.says("settings", "failed", name);
    }
}

#[test]
fn a_kind_of_mail_without_a_template_and_a_misspelt_setting_are_found_before_they_are_missed() {
    let (database, endpoint) = (Database::migrated(), ses());
    database.run("ALTER TYPE token_action ADD VALUE 'invitation'");
    database.run(
        "INSERT INTO kinds (kind, number, path, signs_code, account_status)
         VALUES ('invitation', 3, '/invite', false, '{active}')",
    );
    let program = program(&database, &endpoint.url())
        .env("MAILROOM_BATCH_TIMOUT", "5")
        .env("MAILROOM_PORT_80_TCP_ADDR", "10.0.0.1");
    let found = Found::of(program.output());
    found.only(&["settings", "actions"]);
    assert_eq!(found.code, 0);
    found.says("actions", "warning", "no template for 3 (invitation): `send` holds");
    let strange = found.checks.iter().find(|check| check["status"] == "warning").unwrap();
    assert_eq!(strange["detail"], "MAILROOM_BATCH_TIMOUT is no setting");
    let run = Program::collect(&database).env("MAILROOM_BATCH_TIMOUT", "5").start();
    run.wait_log(
        "[COLLECT] WARN: MAILROOM_BATCH_TIMOUT is no setting; mailroom help collect lists",
    );
    run.wait_log("connected");
    assert_eq!(run.stop().code, Some(0));
}

#[test]
fn every_setting_that_is_wrong_is_named_and_the_rest_is_looked_at() {
    let (database, endpoint) = (Database::migrated(), ses());
    let found = Found::of(
        program(&database, &endpoint.url())
            .env("MAILROOM_SECRET_KEY", "cafe")
            .env("MAILROOM_BATCH_LIMIT", "51")
            .env("MAILROOM_TEMPLATES", "1=")
            .output(),
    );
    found.only(&["settings", "settings", "settings", "actions", "templates"]);
    assert_eq!(found.code, 78);
    let details: Vec<&str> =
        found.checks[..3].iter().map(|check| check["detail"].as_str().unwrap()).collect();
    assert!(details[0].starts_with("MAILROOM_SECRET_KEY: "), "{details:?}");
    assert!(details[1].starts_with("MAILROOM_BATCH_LIMIT: "), "{details:?}");
    assert!(details[2].starts_with("MAILROOM_TEMPLATES: "), "{details:?}");
    // Without any setting at all.
    let found = Found::of(Program::new(&["check", "--json"]).output());
    assert_eq!(found.code, 78);
    found.says("database", "warning", "MAILROOM_DATABASE_URL is wrong or missing");
    found.says("credentials", "failed", "no AWS credentials");
    found.says("sender", "warning", "MAILROOM_SES_SOURCE");
    found.says("output directory", "ok", "./output");
}

#[test]
fn a_database_that_is_away_is_69_and_one_that_refuses_is_78() {
    let (database, endpoint) = (Database::migrated(), ses());
    let at = |url: &str| {
        Found::of(program(&database, &endpoint.url()).env("MAILROOM_DATABASE_URL", url).output())
    };
    let found = at("host=/nowhere dbname=mail user=u");
    found.says("database", "failed", "/nowhere").only(&["database", "what the database holds"]);
    assert_eq!(found.code, 69);
    let found = at(&database.url.replace(&format!("dbname={}", database.name), "dbname=none"));
    found.says("database", "failed", "none");
    assert_eq!(found.code, 78);
    assert_eq!(at("host=x gibberish").code, 78);
    let found = at(&format!("{} options='-c default_transaction_read_only=on'", database.url));
    found.says("database", "failed", "nothing can be written there");
    found.says("NOTIFY", "failed", "`run` would not connect");
    assert_eq!(found.code, 78);
}

#[test]
fn a_schema_that_is_missing_and_a_queue_that_is_not_there_are_told() {
    let endpoint = ses();
    let found = Found::of(program(&Database::empty(), &endpoint.url()).output());
    found.says("schema", "failed", "mailroom migrate up").only(&[
        "schema",
        "grants",
        "polling",
        "queue",
        "pause",
        "row level security",
        "triggers",
        "replication",
        "sequence",
        "two-phase commit",
        "channel",
        "functions",
        "actions",
    ]);
    assert_eq!(found.code, 78);
    let database = Database::migrated();
    let other = program(&database, &endpoint.url()).env("MAILROOM_QUEUE_NAME", "other");
    let found = Found::of(other.output());
    found.says("queue", "failed", "there is no queue").only(&["queue"]);
    assert_eq!(found.code, 78);
}

#[test]
fn each_grant_that_is_missing_is_named() {
    let (database, endpoint) = (Database::migrated(), ses());
    let clerk = format!("checker_{}", database.name);
    database.run(&format!("CREATE ROLE {clerk} LOGIN"));
    let grants = Program::new(&["migrate", "grants", &clerk]).on(&database).output();
    assert_eq!(grants.code, Some(0), "{}", grants.log);
    let url = database.url.replace("user=postgres", &format!("user={clerk}"));
    let check = || {
        Found::of(program(&database, &endpoint.url()).env("MAILROOM_DATABASE_URL", &url).output())
    };
    assert_eq!(check().only(&[]).code, 0);
    database.run(&format!(
        "REVOKE DELETE ON tallies FROM {clerk}; REVOKE UPDATE (last_seq) ON jobs FROM {clerk}"
    ));
    let found = check();
    found.only(&["grants"]).says("grants", "failed", "DELETE on tallies");
    found.says("grants", "failed", "UPDATE on jobs");
    found.says("grants", "failed", &format!("mailroom migrate grants '{clerk}'"));
    assert_eq!(found.code, 78);
    database.run(&format!("DROP OWNED BY {clerk}; DROP ROLE {clerk}"));
}

#[test]
fn triggers_that_notify_another_channel_are_found() {
    let (database, endpoint) = (Database::migrated(), ses());
    let set = |channel: &str| {
        database
            .run(&format!("ALTER DATABASE {} SET mailroom.channel = '{channel}'", database.name));
    };
    set("mails");
    let found = Found::of(program(&database, &endpoint.url()).output());
    found.only(&["channel"]).says("channel", "failed", "\\\"mails\\\"");
    assert_eq!(found.code, 78);
    let fitting = program(&database, &endpoint.url()).env("MAILROOM_CHANNEL_NAME", "mails");
    assert_eq!(Found::of(fitting.output()).only(&[]).code, 0);
}

#[test]
fn a_trigger_that_is_missing_or_disabled_is_found() {
    let (database, endpoint) = (Database::migrated(), ses());
    // All that are enabled: one is not, before somebody wants it.
    let sql = "SELECT tgname::text, tgrelid::regclass::text, pg_get_triggerdef(oid) FROM pg_trigger
                WHERE NOT tgisinternal AND tgenabled <> 'D'";
    let rows = database.client().query(sql, &[]).unwrap();
    assert!(rows.len() >= 5);
    let found = |text: &str| {
        let found = Found::of(program(&database, &endpoint.url()).output());
        found.only(&["triggers"]).says("triggers", "failed", text);
        assert_eq!(found.code, 78);
    };
    for row in &rows {
        let [name, table, definition]: [String; 3] = [row.get(0), row.get(1), row.get(2)];
        database.run(&format!("ALTER TABLE {table} DISABLE TRIGGER {name}"));
        found(&format!("{name} on {table} is disabled"));
        let other = format!(
            "CREATE TRIGGER {name} AFTER TRUNCATE ON {table} EXECUTE FUNCTION suppress_redundant_updates_trigger()"
        );
        database.run(&format!("DROP TRIGGER {name} ON {table}; {other}"));
        found(&format!("{name} on {table} is not the one of mailroom"));
        database.run(&format!("DROP TRIGGER {name} ON {table}; {definition}"));
    }
    // Whose triggers fire in no session of theirs, or in no session at all.
    let role = format!("loader_{}", database.name);
    database.run(&format!(
        "CREATE ROLE {role}; ALTER ROLE {role} IN DATABASE {} SET session_replication_role = replica",
        database.name
    ));
    found(&format!("session_replication_role is replica for {role} in {}", database.name));
    database.run(&format!("DROP ROLE {role}"));
    for row in &rows {
        let [name, table]: [String; 2] = [row.get(0), row.get(1)];
        database.run(&format!("ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}"));
    }
    let fine = Found::of(program(&database, &endpoint.url()).output());
    assert_eq!(fine.only(&[]).code, 0);
    database.run("DROP TRIGGER after_token_inserted ON tokens");
    let found = Found::of(program(&database, &endpoint.url()).output());
    found.only(&["triggers"]).says("triggers", "failed", "after_token_inserted on tokens is miss");
    // Mail that is there can be sent all the same.
    let collect = Program::collect(&database).start();
    collect.wait_log("[PG] WARN: after_token_inserted on tokens is missing; ALTER TABLE");
    collect.wait_log("connected");
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn a_function_that_was_replaced_is_named_until_it_is_put_back() {
    let (database, endpoint) = (Database::empty(), ses());
    // As the first mailroom left it, with functions of its own.
    let secret = "decode(md5('a') || md5('b'), 'hex')";
    let original = include_str!("fixtures/original.sql");
    database.run(&original.replace("gen_random_bytes(32)", secret));
    let migrated = Program::new(&["migrate", "up"]).on(&database).output();
    assert_eq!(migrated.code, Some(0), "{}", migrated.log);
    let check = || Found::of(program(&database, &endpoint.url()).output());
    check().only(&[]).says("functions", "ok", "each is as the migration made it");
    let sql = "SELECT pg_get_functiondef('trg_after_account_insert'::regproc)";
    let definition: String = database.client().query_one(sql, &[]).unwrap().get(0);
    database.run(
        "CREATE OR REPLACE FUNCTION trg_after_account_insert() RETURNS trigger
         LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN NULL; END'",
    );
    let found = check();
    found.only(&["functions"]).says("functions", "warning", ": trg_after_account_insert\"");
    found.says("functions", "warning", "migrations/1_mailroom.up.sql");
    assert_eq!(found.code, 0);
    database.accounts("user", 1);
    assert_eq!(database.number("SELECT count(*) FROM tokens"), 0, "no trigger shows it");
    database.run(&definition);
    // An application may have one of the same name.
    database.run("CREATE FUNCTION confirm(id bigint) RETURNS bigint LANGUAGE sql AS 'SELECT id'");
    check().only(&[]);
    database.run("DROP FUNCTION publish_test");
    check().only(&["functions"]).says("functions", "warning", ": publish_test");
}

#[test]
fn a_sequence_that_was_set_back_is_told_with_what_sets_it() {
    let (database, endpoint) = (Database::migrated(), ses());
    let check = || Found::of(program(&database, &endpoint.url()).output());
    database.accounts("user", 3);
    check().only(&[]).says("sequence", "ok", "ahead of all deliveries");
    database.run("SELECT setval('tokens_id_seq', 1)");
    let ask = "INSERT INTO kinds (kind) VALUES ('notice') ON CONFLICT DO NOTHING;
               SELECT send_mail('notice', 'ann@example.com', key => 'once')";
    let error = database.client().batch_execute(ask).unwrap_err();
    assert_eq!(error.as_db_error().unwrap().constraint(), Some("deliveries_pkey"));
    let found = check();
    let advice = "SELECT setval('tokens_id_seq', max(id)) FROM deliveries";
    found
        .only(&["sequence"])
        .says("sequence", "failed", "stands at 2")
        .says("sequence", "failed", advice);
    assert_eq!(found.code, 78);
    database.run(advice);
    check().only(&[]);
    database.run(ask);
}

#[test]
fn what_keeps_mail_from_arising_on_a_server_of_another_kind_is_a_warning() {
    use crate::support::cluster::Cluster;
    let there = Cluster::start(&["wal_level = logical"]);
    let here = Cluster::start(&["max_prepared_transactions = 5"]);
    let (source, database) = (there.migrated("mail"), here.migrated("mail"));
    let endpoint = ses();
    let check = || Found::of(program(&database, &endpoint.url()).output());
    let found = check();
    found.only(&["two-phase commit"]).says("two-phase commit", "warning", "PREPARE TRANSACTION");
    source.run("CREATE PUBLICATION people FOR TABLE accounts");
    database.run(&format!(
        "CREATE SUBSCRIPTION people CONNECTION '{}' PUBLICATION people WITH (copy_data = false)",
        source.url
    ));
    source.accounts("applied", 1);
    wait_until("the row is applied", || database.number("SELECT count(*) FROM accounts") == 1);
    assert_eq!(database.number("SELECT count(*) FROM tokens"), 0, "statement triggers do not fire");
    let found = check();
    found.only(&["replication", "two-phase commit"]);
    found.says("replication", "warning", "accounts gets rows of a subscription");
    assert_eq!(found.code, 0);
    database.run("DROP SUBSCRIPTION people");
}

#[test]
fn encryption_of_the_database_is_told_as_it_is() {
    let authority = Authority::new("mailroom test CA");
    let secured = Secured::start(authority.issue(&["localhost"]));
    let roots = secured.file("roots.pem", &authority.pem);
    let endpoint = ses();
    let database = secured.cluster.migrated("checked");
    for (mode, roots, text) in [
        ("require", None, "the certificate is not verified, on this machine"),
        ("verify-full", Some(roots.as_path()), "the certificate and its name are verified"),
    ] {
        let url = secured.url("localhost", "postgres", mode, roots);
        let url = format!("{url} dbname=checked");
        let check = program(&database, &endpoint.url()).env("MAILROOM_DATABASE_URL", url);
        let found = Found::of(check.output());
        found.says("database TLS", "ok", text).says("database TLS", "ok", "TLSv1.3");
        assert_eq!(found.code, 0);
    }
}

#[test]
fn credentials_that_are_missing_or_refused_are_told_apart() {
    let (database, endpoint) = (Database::migrated(), ses());
    let without = program(&database, &endpoint.url()).without("AWS_ACCESS_KEY_ID");
    let found = Found::of(without.output());
    assert_eq!(found.code, 78);
    found.says("credentials", "failed", "AWS_").says("templates", "warning", "cannot be asked");
    assert_eq!(endpoint.requests().len() + endpoint.quota_asked(), 0);
    for (status, code) in [
        (403, "UnrecognizedClientException"),
        (403, "InvalidSignatureException"),
        (400, "InvalidClientTokenId"),
    ] {
        endpoint.account(Reply::error(status, code, "The security token is invalid."));
        let found = Found::of(program(&database, &endpoint.url()).output());
        found.says("account", "failed", "the credentials are refused");
        found.says("account", "failed", code);
        assert_eq!(found.code, 78);
    }
}

#[test]
fn where_requests_are_only_printed_no_provider_and_no_credentials_are_needed() {
    let (database, endpoint) = (Database::migrated(), ses());
    for (transport, name, value) in [
        ("ses", "AWS_REGION", "eu-central-1"),
        ("smtp", "MAILROOM_SMTP_URL", "smtp://127.0.0.1:9"),
        ("postmark", "MAILROOM_POSTMARK_TOKEN", "11111111-2222-3333-4444-555555555555"),
    ] {
        let debug = program(&database, &endpoint.url())
            .without("AWS_ACCESS_KEY_ID")
            .env("MAILROOM_TRANSPORT", transport)
            .env("MAILROOM_DEBUG", "true")
            .env(name, value);
        let found = Found::of(debug.output());
        found.says("provider", "ok", "not needed: MAILROOM_DEBUG is true").only(&["debug"]);
        assert_eq!(found.code, 0);
    }
    assert_eq!(endpoint.requests().len() + endpoint.quota_asked(), 0);
}

#[test]
fn an_account_that_may_not_be_read_is_a_warning_only() {
    let (database, endpoint) = (Database::migrated(), ses());
    let denied = "User is not authorized to perform ses:GetAccount";
    endpoint.account(Reply::error(403, "AccessDeniedException", denied));
    let found = Found::of(program(&database, &endpoint.url()).output());
    found.only(&["account", "sending", "sandbox", "quota", "SES clock"]);
    found.says("account", "warning", "allow ses:GetAccount");
    found.says("template activationv1", "ok", "renders");
    assert_eq!(found.code, 0);
}

#[test]
fn an_account_that_cannot_send_or_is_in_the_sandbox_is_told() {
    let (database, endpoint) = (Database::migrated(), ses());
    let with = |changes: Value| {
        endpoint.account(account(0, changes));
        Found::of(program(&database, &endpoint.url()).output())
    };
    let found = with(json!({ "SendingEnabled": false, "EnforcementStatus": "SHUTDOWN" }));
    found.only(&["sending"]).says("sending", "failed", "SHUTDOWN");
    assert_eq!(found.code, 78);
    let found = with(json!({ "ProductionAccessEnabled": false }));
    found.only(&["sandbox"]).says("sandbox", "warning", "only verified addresses get mail");
    assert_eq!(found.code, 0);
    let quota = json!({ "MaxSendRate": 1, "Max24HourSend": 200, "SentLast24Hours": 200 });
    let found = with(json!({ "SendQuota": quota }));
    found.only(&["quota"]).says("quota", "warning", "all of the 200 in 24 h are used up");
    assert_eq!(found.code, 0);
}

#[test]
fn an_endpoint_that_is_away_or_broken_is_69() {
    let database = Database::migrated();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let found = Found::of(program(&database, &format!("http://127.0.0.1:{port}")).output());
    let sender = ["templates", "identity", "configuration set"];
    found.only(&[&["account", "SES clock"], &sender[..]].concat());
    found.says("account", "failed", "127.0.0.1: ");
    assert_eq!(found.code, 69);
    let endpoint = ses();
    endpoint.account(Reply::error(503, "ServiceUnavailable", "later"));
    let found = Found::of(program(&database, &endpoint.url()).output());
    found.says("account", "failed", "ServiceUnavailable");
    assert_eq!(found.code, 69);
    let found = Found::of(program(&database, "nonsense").output());
    found.says("region, endpoint", "failed", "AWS_ENDPOINT_URL is not a URL");
    assert_eq!(found.code, 78);
}

#[test]
fn a_clock_that_is_off_is_measured() {
    let (database, endpoint) = (Database::migrated(), ses());
    for (ahead, status, text, code) in [
        (-60, "warning", "SES's clock is ", 0),
        (90, "warning", "ahead of ours", 0),
        (-900, "failed", "behind ours: SES refuses signatures", 78),
    ] {
        endpoint.account(healthy(ahead));
        let found = Found::of(program(&database, &endpoint.url()).output());
        found.only(&["SES clock"]).says("SES clock", status, text);
        assert_eq!(found.code, code);
    }
}

#[test]
fn a_template_that_is_missing_or_asks_for_what_is_not_sent_is_named() {
    let (database, endpoint) = (Database::migrated(), ses());
    let text = "Attribute 'name' is not present in the rendering data.";
    endpoint.push(Reply::Full(200, Vec::new(), "{}".into()));
    endpoint.push(Reply::error(400, "BadRequestException", text));
    endpoint.push(Reply::error(404, "NotFoundException", "Template does not exist"));
    endpoint.push(Reply::error(404, "NotFoundException", "Template does not exist"));
    let found = Found::of(program(&database, &endpoint.url()).output());
    found.only(&["template activationv1", "template passwordrecoveryv1"]);
    found.says("template activationv1", "failed", "uses {{name}}, which is not sent");
    found.says("template passwordrecoveryv1", "failed", "mailroom template push");
    let place = format!("(at {})", endpoint.url());
    found.says("template passwordrecoveryv1", "failed", &place);
    assert_eq!(found.code, 78);
    // A stand-in that cannot render: what is there is not missing.
    let gone = || Reply::Full(404, Vec::new(), "Not Found".into());
    let there = |text: &str| {
        let content = json!({ "TemplateContent": { "Subject": "Hi", "Text": text } });
        Reply::Full(200, Vec::new(), content.to_string())
    };
    let none = || Reply::Full(200, Vec::new(), "{}".into());
    for reply in [none(), gone(), there("{{login}}"), gone(), there("{{first}}")] {
        endpoint.push(reply);
    }
    let found = Found::of(program(&database, &endpoint.url()).output());
    found.only(&["template passwordrecoveryv1"]);
    found.says("template passwordrecoveryv1", "failed", "uses {{first}}, which is not sent");
    // One that knows neither call is named.
    endpoint.push(none());
    (0..4).for_each(|_| endpoint.push(gone()));
    let found = Found::of(program(&database, &endpoint.url()).output());
    found.says("template activationv1", "failed", "is not at the provider");
    found.says("template activationv1", "failed", &place);
    endpoint.set(Reply::error(403, "AccessDeniedException", "not authorized"));
    let found = Found::of(program(&database, &endpoint.url()).output());
    found.says("template activationv1", "warning", "allow ses:TestRenderEmailTemplate");
    found.says("template languages", "warning", "and ses:ListEmailTemplates");
    assert_eq!(found.code, 0);
}

#[test]
fn a_sender_that_is_not_verified_and_a_configuration_set_that_is_not_there_are_found() {
    let (database, endpoint) = (Database::migrated(), ses());
    let (good, missing) = (
        || Reply::Full(200, Vec::new(), "{}".into()),
        || Reply::error(404, "NotFoundException", "it does not exist"),
    );
    let with = |replies: Vec<Reply>| {
        // After the list and two templates: the address, its domain, the configuration set.
        [good(), good(), good()].into_iter().chain(replies).for_each(|reply| endpoint.push(reply));
        Found::of(program(&database, &endpoint.url()).output())
    };
    let found = with(vec![missing(), good(), good()]);
    found.only(&[]).says("identity", "ok", "example.com is verified");
    let found = with(vec![missing(), missing(), missing()]);
    found.only(&["identity", "configuration set"]);
    found.says("identity", "failed", "knows none of noreply@example.com, example.com here");
    found.says("configuration set", "failed", "there is none called default here");
    assert_eq!(found.code, 78);
    let off = |body: &str| Reply::Full(200, Vec::new(), body.into());
    let unverified = || off(r#"{"VerifiedForSendingStatus": false}"#);
    let paused = off(r#"{"SendingOptions": {"SendingEnabled": false}}"#);
    let found = with(vec![missing(), unverified(), paused]);
    found.says("identity", "failed", "example.com is not verified yet");
    found.says("configuration set", "failed", "sending with default is turned off");
    // What may not be asked, or is not known there, is no fault.
    let denied = || Reply::error(403, "AccessDeniedException", "no");
    let found = with(vec![denied(), denied()]);
    found.only(&["identity", "configuration set"]);
    found.says("identity", "warning", "allow ses:GetEmailIdentity");
    found.says("configuration set", "warning", "allow ses:GetConfigurationSet");
    assert_eq!(found.code, 0);
    let found = with(vec![Reply::Full(404, Vec::new(), String::new()), denied()]);
    found.says("identity", "warning", "not checked: HTTP 404");
    let without = program(&database, &endpoint.url()).env("MAILROOM_SES_CONFIG_SET", "");
    Found::of(without.output()).only(&[]).says("configuration set", "ok", "none is used");
}

#[test]
fn an_endpoint_of_several_regions_is_looked_up() {
    let (database, endpoint) = (Database::migrated(), ses());
    let program =
        || program(&database, &endpoint.url()).env("MAILROOM_SES_ENDPOINT_ID", "abc123.xyz");
    let good = || Reply::Full(200, Vec::new(), "{}".into());
    let with = |last: Reply| {
        // After the list, two templates, the address, the configuration set, and a look whether it is there.
        (0..6).for_each(|_| endpoint.push(good()));
        endpoint.push(last);
        Found::of(program().output())
    };
    let list = |id: &str, status: &str| {
        let other = json!({ "EndpointId": "other.xyz", "Status": "FAILED" });
        let ours = json!({
            "EndpointName": "ours", "EndpointId": id, "Status": status,
            "Regions": ["eu-central-1", "eu-west-1"],
        });
        let body = json!({ "MultiRegionEndpoints": [other, ours] });
        Reply::Full(200, Vec::new(), body.to_string())
    };
    const NAME: &str = "global endpoint";
    let found = with(list("abc123.xyz", "READY"));
    found.only(&[]).says(NAME, "ok", "abc123.xyz is READY, in eu-central-1 and eu-west-1");
    let mails = format!("eu-central-1, {0}; mails, for any region: {0}", endpoint.url());
    found.says("region, endpoint", "ok", &mails);
    let asked = endpoint.requests().pop().unwrap();
    assert_eq!(asked.path, "/v2/email/multi-region-endpoints?PageSize=1000");
    assert!(asked.header("authorization").unwrap().contains("/eu-central-1/ses/"));
    for status in ["CREATING", "FAILED", "DELETING"] {
        let found = with(list("abc123.xyz", status));
        found.only(&[NAME]).says(NAME, "failed", &format!("abc123.xyz is {status}"));
        assert_eq!(found.code, 78);
    }
    let found = with(list("abc124.xyz", "READY"));
    found.only(&[NAME]).says(NAME, "warning", "SES lists no endpoint");
    let found = with(Reply::error(403, "AccessDeniedException", "no"));
    found.only(&[NAME]).says(NAME, "warning", "allow ses:ListMultiRegionEndpoints");
    assert_eq!(found.code, 0);
    let found = with(Reply::Full(404, Vec::new(), String::new()));
    found.says(NAME, "warning", "not checked: HTTP 404");
    // Where mails go nobody answers.
    (0..5).for_each(|_| endpoint.push(good()));
    endpoint.push(Reply::Reset);
    let found = Found::of(program().output());
    found.only(&[NAME]).says(NAME, "failed", "127.0.0.1: ");
    assert_eq!(found.code, 69);
    let wrong = program().without("AWS_ENDPOINT_URL").env("AWS_USE_FIPS_ENDPOINT", "true");
    let found = Found::of(wrong.output());
    found.says("region, endpoint", "failed", "there is no FIPS endpoint of several regions");
    assert_eq!(found.code, 78);
    let wrong = program().env("MAILROOM_SES_ENDPOINT_ID", "a b");
    let found = Found::of(wrong.output());
    found.says(NAME, "warning", "not checked: MAILROOM_SES_ENDPOINT_ID is wrong");
    assert_eq!(found.code, 78);
    found.says("settings", "failed", "MAILROOM_SES_ENDPOINT_ID: must be as SES gave it");
}

#[test]
fn a_paused_queue_and_rows_that_may_be_hidden_are_told() {
    let (database, endpoint) = (Database::migrated(), ses());
    let clerk = format!("checker_{}", database.name);
    database.run(&format!(
        "UPDATE jobs SET paused_at = now(), paused_reason = 'moving';
         CREATE ROLE {clerk} LOGIN;
         ALTER TABLE accounts ENABLE ROW LEVEL SECURITY"
    ));
    let granted = Program::new(&["migrate", "grants", &clerk]).on(&database).output();
    assert_eq!(granted.code, Some(0), "{}", granted.log);
    let url = database.url.replace("user=postgres", &format!("user={clerk}"));
    let found = program(&database, &endpoint.url()).env("MAILROOM_DATABASE_URL", url);
    let found = Found::of(found.output());
    found.only(&["pause", "row level security"]);
    found.says("pause", "warning", "mailroom is paused: moving");
    found.says("row level security", "warning", "may hide rows of accounts");
    assert_eq!(found.code, 0);
}

#[test]
fn a_lease_that_a_batch_can_outlast_is_warned_of() {
    let (database, endpoint) = (Database::migrated(), ses());
    let with = |lease: &str| {
        Found::of(program(&database, &endpoint.url()).env("MAILROOM_LEASE", lease).output())
    };
    let found = with("109999");
    let why = "MAILROOM_LEASE (109999 ms) is shorter than a batch may take (110000 ms): a slow \
               provider could get mails twice";
    found.only(&["lease"]).says("lease", "warning", why);
    found.says("lease", "warning", "set MAILROOM_LEASE to 120000");
    assert_eq!(found.code, 0, "mail moves all the same");
    with("110000").only(&[]).says("lease", "ok", "110000 ms");
    assert!(with("soon").checks.iter().all(|check| check["name"] != "lease"));
}

#[test]
fn a_directory_that_cannot_be_written_to_is_found() {
    let (database, endpoint) = (Database::migrated(), ses());
    let file = tempfile::NamedTempFile::new().unwrap();
    let check = program(&database, &endpoint.url())
        .env("MAILROOM_SES_OUTPUT_PATH", file.path().join("output"));
    let found = Found::of(check.output());
    found.only(&["output directory"]).says("output directory", "failed", "cannot write to ");
    assert_eq!(found.code, 78);
}

#[cfg(feature = "smtp")]
#[test]
fn a_mail_server_is_greeted_and_logged_in_to_and_gets_no_mail() {
    use crate::support::mailserver::{Act, MailServer, Step, Tls};
    let database = Database::migrated();
    let server = MailServer::start(Tls::Offered, Some(("user", "hunter2")));
    let dir = crate::smtp::templates();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, &server.ca).unwrap();
    let at = |url: String| {
        let check = program(&database, "")
            .env("MAILROOM_TRANSPORT", "smtp")
            .env("MAILROOM_TEMPLATE_DIR", dir.path())
            .env("MAILROOM_SMTP_URL", url);
        let finished = check.output();
        assert!(!finished.out.contains("hunter2"), "{}", finished.out);
        Found::of(finished)
    };
    let good = server.url("user:hunter2@", &ca);
    let found = at(good.clone());
    found.only(&[]).says("mail server", "ok", "encrypted and verified; the login is accepted");
    // A mail is begun, and taken back.
    crate::support::program::wait_until("it took its leave", || {
        server.lines().last().is_some_and(|line| line.starts_with("QUIT"))
    });
    let lines = server.lines();
    let lines: Vec<&str> = lines.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert!(server.mails().is_empty());
    assert!(lines.ends_with(&["MAIL", "RCPT", "RSET", "QUIT"]), "{lines:?}");
    for (step, answer, status, code) in [
        (Step::Rcpt, "554 5.7.1 <unknown[192.0.2.1]>: Client host rejected", "failed", 78),
        (Step::Mail, "550 5.7.1 Not your sender", "failed", 78),
        (Step::Rcpt, "550 5.1.1 No such user", "warning", 0),
    ] {
        server.push(step, Act::Say(answer));
        let found = at(good.clone());
        found.only(&["sending"]).says("sending", status, &answer[10..]);
        assert_eq!(found.code, code);
    }
    let found = at(server.url("user:hunter3@", &ca));
    found.only(&["mail server"]).says("mail server", "failed", "535");
    assert_eq!(found.code, 78);
    let found = at(good.split("&ca=").next().unwrap().to_owned());
    found.only(&["mail server"]).says("mail server", "failed", "no secure connection");
    assert_eq!(found.code, 78);
    server.push(Step::Greeting, Act::Drop);
    let found = at(good.clone());
    found.only(&["mail server"]);
    assert_eq!(found.code, 69);
    std::fs::write(dir.path().join("activationv1.txt"), "{{name}}").unwrap();
    let found = at(good);
    found.only(&["template activationv1"]).says("template activationv1", "failed", "undefined");
    assert_eq!(found.code, 78);
}

#[cfg(feature = "postmark")]
#[test]
fn a_postmark_token_and_its_templates_are_asked_about() {
    let (database, endpoint) = (Database::migrated(), Endpoint::start());
    let check = || {
        let check = program(&database, "")
            .env("MAILROOM_TRANSPORT", "postmark")
            .env("MAILROOM_POSTMARK_TOKEN", "11111111-2222-3333-4444-555555555555")
            .env("MAILROOM_POSTMARK_URL", endpoint.url());
        Found::of(check.output())
    };
    let reply = |body: Value| Reply::Full(200, Vec::new(), body.to_string());
    let template = json!({ "Name": "x", "Subject": "Hi", "TextBody": "{{x}}", "HtmlBody": null });
    let rendered = |html: &str, used: Value| {
        let part = |text: &str| json!({ "ContentIsValid": true, "RenderedContent": text });
        let (subject, text) = (part("Hi"), part("text"));
        json!({ "Subject": subject, "TextBody": text, "HtmlBody": part(html), "SuggestedTemplateModel": used })
    };
    let good = rendered("<p>", json!({ "login": "john", "secret": "x" }));
    let with = |replies: &[&Value]| {
        endpoint.push(reply(json!({})));
        let listed = json!({ "Templates": [{ "Alias": "activationv1.de" }, { "Alias": null }] });
        endpoint.push(reply(listed));
        replies.iter().for_each(|one| endpoint.push(reply((*one).clone())));
        check()
    };
    // One of its languages is looked at too.
    let found = with(&[&template, &good, &template, &good, &template, &good]);
    assert_eq!(found.only(&[]).code, 0);
    found.says("template activationv1.de", "ok", "action 1: renders");
    let requests = endpoint.requests();
    let asked: Vec<(&str, &str)> =
        requests.iter().map(|one| (one.method.as_str(), one.path.as_str())).collect();
    let validate = ("POST", "/templates/validate");
    assert_eq!(
        asked,
        [
            ("GET", "/server"),
            ("GET", "/templates?Count=500&Offset=0&TemplateType=Standard"),
            ("GET", "/templates/activationv1"),
            validate,
            ("GET", "/templates/activationv1.de"),
            validate,
            ("GET", "/templates/passwordrecoveryv1"),
            validate,
        ]
    );
    let asked = requests[3].json();
    assert_eq!((&asked["TextBody"], &asked["HtmlBody"]), (&json!("{{x}}"), &json!("")));
    assert_eq!(asked["TestRenderModel"]["login"], "john");
    // A section that has nothing in it is no variable that is missing.
    let used = json!({ "login": "", "first_name": "x", "coupon": { "code": "x" } });
    let link = rendered("<a href=\"https://example.com/x\">", json!({}));
    let mut broken = good.clone();
    broken["HtmlBody"] =
        json!({ "ContentIsValid": false, "ValidationErrors": [{ "Message": "no {{/if}}" }] });
    let found = with(&[&template, &rendered("", used), &template, &link, &template, &broken]);
    found.says("template activationv1", "failed", "uses {{first_name}}, which is not sent");
    found.says("template activationv1.de", "failed", "leads to example.com");
    found.says("template passwordrecoveryv1", "failed", "cannot be rendered: HtmlBody: no {{/if}}");
    assert_eq!(found.code, 78);
    let missing = json!({ "ErrorCode": 1101, "Message": "The template was not found." });
    endpoint.push(reply(json!({})));
    endpoint.push(reply(json!({})));
    endpoint.set(Reply::Full(422, Vec::new(), missing.to_string()));
    let found = check();
    found.says("template passwordrecoveryv1", "failed", "is not at the provider");
    assert_eq!(found.code, 78);
    let refused = json!({ "ErrorCode": 10, "Message": "No Account or Server API tokens" });
    endpoint.set(Reply::Full(401, Vec::new(), refused.to_string()));
    let found = check();
    found.only(&["Postmark token", "templates"]).says("Postmark token", "failed", "refused by ");
    assert_eq!(found.code, 78);
    endpoint.set(Reply::Reset);
    assert_eq!(check().code, 69);
}
