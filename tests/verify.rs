//! `mailroom verify`: is this token ours, and for what?

use crate::support::cluster::Database;
use crate::support::program::{Finished, KEY, Program, messages};
use mailroom::mail::token::SigningKey;

const OTHER_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";

fn signed(key: &str, path: &str, secret: [u8; 32], code: Option<&str>) -> String {
    let signer = SigningKey::from_hex(key).unwrap().signer();
    signer.sign(path, code.is_some(), &secret, code).unwrap()
}

fn program(words: &[&str]) -> Program {
    Program::new(&[&["verify"], words].concat()).env("MAILROOM_SECRET_KEY", KEY)
}

fn verify(words: &[&str]) -> Finished {
    program(words).output()
}

fn assert_valid(finished: &Finished, action: &str, secret: [u8; 32]) {
    let secret = hex::encode(secret);
    let lines = format!("action: {action}\nsecret: {secret}\nvalid: yes\n");
    assert_eq!((finished.code, finished.out.as_str()), (Some(0), lines.as_str()));
}

#[test]
fn the_tokens_of_both_actions_that_collect_wrote_are_ours() {
    let database = Database::migrated();
    database.accounts("user", 1);
    database.recovery("other");
    let collect = Program::collect(&database).start();
    let lines = collect.wait_lines(1);
    let found = messages(&lines[0]);
    assert_eq!(found.len(), 2);
    for [number, _, _, token, code] in &found {
        let finished = verify(&[token, "--code", code]);
        let action = if number == "1" { "activation" } else { "password_recovery" };
        assert!(finished.out.contains(&format!("action: {action}\n")), "{}", finished.out);
        assert_eq!(finished.code, Some(0));
    }
    assert_eq!(collect.stop().code, Some(0));
}

#[test]
fn a_token_is_valid_for_its_own_code_only() {
    let token = signed(KEY, "/recover", [7; 32], Some("01234"));
    assert_valid(&verify(&[&token, "--code", "01234"]), "password_recovery", [7; 32]);
    assert_valid(&verify(&["--code=01234", &token]), "password_recovery", [7; 32]);
    for words in [vec![token.as_str()], vec![&token, "--code", "01235"], vec![&token, "--code", ""]]
    {
        let finished = verify(&words);
        assert_eq!(finished.code, Some(1), "{words:?}");
        assert!(finished.out.contains("action: unknown\n"), "{}", finished.out);
        assert!(finished.out.contains("valid: no"), "{}", finished.out);
        // The secret is shown: it is what a person looks for in the database.
        assert!(finished.out.contains(&hex::encode([7; 32])), "{}", finished.out);
    }
    let hint = verify(&[&token]);
    assert!(hint.out.contains("--code"), "{}", hint.out);
    for code in ["abc", "1234", "123456", "１２３４５", "0123a"] {
        let finished = verify(&[&token, "--code", code]);
        assert_eq!(finished.code, Some(64), "{code}: {}", finished.log);
        assert!(finished.log.contains("--code must be five digits"), "{}", finished.log);
        assert_eq!(finished.out, "");
    }
}

#[test]
fn a_token_that_begins_with_a_dash_is_no_flag() {
    let token = signed(KEY, "/activate", [0xfb; 32], None);
    assert!(token.starts_with("-"), "{token}");
    assert_valid(&verify(&[&token]), "activation", [0xfb; 32]);
}

#[test]
fn a_token_of_the_previous_key_is_valid_and_that_is_said() {
    let token = signed(OTHER_KEY, "/activate", [1; 32], None);
    assert_eq!(verify(&[&token]).code, Some(1));
    let by_value = program(&[&token]).env("MAILROOM_SECRET_KEY_PREVIOUS", OTHER_KEY).output();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, format!("{OTHER_KEY}\n")).unwrap();
    let by_file = program(&[&token]).env("MAILROOM_SECRET_KEY_PREVIOUS_FILE", file.path()).output();
    for finished in [by_value, by_file] {
        assert_eq!(finished.code, Some(0), "{}", finished.log);
        assert!(finished.out.contains("valid: yes (signed with the previous key)"));
    }
}

#[test]
fn another_path_is_tried_when_it_is_given() {
    let token = signed(KEY, "/invite", [2; 32], Some("00000"));
    for words in [&[token.as_str()][..], &[&token, "--code", "00000"]] {
        let finished = verify(words);
        assert_eq!(finished.code, Some(1));
        assert!(finished.out.contains("of another path"), "{}", finished.out);
        assert!(finished.out.contains("--path"), "{}", finished.out);
    }
    let found = verify(&[&token, "--path", "/other", "--path", "/invite", "--code", "00000"]);
    assert_valid(&found, "/invite", [2; 32]);
}

#[test]
fn tokens_on_standard_input_are_all_checked_and_one_bad_one_makes_the_status_1() {
    let good = signed(KEY, "/activate", [3; 32], None);
    let all_good = program(&[]).input(format!("{good}\r\n\n{good}\n"));
    assert_eq!(all_good.code, Some(0), "{}", all_good.log);
    assert_eq!(all_good.out.matches("valid: yes").count(), 2);
    let mixed = program(&[]).input(format!("{good}\nnonsense\n{good}"));
    assert_eq!(mixed.code, Some(1));
    assert_eq!(mixed.out.matches("valid: yes").count(), 2, "{}", mixed.out);
    assert_eq!(mixed.out.matches("valid: no").count(), 1, "{}", mixed.out);
    assert_eq!(mixed.log, "");
}

#[test]
fn what_is_no_token_is_not_valid() {
    let good = signed(KEY, "/activate", [4; 32], None);
    let cut = &good[..85];
    let padded = format!("{good}==");
    let standard = good[..85].to_owned() + "+";
    for text in ["", "x", cut, padded.as_str(), standard.as_str(), "é"] {
        let finished = verify(&[text]);
        assert_eq!(finished.code, Some(1), "{text:?}: {}", finished.log);
        assert!(finished.out.starts_with("valid: no ("), "{text:?}: {}", finished.out);
    }
}
