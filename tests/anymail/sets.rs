//! What `send_mails` makes of a set: the same as a call of `send_mail` for each of its mails.

use super::{database, is_refused};
use postgres::Client;

/// Kinds of each sort: what may have a token or a limit does not go as a set.
const SORTS: &str = "INSERT INTO kinds (kind, path) VALUES ('invitation', '/join');
    INSERT INTO kinds (kind, cooldown) VALUES ('hint', '1 hour');
    UPDATE kinds SET priority = 7, reply_to = 'us@example.com' WHERE kind = 'invoice_ready'";

/// How many new ones a call of `send_mails` gives.
fn made(client: &mut Client, arguments: &str) -> i64 {
    let sql = format!("SELECT send_mails({arguments})");
    client.query_one(&sql, &[]).unwrap_or_else(|error| panic!("{arguments}: {error:?}")).get(0)
}

/// All that was written, but ids and secrets.
fn written(client: &mut impl postgres::GenericClient) -> Vec<String> {
    let sql = "SELECT (to_jsonb(d) - 'id')::text || coalesce(
            (to_jsonb(t) - '{id,secret,code}'::text[])::text, ''
        )
        FROM deliveries d LEFT JOIN tokens t USING (id) ORDER BY d.id";
    client.query(sql, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

#[test]
fn a_set_is_what_a_call_for_each_mail_makes() {
    let database = database();
    database.run(SORTS);
    let mut client = database.client();
    let cases = [
        ("'invoice_ready'", "r", "d", "l", "NULL", "NULL"),
        ("'invoice_ready'", "r", "d", "l", "k", "NULL"),
        ("'invoice_ready'", "r", "NULL", "NULL", "NULL", "NULL"),
        ("'order.shipped'", "NULL", "d", "NULL", "NULL", "NULL"),
        ("'order.shipped'", "nullif(r, 'b@example.com')", "d", "NULL", "NULL", "NULL"),
        ("'order.shipped'", "r", "nullif(d, '{\"n\": 1}')", "nullif(l, 'de')", "NULL", "NULL"),
        ("'invitation'", "r", "d", "l", "NULL", "s"),
        ("'invitation'", "r", "NULL", "NULL", "k", "NULL"),
        ("'hint'", "r", "d", "NULL", "NULL", "NULL"),
    ];
    let rows = "(VALUES ('a@example.com', '{\"n\": 1}'::jsonb, 'de', 'one', '1'),
            ('b@example.com', '{\"n\": [2, {}]}', 'pt-BR', 'two', '2'),
            ('A@example.com', '{}', 'ar', 'two', '3'), ('c@example.com', NULL, NULL, NULL, NULL)
        ) AS given (r, d, l, k, s)";
    let array = |column: &str| match column {
        "NULL" => "NULL".to_owned(),
        column => format!("array_agg({column})"),
    };
    let moments = "not_before => now() + interval '1 hour', expires_at => now() + interval '1 day',
        reply_to => 'me@example.com'";
    for (kind, recipient, data, locale, key, subject) in cases {
        for shared in ["reply_to => NULL", moments] {
            let mut transaction = client.transaction().unwrap();
            let single = format!(
                "SELECT count(DISTINCT send_mail({kind}, {recipient}, {data}, {locale}, {key},
                    subject => {subject}, {shared})) FROM {rows}"
            );
            let set = format!(
                "SELECT send_mails({kind}, {}, {}, {}, {}, subjects => {}, {shared}) FROM {rows}",
                array(recipient),
                array(data),
                array(locale),
                array(key),
                array(subject)
            );
            let mut results = Vec::new();
            for statement in [&single, &set] {
                let mut call = transaction.transaction().unwrap();
                let made: i64 = call.query_one(statement, &[]).unwrap().get(0);
                results.push((made, written(&mut call)));
                call.rollback().unwrap();
            }
            assert!(results[0].0 >= 3);
            assert_eq!(results[0], results[1], "{set}");
        }
    }
}

#[test]
fn without_keys_tokens_and_limits_all_but_the_first_are_one_insert() {
    let database = database();
    let mut client = database.client();
    assert_eq!(made(&mut client, "'invoice_ready', '{a@b,c@d,e@f}'"), 3);
    assert_eq!(made(&mut client, "'order.shipped', NULL, ARRAY['{}', '{}', '{}']::jsonb[]"), 3);
    let commands = "SELECT count(DISTINCT (kind, cmin::text)) FROM deliveries";
    assert_eq!(database.number(commands), 4);
}

#[test]
fn a_key_that_is_there_makes_no_mail_and_is_not_counted() {
    let database = database();
    let mut client = database.client();
    let call = |keys: &str| {
        format!("'invoice_ready', '{{a@example.com,b@example.com}}', keys => '{{{keys}}}'")
    };
    assert_eq!(made(&mut client, &call("one,two")), 2);
    assert_eq!(made(&mut client, &call("two,three")), 1);
    assert_eq!(made(&mut client, &call("four,four")), 1);
    assert_eq!(made(&mut client, &call("three,one")), 0);
    assert_eq!(database.number("SELECT count(*) FROM deliveries"), 4);
}

#[test]
fn sets_of_a_limited_kind_do_not_wait_for_each_other_in_a_circle() {
    let database = database();
    database.run(SORTS);
    std::thread::scope(|scope| {
        for name in ["a", "b", "c"] {
            let database = &database;
            scope.spawn(move || {
                let arguments = format!(
                    "'hint', ARRAY(SELECT '{name}' || n || '@example.com'
                        FROM generate_series(1, 400) n)"
                );
                assert_eq!(made(&mut database.client(), &arguments), 400);
            });
        }
    });
    assert_eq!(database.in_state("pending"), 1200);
}

#[test]
fn an_address_is_taken_in_a_set_if_it_is_taken_by_itself() {
    let database = database();
    let mut client = database.client();
    let addresses = [
        "a@b",
        "a+b.c@d",
        "{a}@b",
        "a b@c",
        "a@b@c",
        "o'neil+\u{e9}@ex\u{e4}mple.com",
        "a,b\"{}\\@c",
        "",
        "@",
        "a@",
        "@b",
        "nobody",
        "a@b c",
        "a@b@",
        "a@b\n",
        "a@b\nc@d",
        "\na@b",
        "a\n@b",
        "a@b\r",
        "a@b\t",
        "a\u{1}@b",
        "a@b\u{7f}",
        "a@b\u{85}",
        "a@b\u{a0}c",
        "a@b\u{2028}c",
        &format!("{}@b", "x".repeat(318)),
        &format!("{}@b", "x".repeat(319)),
    ];
    let (mut taken, mut refused) = (0, 0);
    for address in addresses {
        let mut outcome = |sql: &str| {
            let mut transaction = client.transaction().unwrap();
            let outcome = transaction.query(sql, &[&address]);
            outcome.map(drop).map_err(|error| error.as_db_error().unwrap().message().to_owned())
        };
        let alone = outcome("SELECT send_mail('invoice_ready', $1)");
        for (place, set) in [(1, "$1"), (2, "'a@b', $1"), (2, "'a@b', $1, 'c@d'")] {
            let sql = format!("SELECT send_mails('invoice_ready', ARRAY[{set}])");
            let alone = alone.clone().map_err(|why| format!("mail {place}: {why}"));
            assert_eq!(outcome(&sql), alone, "{address:?}");
        }
        *(if alone.is_ok() { &mut taken } else { &mut refused }) += 1;
    }
    assert!(taken >= 6 && refused >= 14, "{taken} {refused}");
}

#[test]
fn one_that_is_wrong_refuses_the_whole_set_and_says_what_a_single_call_says() {
    let database = database();
    let three = "'{a@example.com,b@example.com,c@example.com}'";
    let large = format!("{{\"a\": \"{}\"}}", "x".repeat(65_536));
    let cases = [
        (format!("'no_such', {three}"), "mail 1: there is no kind of mail 'no_such': a kind is"),
        ("'invoice_ready', '{a@b,nobody,c@d}'".to_owned(), "mail 2: recipient is not an address"),
        ("'invoice_ready', '{a@b,Ann <c@d>}'".to_owned(), "mail 2: recipient is not an address"),
        ("'password_recovery', '{a@example.com,NULL}'".to_owned(), "mail 2: the kind password"),
        (
            format!("'invoice_ready', {three}, ARRAY['{{}}', '[1]', '{{}}']::jsonb[]"),
            "of type array",
        ),
        (
            format!("'invoice_ready', {three}, ARRAY['{{}}', '{{}}', '{large}']::jsonb[]"),
            "mail 3: data has 65545 bytes, and may have 65536",
        ),
        (
            format!("'invoice_ready', {three}, ARRAY['{{}}', '{{}}', '{{\"code\": 1}}']::jsonb[]"),
            "the names login, secret and code",
        ),
        (
            format!("'invoice_ready', {three}, locales => '{{de,NULL,../../etc}}'"),
            "locale must be a language tag",
        ),
        (
            format!("'invoice_ready', {three}, keys => ARRAY['1', '2', '']"),
            "key must have 1 to 200 characters",
        ),
        (format!("'invoice_ready', {three}, subjects => '{{1,2,3}}'"), "so it has no subject"),
        (
            format!("'invoice_ready', {three}, not_before => now() - interval '1 hour'"),
            "not_before is in the past",
        ),
        (
            format!("'invoice_ready', {three}, expires_at => 'infinity'"),
            "must be moments before the year 9989",
        ),
        (format!("'invoice_ready', {three}, reply_to => 'nobody'"), "reply_to is not an address"),
        (
            format!("'invoice_ready', {three}, keys => '{{1,2}}'"),
            "recipients, data, locales, keys and subjects have 3, no, no, 2, no elements",
        ),
        (format!("'invoice_ready', {three}, locales => '{{}}'"), "have 3, no, 0, no, no elements"),
    ];
    let mut client = database.client();
    for (arguments, why) in &cases {
        is_refused(&mut client, &format!("SELECT send_mails({arguments})"), why);
    }
    // Of nobody there is nothing to look at.
    assert_eq!(made(&mut client, "'invoice_ready', '{}'"), 0);
    assert_eq!(made(&mut client, "'invoice_ready', NULL"), 0);
}
