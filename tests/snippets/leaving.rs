const PAGE: &str = "<!doctype html><form method=\"post\"><button>Leave the list</button></form>";

pub fn leaving(
    method: &str,
    query: &str,
    client: &mut postgres::Client,
) -> Result<&'static str, postgres::Error> {
    if method != "POST" {
        return Ok(PAGE);
    }
    let token = query.split('&').find_map(|pair| pair.strip_prefix("token="));
    client.execute("SELECT unsubscribe($1)", &[&token.unwrap_or_default()])?;
    Ok("<!doctype html><p>You are not on the list any more.")
}
