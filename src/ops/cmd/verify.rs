//! `mailroom verify`: is this token ours, and for what?

use crate::mail::error::{Error, Kind};
use crate::mail::token::{Parsed, SigningKey, is_code, verify};
use crate::ops::config::Config;
use crate::ops::settings::Verb;
use crate::ops::terminal::print;
use pico_args::Arguments;
use std::io::BufRead as _;

/// The paths that come with the schema, and the actions they belong to.
const PATHS: [(&str, &str); 2] = [("/activate", "activation"), ("/recover", "password_recovery")];

/// Reads its words.
///
/// # Errors
/// What is wrong with them.
pub fn words(args: &mut Arguments) -> Result<Verb, Error> {
    let (code, paths) = (args.opt_value_from_str("--code")?, args.values_from_str("--path")?);
    let token = args.opt_free_from_str()?;
    Ok(Box::new(move |given, _| run(&given.config, token, code, &paths)))
}

/// Checks one token, or one a line from standard input.
fn run(
    config: &Config,
    token: Option<String>,
    code: Option<String>,
    more_paths: &[String],
) -> Result<(), Error> {
    // Nothing else was ever signed, and a slip of the finger is no wrong signature.
    if let Some(code) = &code
        && !(code.is_empty() || is_code(code))
    {
        return Err(Error::usage("--code must be five digits"));
    }
    if more_paths.iter().any(|path| !path.starts_with('/')) {
        return Err(Error::usage("--path must begin with /, as in the table kinds"));
    }
    let keys: Vec<SigningKey> =
        config.secret_key.iter().chain(&config.previous_key).cloned().collect();
    let paths: Vec<&str> =
        PATHS.iter().map(|(path, _)| *path).chain(more_paths.iter().map(String::as_str)).collect();
    let check = |text: &str| check(&keys, text.trim(), &paths, code.as_deref());
    let mut all_valid = true;
    match token {
        Some(token) => all_valid = check(&token)?,
        None => {
            let mut some = false;
            for line in std::io::stdin().lock().lines() {
                let line =
                    line.map_err(|error| Error::io("reading standard input failed", error))?;
                if !line.trim().is_empty() {
                    all_valid &= check(&line)?;
                    some = true;
                }
            }
            if !some {
                return Err(Error::usage("no token was given, nor one on standard input"));
            }
        }
    }
    if all_valid { Ok(()) } else { Err(Error::new(Kind::No, "")) }
}

/// Prints what is found out about one token; gives whether it is valid.
fn check(
    keys: &[SigningKey],
    text: &str,
    paths: &[&str],
    code: Option<&str>,
) -> Result<bool, Error> {
    let token = match Parsed::from_text(text) {
        Ok(token) => token,
        Err(why) => {
            print(&format!("valid: no ({why})\n"))?;
            return Ok(false);
        }
    };
    let secret = hex::encode(token.secret());
    let Some((path, is_retired)) = verify(keys, &token, paths, code) else {
        let hint = match code {
            None => "; a token that signs its code needs --code, one of another path --path",
            Some(_) => ", or wrong code; a token of another path needs --path",
        };
        print(&format!("action: unknown\nsecret: {secret}\nvalid: no (wrong signature{hint})\n"))?;
        return Ok(false);
    };
    let known = PATHS.iter().find(|(known, _)| *known == path);
    let action = known.map_or(path, |(_, action)| *action);
    let key = if is_retired { " (signed with the previous key)" } else { "" };
    print(&format!("action: {action}\nsecret: {secret}\nvalid: yes{key}\n"))?;
    Ok(true)
}
