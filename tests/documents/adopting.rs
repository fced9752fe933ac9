//! docs/ADOPTING.md: each statement of it is run in a database with 20,000 users in the table of each
//! framework; none of them is mailed, and the first who asks is.

mod tables;

use super::operations::Shell;
use super::verifying::snippet::verify;
use super::{blocks, read, section};
use crate::support::cluster::{Cluster, Database, connect};
use crate::support::endpoint::{Endpoint, Mail};
use crate::support::program::{KEY, Program, Running, wait_until};
use postgres::Client;
use postgres::types::ToSql;
use std::time::Duration;

/// The blocks under a heading.
fn block(heading: &str, language: &str) -> Vec<String> {
    blocks(&section(&read("docs/ADOPTING.md"), heading), language)
}

/// The statements in a program's text, which stand between these marks, with `$1` for their value.
fn statements(code: &str, open: &str, close: &str) -> [String; 2] {
    let mut rest = code;
    let mut found = Vec::new();
    while let Some((_, inside)) = rest.split_once(open) {
        let (text, behind) = inside.split_once(close).expect("the statement ends");
        rest = behind;
        // What stands behind the mark on its line is the program's.
        let text =
            text.find("SELECT").into_iter().chain(text.find("UPDATE")).min().map(|at| &text[at..]);
        let text = text.expect("it is a statement").to_owned();
        let value = ["%(email)s", "%(secret)s", "${email}", "${secret}", "?"];
        found.push(value.iter().fold(text, |text, name| text.replace(name, "$1")));
    }
    found.try_into().expect("two statements")
}

/// An application, its users, and mailroom beside it.
struct Adopted {
    cluster: Cluster,
    provider: Endpoint,
    run: Running,
    /// Connected as the role of the application.
    app: Client,
}

impl Adopted {
    /// Follows the page, up to a process that waits for mail.
    fn by(users: &str) -> Adopted {
        let cluster = Cluster::start(&[]);
        let mut admin = connect(&cluster.url("postgres")).unwrap();
        admin.batch_execute("CREATE ROLE app LOGIN").unwrap();
        admin.batch_execute("CREATE DATABASE example OWNER app").unwrap();
        let url = cluster.url("example");
        let mut app = connect(&url.replace("user=postgres", "user=app")).unwrap();
        app.batch_execute(users).unwrap();

        let [schema, grants] = block("Once, as the administrator", "sql").try_into().unwrap();
        let [migrate, give, address, start] =
            block("Once, as the administrator", "sh").try_into().unwrap();
        let mut admin = connect(&url).unwrap();
        admin.batch_execute(&schema).unwrap();
        Shell::new(&url).run(&migrate);
        admin.batch_execute(&grants).unwrap();
        let there = format!("{url} options=-csearch_path=mailroom");
        let shell = Shell::new(&there);
        shell.run(&give);
        shell.run(&format!("cp {}/templates/* templates", env!("CARGO_MANIFEST_DIR")));
        shell.run(&address);
        shell.run("! grep '://example.com' templates/*.txt templates/*.html");
        let here = format!("\"{} user=", url.replace("user=postgres", ""));
        let start = start.replace("\"dbname=example user=", &here);
        let (_, out, _) = shell.attempt(start.strip_suffix("mailroom run\n").unwrap());
        assert!(out.contains("mailroom_collector") && out.contains("ok       grants"), "{out}");

        let provider = Endpoint::start();
        let url = there.replace("user=postgres", "user=mailroom_collector");
        let database = Database { name: "example".to_owned(), url };
        let run = Program::run(&database, &provider.url()).start();
        run.wait_log("connected");
        Adopted { cluster, provider, run, app }
    }

    /// The number of mails, by the page.
    fn mails(&mut self) -> i64 {
        let [count, _] = block("What to check", "sql").try_into().unwrap();
        self.app.query_one(&count, &[]).unwrap().get(0)
    }

    /// Somebody has forgotten a password, whose id is `subject`; gives the mail.
    fn forgot(&mut self, statement: &str, subject: &str) -> Mail {
        assert_eq!(self.mails(), 0, "nobody is mailed");
        assert!(self.app.query(statement, &[&"nobody@example.com"]).unwrap().is_empty());
        assert_eq!(self.app.query(statement, &[&"user7@example.com"]).unwrap().len(), 1);
        let mail = self.provider.wait_for(1, Duration::from_secs(20)).remove(0);
        assert_eq!(mail.to, "user7@example.com");
        let [_, look] = block("What to check", "sql").try_into().unwrap();
        let app = &mut self.app;
        let mut seen = || {
            let rows = app.query(&look.replace("state, cause", "state::text, cause::text"), &[]);
            let rows = rows.unwrap();
            let texts = (0..4).map(|at| rows[0].get::<_, String>(at));
            (rows.len(), texts.collect::<Vec<_>>().join(" "))
        };
        let wanted = format!("password_recovery user7@example.com {subject} sent");
        wait_until("it is sent", || seen() == (1, wanted.clone()));
        mail
    }

    /// What the link of a mail leads to: its token is used up, and cannot be again.
    fn reset(&mut self, statement: &str, more: &[&(dyn ToSql + Sync)], mail: &Mail) -> String {
        let key: [u8; 32] = hex::decode(KEY).unwrap().try_into().unwrap();
        let text = |name: &str| mail.data[name].as_str().unwrap();
        let secret = verify(&key, text("secret"), "/recover", text("code")).expect("it is ours");
        let (bytes, hex) = (secret.to_vec(), hex::encode(secret));
        let first: &(dyn ToSql + Sync) = if statement.contains("decode(") { &hex } else { &bytes };
        let values = [&[first], more].concat();
        let rows = self.app.query(statement, &values).unwrap();
        assert!(self.app.query(statement, &values).unwrap().is_empty(), "it is used once");
        rows[0].get(0)
    }

    /// Nobody else was mailed, and the application may do no more than the page says.
    fn end(mut self, mails: usize) {
        let denied = self.app.query("SELECT id FROM mailroom.deliveries", &[]).unwrap_err();
        assert_eq!(denied.code(), Some(&postgres::error::SqlState::INSUFFICIENT_PRIVILEGE));
        assert_eq!(self.mails(), i64::try_from(mails).unwrap());
        let url = format!("{} options=-csearch_path=mailroom", self.cluster.url("example"));
        let [check] = block("What to check", "sh").try_into().unwrap();
        let shell = Shell::new(&url).set("AWS_ENDPOINT_URL", self.provider.url());
        let (check, status) = check.split_once('\n').unwrap();
        let (_, out, _) = shell.attempt(check);
        let grants = out.lines().find(|line| line.contains("grants")).unwrap_or_default();
        assert!(grants.starts_with("ok "), "{out}");
        assert!(shell.run(status).contains(&format!("{mails}  sent")));
        assert_eq!(self.run.stop().code, Some(0));
        assert_eq!(self.provider.accepted().len(), mails);
    }
}

/// The steps of a framework, whose table is filled by `users` and has this name.
fn framework(users: &str, table: &str, [forgot, reset]: [String; 2]) {
    let mut adopted = Adopted::by(users);
    let id = format!("SELECT id::text FROM {table} WHERE email = 'user7@example.com'");
    let id: String = adopted.app.query_one(&id, &[]).unwrap().get(0);
    let mail = adopted.forgot(&forgot, &id);
    assert_eq!(adopted.reset(&reset, &[], &mail), id, "the application gets its own id back");
    adopted.end(1);
}

#[test]
fn an_application_in_django_sends_its_first_recovery_and_nothing_else() {
    let [code] = block("Django", "python").try_into().unwrap();
    framework(tables::DJANGO, "auth_user", statements(&code, "\"\"\"", "\"\"\""));
    let [same] = block("Django", "sql").try_into().unwrap();
    let database = Database::empty();
    database.run(tables::DJANGO);
    assert!(database.client().query(&same, &[]).unwrap().is_empty());
    database.run("UPDATE auth_user SET email = 'USER7@example.com' WHERE id = 8");
    assert_eq!(database.client().query(&same, &[]).unwrap().len(), 1);
}

#[test]
fn an_application_in_rails_sends_its_first_recovery_and_nothing_else() {
    let [code] = block("Rails", "ruby").try_into().unwrap();
    framework(tables::RAILS, "users", statements(&code, "<<~SQL", " SQL\n"));
}

#[test]
fn an_application_in_laravel_sends_its_first_recovery_and_nothing_else() {
    let [code] = block("Laravel", "php").try_into().unwrap();
    framework(tables::LARAVEL, "users", statements(&code, "<<<'SQL'", " SQL, "));
}

#[test]
fn an_application_with_prisma_sends_its_first_recovery_and_nothing_else() {
    let [code] = block("Prisma", "ts").try_into().unwrap();
    framework(tables::PRISMA, "\"User\"", statements(&code, "`", "`"));
}

#[test]
fn an_application_in_plain_sql_sends_its_first_recovery_and_welcomes_who_comes_later() {
    let [table, forgot, reset] = block("Plain SQL", "sql").try_into().unwrap();
    let mut adopted = Adopted::by(&format!("{table}{}", tables::PLAIN));
    let id = "SELECT id::text FROM app_user WHERE email = 'user7@example.com'";
    let id: String = adopted.app.query_one(id, &[]).unwrap().get(0);
    let mail = adopted.forgot(&forgot, &id);
    assert_eq!(adopted.reset(&reset, &[&"new hash"], &mail), "user7@example.com");
    let changed = "SELECT string_agg(email, ',') FROM app_user WHERE password_hash = 'new hash'";
    let changed: String = adopted.app.query_one(changed, &[]).unwrap().get(0);
    assert_eq!(changed, "user7@example.com");

    let [kind, trigger] = block("By a trigger", "sql").try_into().unwrap();
    connect(&adopted.cluster.url("example")).unwrap().batch_execute(&kind).unwrap();
    adopted.app.batch_execute(&trigger).unwrap();
    assert_eq!(adopted.mails(), 1, "nobody who is there is welcomed");
    let ann = "INSERT INTO app_user (email, password_hash) VALUES ('ann@example.com', 'hash')";
    adopted.app.batch_execute(ann).unwrap();
    let mail = adopted.provider.wait_for(2, Duration::from_secs(20)).remove(1);
    assert_eq!((mail.to.as_str(), mail.template.as_str()), ("ann@example.com", "welcome"));
    assert_eq!(mail.data["email"], "ann@example.com");
    wait_until("it is settled", || {
        let sent = "SELECT count(*) FROM mailroom.mails WHERE state = 'sent'";
        adopted.app.query_one(sent, &[]).unwrap().get::<_, i64>(0) == 2
    });
    adopted.end(2);
}
