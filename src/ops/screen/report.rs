//! What `mailroom status` has to say, before it is text or a page of HTML; and as text.

use crate::ops::screen::page::{Look, Page, Tone};

/// All of it.
#[derive(Default)]
pub struct Report {
    /// What it is about.
    pub name: String,
    /// The moment.
    pub time: String,
    /// The most important thing, and what is wrong besides.
    pub lines: Vec<(Tone, String)>,
    /// The rest.
    pub sections: Vec<Section>,
}

/// Rows with a heading.
#[derive(Default)]
pub struct Section {
    /// The heading; may be empty.
    pub title: (Tone, String),
    /// The names of the columns of a table that has several numbers in a row; empty: there are no names.
    pub columns: &'static [&'static str],
    /// The rows.
    pub rows: Vec<Row>,
    /// Counts of equal times, the earliest first, which are drawn as a chart.
    pub chart: Vec<i64>,
}

/// Numbers, and what they count.
pub struct Row {
    /// How it looks.
    pub tone: Tone,
    /// The numbers; may be none.
    pub numbers: Vec<i64>,
    /// What they count.
    pub text: String,
}

/// Columns of a number.
const NUMBER: usize = 10;
/// Lines of the chart.
const CHART: i64 = 4;
const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

impl Section {
    /// A heading over rows that have a number each.
    pub fn new(title: &str, rows: impl Iterator<Item = (i64, String)>) -> Section {
        let row = |(number, text)| Row { tone: Tone::Plain, numbers: vec![number], text };
        let title = (Tone::Plain, title.to_owned());
        Section { title, rows: rows.map(row).collect(), ..Section::default() }
    }
}

/// The report as text.
pub fn text(report: &Report, look: Look) -> String {
    let mut page = Page::new(look);
    let gap = page.look.width.saturating_sub(report.name.chars().count());
    let time = if gap > report.time.len() { report.time.as_str() } else { "" };
    page.line(Tone::Quiet, &format!("{}{time:>gap$}", report.name));
    for (tone, line) in &report.lines {
        page.line(*tone, line);
    }
    for section in &report.sections {
        page.line(Tone::Plain, "");
        let (tone, title) = &section.title;
        if !title.is_empty() {
            page.line(*tone, title);
        }
        if let [numbers @ .., last] = section.columns {
            let heads: String = numbers.iter().map(|name| format!("{name:>NUMBER$}")).collect();
            page.line(Tone::Quiet, &format!("{heads}  {last}"));
        }
        for row in &section.rows {
            let numbers: String = row.numbers.iter().map(|n| format!("{n:>NUMBER$}")).collect();
            page.line(row.tone, &format!("{numbers:>NUMBER$}  {}", row.text));
        }
        chart(&mut page, &section.chart);
    }
    page.text
}

/// The last hour, a column for five minutes.
fn chart(page: &mut Page, counts: &[i64]) {
    let Some(most) = counts.iter().copied().max().filter(|most| *most > 0) else { return };
    let scale = most.to_string().len().max(4);
    let column = ((page.look.width - scale - 3) / counts.len()).clamp(2, 6);
    for row in (0..CHART).rev() {
        let mark = match row {
            row if row == CHART - 1 => most.to_string(),
            0 => "0".to_owned(),
            _ => String::new(),
        };
        let mut line = format!("{mark:>scale$} │");
        for count in counts {
            // Something is never nothing: one eighth at least.
            let eighths = (count * CHART * 8 / most).max(i64::from(*count > 0));
            let bar = usize::try_from((eighths - row * 8).clamp(0, 8)).unwrap_or(0);
            line.extend(std::iter::repeat_n(EIGHTHS[bar], column - 1));
            line.push(' ');
        }
        page.line(Tone::Plain, &line);
    }
    let end = (column * counts.len()).saturating_sub("-60 min".len() + 1);
    page.line(Tone::Quiet, &format!("{:>scale$}  -60 min{:>end$}", "", "now"));
}
