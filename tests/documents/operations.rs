//! docs/OPERATIONS.md: its commands are run as they stand, in their order, and its log lines are
//! those of the program.

mod lines;

use super::{blocks, read, root, rows, section};
use crate::support::cluster::{Cluster, Database, bin_dir};
use crate::support::endpoint::{Endpoint, Reply};
use crate::support::peer::Peer;
use crate::support::program::{KEY, Program, wait_until};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The blocks of a section, to be run by a shell.
fn commands(heading: &str) -> Vec<String> {
    blocks(&section(&read("docs/OPERATIONS.md"), heading), "sh")
}

/// A person's shell: its directory and its environment.
pub(super) struct Shell {
    dir: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Shell {
    pub(super) fn new(database: &str) -> Shell {
        let dir = tempfile::tempdir().unwrap();
        // With links to an application, as it is said before they are used.
        let templates = dir.path().join("templates");
        std::fs::create_dir(&templates).unwrap();
        for entry in std::fs::read_dir(root().join("templates")).unwrap().flatten() {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            let text = text.replace("example.com", "example.org");
            std::fs::write(templates.join(entry.file_name()), text).unwrap();
        }
        let program = Path::new(env!("CARGO_BIN_EXE_mailroom")).parent().unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{}:{path}", program.display(), bin_dir().display());
        let variables = vec![
            ("PATH", path),
            ("HOME", dir.path().display().to_string()),
            ("MAILROOM_DATABASE_URL", database.to_owned()),
            ("MAILROOM_SECRET_KEY", KEY.to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned()),
            ("AWS_REGION", "eu-central-1".to_owned()),
        ];
        Shell { dir, variables }
    }

    pub(super) fn set(mut self, name: &'static str, value: impl Into<String>) -> Shell {
        self.variables.push((name, value.into()));
        self
    }

    /// Runs commands that must succeed, up to the first that does not; gives what they print.
    pub(super) fn run(&self, commands: &str) -> String {
        let (code, out, log) = self.attempt(commands);
        assert_eq!(code, Some(0), "{commands}\n{out}\n{log}");
        out
    }

    pub(super) fn attempt(&self, commands: &str) -> (Option<i32>, String, String) {
        let done = Command::new("sh")
            .args(["-eu", "-c", commands])
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.dir.path())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (done.status.code(), text(&done.stdout), text(&done.stderr))
    }
}

/// A command that is in the block, so that it is not this test alone that knows it.
fn line<'a>(block: &'a str, beginning: &str) -> &'a str {
    let found = block.lines().find(|line| line.starts_with(beginning));
    found.unwrap_or_else(|| panic!("no {beginning:?} in:\n{block}"))
}

#[test]
fn the_checklist_leads_from_an_empty_database_to_a_daemon_that_may_send() {
    let cluster = Cluster::start(&[]);
    let url = cluster.url("postgres");
    let peer = Peer::start();
    // The owner is nobody else's equal.
    let mut admin = crate::support::cluster::connect(&url).unwrap();
    admin.batch_execute("CREATE ROLE owner LOGIN; GRANT CREATE ON SCHEMA public TO owner").unwrap();
    let shell = Shell::new(&url.replace("user=postgres", "user=owner"))
        .set("AWS_ENDPOINT_URL", peer.url())
        .set("ADMIN_DATABASE_URL", url.as_str());
    let [role, database, key, templates, check] = commands("Checklist").try_into().unwrap();
    let (code, ..) = shell.attempt(&role.replace("ADMIN_", "MAILROOM_"));
    assert_ne!(code, Some(0), "it is no step of the owner's");
    shell.run(&role);
    let out = shell.run(&database);
    assert!(out.contains("GRANT SELECT ON public.deliveries TO mailroom_collector;"), "{out}");
    assert_eq!(shell.run(&key).trim().len(), 64);
    shell.run(&templates);
    let daemon = Shell::new(&url.replace("user=postgres", "user=mailroom_collector"))
        .set("AWS_ENDPOINT_URL", peer.url())
        .set("MAILROOM_SECRET_KEY", shell.run(&key).trim())
        .set("MAILROOM_SES_SOURCE", "noreply@example.com");
    let (code, out, _) = daemon.attempt(&check);
    assert_eq!(code, Some(0), "{out}");
    for name in ["grants", "NOTIFY", "template activationv1", "template passwordrecoveryv1"] {
        let found = out.lines().find(|line| line.contains(name)).unwrap_or_default();
        assert!(found.starts_with("ok "), "{name}: {out}");
    }
}

#[test]
fn a_dead_letter_is_found_mended_and_sent() {
    let database = Database::migrated();
    let provider = Endpoint::start();
    provider.push(Reply::Statuses(vec![
        ("SUCCESS", ""),
        ("MESSAGE_REJECTED", "Address is on the suppression list"),
    ]));
    database.run(
        "INSERT INTO accounts (email, login) VALUES ('john@example.com', 'john'),
            ('jane@exmaple.com', 'jane'), ('ann@example.com', 'ann')",
    );
    let run = Program::run(&database, &provider.url()).start();
    wait_until("one failed", || database.in_state("sent") == 2 && database.in_state("failed") == 1);
    let shell = Shell::new(&database.url).set("AWS_ENDPOINT_URL", provider.url());
    let [look, mend, all, renew, file, expired] =
        commands("Recovery from a dead letter").try_into().unwrap();
    let out = shell.run(&look);
    assert!(out.contains("MESSAGE_REJECTED: Address is on the suppression list"), "{out}");
    assert!(out.contains("jane@exmaple.com") && !out.contains("john@"), "{out}");
    let out = shell.run(&mend);
    assert!(out.contains("1 delivery will be tried again"), "{out}");
    let mails = provider.wait_for(3, Duration::from_secs(20));
    assert_eq!(mails[2].to, "jane@example.com");
    wait_until("it is settled", || database.in_state("sent") == 3);
    // Several, by their reason.
    provider.push(Reply::Statuses(vec![("MESSAGE_REJECTED", "no"), ("MESSAGE_REJECTED", "no")]));
    database.accounts("more", 2);
    wait_until("two failed", || database.in_state("failed") == 2);
    assert!(shell.run(&all).contains("2 deliveries will be tried again"));
    wait_until("they are settled", || database.in_state("sent") == 5);
    // Too late: another token.
    database.run(
        "UPDATE tokens SET expires_at = extract(epoch FROM now()) - 1 WHERE id = 2;
         UPDATE deliveries SET state = 'failed', error = 'no', provider_id = NULL WHERE id = 2",
    );
    let (code, _, log) = shell.attempt(line(&mend, "mailroom queue retry"));
    assert_eq!(code, Some(65), "{log}");
    assert!(log.contains("a new token is needed"), "{log}");
    assert!(shell.run(&renew).contains("1 delivery dropped"));
    let mails = provider.wait_for(6, Duration::from_secs(20));
    assert_eq!(mails[5].to, "jane@example.com");
    let status = shell.run("mailroom status --json");
    assert!(status.contains("\"failed\":0"), "{status}");
    // What expired unsent gets new tokens; who has a newer one, like the owner of 2, does not.
    wait_until("all are settled", || database.in_state("sent") == 5);
    database.run(
        "UPDATE tokens SET expires_at = extract(epoch FROM now()) - 1 WHERE id IN (2, 4);
         UPDATE deliveries SET state = 'expired', provider_id = NULL WHERE id IN (2, 4)",
    );
    assert_eq!(shell.run(&expired), "INSERT 0 1\n");
    let mails = provider.wait_for(7, Duration::from_secs(20));
    assert_eq!(mails[6].to, "more1@example.com");
    assert_eq!(run.stop().code, Some(0));
    by_file(&provider, &file);
}

/// What `send` alone gave up is sent from its file.
fn by_file(provider: &Endpoint, command: &str) {
    provider.push(Reply::Statuses(vec![("MESSAGE_REJECTED", "no")]));
    let shell = Shell::new("").set("AWS_ENDPOINT_URL", provider.url());
    let record = crate::support::records::activations("late", 1);
    std::fs::write(shell.dir.path().join("in.csv"), record).unwrap();
    let (code, _, log) = shell.attempt("mailroom send < in.csv");
    assert!(log.contains("not delivered to "), "{code:?} {log}");
    let before = provider.accepted().len();
    shell.run(command);
    assert_eq!(provider.accepted().len(), before + 1);
    let left = std::fs::read_dir(shell.dir.path().join("output")).unwrap().flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name().into_string().unwrap()).collect();
    let renamed = |name: &&String| name.starts_with("undelivered.") && name.ends_with(".csv");
    assert_eq!(left.iter().filter(renamed).count(), 1, "{left:?}");
    assert!(!left.contains(&"undelivered.csv".to_owned()), "{left:?}");
}

#[test]
fn who_has_to_act_is_told_by_the_headings_of_status() {
    let database = Database::migrated();
    database.accounts("user", 5);
    database.run(
        "UPDATE deliveries SET cause = 'template', error = 'no such file' WHERE id = 1;
         UPDATE deliveries SET cause = 'quota', error = 'used up' WHERE id = 2;
         UPDATE deliveries SET cause = 'away', error = 'refused' WHERE id = 3;
         UPDATE deliveries SET state = 'failed', due_at = now(), cause = 'unsigned' WHERE id = 4;
         UPDATE deliveries SET state = 'failed', due_at = now(), cause = 'rejected' WHERE id = 5",
    );
    let [look] = commands("Was it us or them?").try_into().unwrap();
    let screen = Shell::new(&database.url).run(&look);
    let headings = rows(&section(&read("docs/OPERATIONS.md"), "Was it us or them?"));
    let places: Vec<_> = headings[1..].iter().map(|row| screen.find(&row[0])).collect();
    assert!(places.len() == 5 && places.is_sorted(), "{places:?} {screen}");
    assert!(places.iter().all(Option::is_some), "{places:?} {screen}");
}

#[test]
fn after_a_rotation_links_of_both_keys_are_ours() {
    let database = Database::migrated();
    database.accounts("user", 1);
    let collect = Program::collect(&database).start();
    let [_, _, _, token, _] =
        crate::support::program::messages(&collect.wait_lines(1)[0])[0].clone();
    assert_eq!(collect.stop().code, Some(0));
    let [rotate] = commands("Key rotation").try_into().unwrap();
    let shell = Shell::new(&database.url).set("TOKEN", &token);
    let print = "printf '%s' \"$MAILROOM_SECRET_KEY\"";
    let out = shell.run(&format!("{rotate}\n{print}"));
    assert!(out.contains("valid: yes (signed with the previous key)"), "{out}");
    let new = out.lines().last().unwrap();
    assert_ne!(new, KEY);
    // What is signed from now on, and the old key forgotten.
    database.accounts("next", 1);
    let collect = Program::collect(&database).env("MAILROOM_SECRET_KEY", new).start();
    let [_, _, _, token, _] =
        crate::support::program::messages(&collect.wait_lines(1)[0])[0].clone();
    assert_eq!(collect.stop().code, Some(0));
    let verify = "mailroom verify \"$TOKEN\"";
    let both = Shell::new("").set("TOKEN", &token).set("MAILROOM_SECRET_KEY", new);
    let both = both.set("MAILROOM_SECRET_KEY_PREVIOUS", KEY);
    assert!(both.run(verify).contains("valid: yes\n"));
    let (code, ..) = Shell::new("").set("TOKEN", &token).attempt(verify);
    assert_eq!(code, Some(1), "the old key alone");
}

#[test]
fn a_program_goes_on_while_the_schema_is_newer_and_is_refused_when_it_connects_again() {
    let database = Database::migrated();
    let collect = Program::collect(&database).start();
    collect.wait_log("connected");
    database.run("UPDATE schema_migrations SET version = version + 1");
    database.accounts("user", 1);
    collect.wait_lines(1);
    database.disconnect_others();
    collect.wait_log("but this mailroom knows only up to");
    collect.wait_log("next try in");
    // A new one is refused at once.
    let late = Program::collect(&database).output();
    assert_eq!(late.code, Some(78), "{}", late.log);
    // The way back, or a newer program: here the version is what it was.
    database.run("UPDATE schema_migrations SET version = version - 1");
    database.accounts("more", 1);
    collect.wait_lines(2);
    assert_eq!(collect.stop().code, Some(0));
    // The steps of an upgrade, where nothing is to be done.
    let [steps] = commands("Upgrades").try_into().unwrap();
    let role = format!("daemon_{}", database.name);
    database.run(&format!("CREATE ROLE {role}"));
    let out = Shell::new(&database.url).run(&steps.replace("mailroom_collector", &role));
    assert!(out.contains(&format!("TO {role};")), "{out}");
    database.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

/// A dump of three deliveries, one of them under way, and of what `more` makes, that were all sent afterwards; the provider
/// that has them, and what to do after a restore.
fn dumped(more: &str) -> (Shell, Endpoint, [String; 3]) {
    let database = Database::migrated();
    let provider = Endpoint::start();
    database.accounts("user", 3);
    database.run(
        "UPDATE deliveries SET state = 'leased', lease = 'run:1:00', due_at = now() WHERE id = 1",
    );
    database.run(more);
    let [dump, restore, give_up, _] = commands("Backups and restores").try_into().unwrap();
    let shell = Shell::new(&database.url);
    shell.run(&dump);
    database.run("UPDATE jobs SET paused_at = NULL, paused_reason = NULL");
    send_all(&database, &provider);
    assert_eq!(provider.accepted().len(), 3);
    (shell, provider, [dump, restore, give_up])
}

fn send_all(database: &Database, provider: &Endpoint) {
    let run = Program::run(database, &provider.url()).start();
    let open = "SELECT count(*) FROM deliveries WHERE state IN ('pending', 'leased')";
    wait_until("nothing waits", || database.number(open) == 0);
    assert_eq!(run.stop().code, Some(0));
}

/// An empty database and a shell that has the dump.
fn elsewhere(old: &Shell) -> (Database, Shell) {
    let database = Database::empty();
    let shell = Shell::new(&database.url);
    std::fs::copy(old.dir.path().join("mailroom.dump"), shell.dir.path().join("mailroom.dump"))
        .unwrap();
    (database, shell)
}

#[test]
fn after_a_restore_mails_go_again_unless_they_are_given_up() {
    let (old, provider, [_, restore, give_up]) = dumped("");
    // As it stands, nothing is lost, and what was sent since is sent again.
    let (database, shell) = elsewhere(&old);
    shell.run(line(&restore, "pg_restore"));
    send_all(&database, &provider);
    assert_eq!(provider.accepted().len(), 6);
    // With the steps, nothing is.
    let (database, shell) = elsewhere(&old);
    let out = shell.run(&restore);
    assert!(out.contains("PAUSED for ") && out.contains("restored from a backup"), "{out}");
    shell.run(&give_up);
    let run = Program::run(&database, &provider.url()).start();
    database.accounts("new", 1);
    wait_until("what is new is sent", || database.in_state("sent") == 1);
    assert_eq!(provider.accepted().len(), 7);
    assert_eq!(database.in_state("failed"), 3);
    let status = shell.run("mailroom status --json");
    assert!(status.contains("\"failed\":0") && status.contains("\"dropped\":3"), "{status}");
    // One that is wanted after all.
    shell.run("mailroom queue retry 2");
    assert_eq!(provider.wait_for(8, Duration::from_secs(20))[7].to, "user2@example.com");
    assert_eq!(run.stop().code, Some(0));
}

#[test]
fn a_restore_of_an_old_backup_sends_nothing() {
    let (old, provider, [_, restore, _]) = dumped("");
    let (database, shell) = elsewhere(&old);
    shell.run(line(&restore, "pg_restore"));
    // Time has passed since the dump.
    database.run("UPDATE tokens SET expires_at = expires_at - 1000");
    send_all(&database, &provider);
    assert_eq!((provider.accepted().len(), database.in_state("expired")), (3, 3));
}

#[test]
fn data_alone_is_restored_by_the_owner_with_kinds_and_pause_and_without_a_second_mail() {
    let (old, provider, [_, _, give_up]) = dumped(
        "INSERT INTO lists (list, list_id, unsubscribe)
         VALUES ('weekly', 'weekly.example.com', 'https://example.com/leave?t=');
         INSERT INTO subscribers (list, address, how) VALUES ('weekly', 'ann@example.com', 'import');
         INSERT INTO issues (key, list, template, upto, total, state)
         VALUES ('1', 'weekly', 'weekly', 1, 1, 'published');
         INSERT INTO tallies VALUES ('mailroom', now(), 0, 1);
         UPDATE jobs SET paused_at = now(), paused_reason = 'a pause'",
    );
    let [data] = commands("Data alone").try_into().unwrap();
    // A database that belongs to a role without any rights besides.
    let database = Database::empty();
    let owner = format!("owner_{}", database.name);
    database.run(&format!(
        "CREATE ROLE {owner} LOGIN; ALTER DATABASE {} OWNER TO {owner}; GRANT ALL ON SCHEMA public TO {owner}",
        database.name
    ));
    let shell = Shell::new(&database.url.replace("user=postgres", &format!("user={owner}")));
    let dump = "mailroom.dump";
    std::fs::copy(old.dir.path().join(dump), shell.dir.path().join(dump)).unwrap();
    shell.run(&data);
    // All tables and sequences are as they were, but for the pause, whose reason is new.
    let (before, other) = elsewhere(&old);
    other.run("pg_restore --dbname=\"$MAILROOM_DATABASE_URL\" mailroom.dump");
    let content = |database: &Database| {
        let relations = "SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'S')
             AND relnamespace = 'public'::regnamespace ORDER BY 1";
        let mut client = database.client();
        let relations = client.query(relations, &[]).unwrap();
        let one = |row: &postgres::Row| {
            let name: String = row.get(0);
            let sql = format!(
                "SELECT '{name}: ' || coalesce(string_agg(x, E'\\n' ORDER BY x), '') FROM (
                    SELECT (to_jsonb(t) - 'paused_at' - 'log_cnt')::text FROM (SELECT * FROM {name}) t) t (x)"
            );
            client.query_one(&sql, &[]).unwrap().get::<_, String>(0)
        };
        relations.iter().map(one).collect::<Vec<String>>()
    };
    assert_eq!(content(&database), content(&before));
    assert_eq!(database.number("SELECT count(*) FROM kinds WHERE kind = 'weekly'"), 1);
    assert_eq!(database.number("SELECT count(*) FROM jobs WHERE paused_reason = 'a pause'"), 1);
    // Once more keeps nothing and changes nothing.
    let (code, _, log) = shell.attempt(&data);
    assert!(code == Some(3) && log.contains("duplicate key"), "{code:?} {log}");
    assert_eq!(content(&database), content(&before));
    shell.run(&give_up);
    let run = Program::run(&database, &provider.url()).start();
    database.accounts("new", 1);
    wait_until("what is new is sent", || database.in_state("sent") == 1);
    assert_eq!(run.stop().code, Some(0));
    assert_eq!(provider.accepted().len(), 4);
    drop(shell);
    database.run(&format!("ALTER DATABASE {} OWNER TO postgres", database.name));
    database.run(&format!(
        "REASSIGN OWNED BY {owner} TO postgres; DROP OWNED BY {owner}; DROP ROLE {owner}"
    ));
}

#[test]
fn the_commands_that_ask_whether_it_is_well_can_be_run() {
    let database = Database::migrated();
    let collect = Program::collect(&database).start();
    collect.wait_log("connected");
    let [ask] = commands("Is it well?").try_into().unwrap();
    let out = Shell::new(&database.url).run(&ask);
    assert!(out.starts_with("healthy: 1 listening; nothing is due\n"), "{out}");
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn accounts_without_a_token_or_without_a_mail_are_found_and_get_both_once() {
    let database = Database::migrated();
    let provider = Endpoint::start();
    database.accounts("asked", 2);
    database.run(
        "ALTER TABLE accounts DISABLE TRIGGER after_account_insert;
         INSERT INTO accounts (email, login) VALUES ('ann@example.com', 'ann');
         INSERT INTO accounts (email, login, status) VALUES ('old@example.com', 'old', 'active');
         INSERT INTO accounts (email, login, created_at) VALUES ('long@example.com', 'long', 1);
         ALTER TABLE accounts ENABLE TRIGGER after_account_insert;
         ALTER TABLE tokens DISABLE TRIGGER after_token_inserted;
         INSERT INTO accounts (email, login) VALUES ('bob@example.com', 'bob')",
    );
    database.run("ALTER TABLE tokens ENABLE TRIGGER after_token_inserted");
    let shell = Shell::new(&database.url);
    let [look, ask] = commands("Accounts that were never asked").try_into().unwrap();
    let rows = shell.run(&look);
    assert!(
        rows.contains(" ann ") && rows.contains(" bob ") && rows.contains("(2 rows)"),
        "{rows}"
    );
    assert_eq!(shell.run(&ask), "INSERT 0 2\n");
    assert_eq!(shell.run(&ask), "INSERT 0 0\n");
    send_all(&database, &provider);
    let mut sent: Vec<String> = provider.accepted().into_iter().map(|mail| mail.to).collect();
    sent.sort();
    assert_eq!(
        sent,
        ["ann@example.com", "asked1@example.com", "asked2@example.com", "bob@example.com"]
    );
}

#[test]
fn whoever_got_no_mail_is_found_and_a_flood_is_seen_and_limited() {
    let database = Database::migrated();
    database.run("INSERT INTO kinds (kind) VALUES ('reminder')");
    let recovery = "SELECT send_mail(kind => 'password_recovery', recipient => 'Ann@example.com', \
                    subject => '1')";
    let provider = Endpoint::start();
    let run = Program::run(&database, &provider.url()).start();
    database.run(recovery);
    wait_until("it is sent", || database.in_state("sent") == 1);
    database.run(recovery);
    database.run(recovery);
    let shell = Shell::new(&database.url);
    let [find] = commands("One person got no mail").try_into().unwrap();
    let rows = shell.run(&find.replace("jane@example.com", "ann@example.com"));
    let places = ["limited", "superseded", "sent"].map(|word| rows.find(word));
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "the latest first: {rows}");
    let [flood, who, limit] = commands("Somebody floods an address").try_into().unwrap();
    let screen = shell.run(&flood);
    let row = "asked for most in the last hour\n         3  A***@example.com: 1 sent, 1 superseded, \
               1 limited; latest 3\n";
    assert!(screen.contains(row), "{screen}");
    assert!(shell.run(&who.replace("812", "3")).contains("Ann@example.com"));
    shell.run(&limit);
    let reminder = "SELECT send_mail(kind => 'reminder', recipient => 'bob@example.com')";
    database.run(reminder);
    wait_until("it is sent", || database.in_state("sent") == 2);
    database.run(reminder);
    let limited = "SELECT count(*) FROM deliveries WHERE kind = 'reminder' AND cause = 'limited'";
    assert_eq!(database.number(limited), 1);
    assert_eq!(run.stop().code, Some(0));
}
