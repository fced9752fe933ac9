//! A report as one page of HTML: for a wall, or a server of files. It needs no script, and nothing from
//! elsewhere.

use crate::ops::screen::page::Tone;
use crate::ops::screen::report::{Report, Section};
use std::fmt::{self, Write as _};

/// A page that asks for nothing: `head` goes behind its style, `body` must be safe.
pub fn document(title: &str, style: &str, head: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{}</title>\n\
         <style>\n{style}</style>\n{head}</head>\n<body>\n{body}</body>\n</html>\n",
        safe(title)
    )
}

/// The page, which a browser loads again after `again` seconds.
pub fn page(report: &Report, again: Option<u64>) -> String {
    let policy = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src \
                  'unsafe-inline'\">\n";
    let refresh = again
        .map(|seconds| format!("<meta http-equiv=\"refresh\" content=\"{seconds}\">\n"))
        .unwrap_or_default();
    let (name, time) = (safe(&report.name), safe(&report.time));
    let mut out = format!("<header><span>{name}</span><time>{time}</time></header>\n");
    for (number, (tone, line)) in report.lines.iter().enumerate() {
        let tag = if number == 0 { "h1" } else { "p" };
        let _ = writeln!(out, "<{tag} class=\"{}\">{}</{tag}>", class(*tone), safe(line));
    }
    for one in &report.sections {
        let _ = section(&mut out, one);
    }
    document(&report.name, include_str!("status.css"), &format!("{policy}{refresh}"), &out)
}

fn section(out: &mut String, section: &Section) -> fmt::Result {
    let (tone, title) = &section.title;
    if !title.is_empty() {
        writeln!(out, "<h2 class=\"{}\">{}</h2>", class(*tone), safe(title))?;
    }
    chart(out, title, &section.chart)?;
    if section.rows.is_empty() {
        return Ok(());
    }
    writeln!(out, "<table>")?;
    if let [numbers @ .., last] = section.columns {
        for (number, name) in numbers.iter().enumerate() {
            write!(out, "<th class=\"n p{number}\">{name}</th>")?;
        }
        writeln!(out, "<th>{last}</th>")?;
    }
    let sum = |numbers: &[i64]| numbers.iter().sum::<i64>();
    let most = section.rows.iter().map(|row| sum(&row.numbers)).max().unwrap_or(0);
    for row in &section.rows {
        write!(out, "<tr class=\"{}\">", class(row.tone))?;
        for number in &row.numbers {
            write!(out, "<td class=\"n\">{number}</td>")?;
        }
        let first = if row.numbers.is_empty() { "<td class=\"n\"></td>" } else { "" };
        write!(out, "{first}<td>{}", safe(&row.text))?;
        if !section.columns.is_empty() && most > 0 {
            parts(out, &row.numbers, most)?;
        }
        writeln!(out, "</td></tr>")?;
    }
    writeln!(out, "</table>")
}

/// The numbers of a row as one bar; `most` is as wide as the page.
fn parts(out: &mut String, numbers: &[i64], most: i64) -> fmt::Result {
    write!(out, "<div class=\"part\" aria-hidden=\"true\">")?;
    for (place, number) in numbers.iter().enumerate() {
        let part = *number as f64 * 100.0 / most as f64;
        write!(out, "<i class=\"p{place}\" style=\"width:{part:.1}%\"></i>")?;
    }
    write!(out, "</div>")
}

/// Bars of counts, the earliest first.
fn chart(out: &mut String, title: &str, counts: &[i64]) -> fmt::Result {
    let Some(most) = counts.iter().copied().max().filter(|most| *most > 0) else { return Ok(()) };
    write!(out, "<div class=\"chart\" role=\"img\" aria-label=\"{}\">", safe(title))?;
    for count in counts {
        // Something is never nothing.
        let tall = (count * 100 / most).max(i64::from(*count > 0));
        write!(out, "<div>{count}<i style=\"--tall:{tall}\"></i></div>")?;
    }
    writeln!(out, "</div>\n<div class=\"axis\"><span>-60 min</span><span>now</span></div>")
}

fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Attention => "attention",
        Tone::Bad => "bad",
        Tone::Quiet | Tone::Plain => "plain",
    }
}

/// Text that the browser shows as it is.
pub fn safe(text: &str) -> String {
    let marks = [('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;"), ('"', "&quot;"), ('\'', "&#39;")];
    // The ampersand first: the others bring more of them.
    marks.iter().fold(text.to_owned(), |text, (mark, name)| text.replace(*mark, name))
}
