//! The documents say what the program writes.

use mailroom::mail::counts::{FAMILIES, Family};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn row(family: &Family) -> String {
    let code = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
    let (name, statsd, label) = (code(family.name), code(family.statsd), code(family.label));
    let Family { kind, unit, help, .. } = family;
    format!("| {name} | {statsd} | {kind} | {unit} | {label} | {help} |")
}

#[test]
fn the_table_of_metrics_is_that_of_the_program() {
    let text = document("METRICS.md");
    let (_, rest) = text.split_once("<!-- metrics -->\n").unwrap();
    let (table, _) = rest.split_once("<!-- /metrics -->").unwrap();
    let table: Vec<&str> = table.trim().lines().skip(2).collect();
    assert_eq!(table, FAMILIES.iter().map(row).collect::<Vec<_>>());
}

#[test]
fn names_follow_the_conventions_of_both() {
    for family in FAMILIES {
        let name = family.name;
        assert!(name.starts_with("mailroom_"), "{name}");
        assert_eq!(name.ends_with("_total"), family.kind == "counter", "{name}");
        assert_eq!(name.ends_with("_seconds"), family.unit == "seconds", "{name}");
        assert!(family.help.ends_with('.') && !family.help.contains(['\n', '\\']), "{name}");
        let legal = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(name.chars().all(legal), "{name}");
        let shown = family.statsd.strip_prefix("mailroom.");
        assert!(name.ends_with("_info") || shown.is_some_and(|name| !name.ends_with("_total")));
    }
}

/// The names of metrics in a text, without the endings of histograms' parts.
fn named(text: &str) -> BTreeSet<String> {
    let of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let histogram = |name: &str| {
        let known = FAMILIES.iter().find(|family| family.name == name);
        known.is_some_and(|family| family.kind == "histogram")
    };
    text.match_indices("mailroom_")
        .map(|(at, _)| text[at..].split(|c| !of_name(c)).next().unwrap())
        .map(|name| {
            let ends = ["_bucket", "_sum", "_count"].into_iter();
            let part = ends.filter_map(|end| name.strip_suffix(end)).find(|name| histogram(name));
            part.unwrap_or(name).to_owned()
        })
        .collect()
}

#[test]
fn every_alert_names_what_is_written() {
    let text = document("METRICS.md");
    let rules: Vec<&str> =
        text.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).collect();
    assert!(rules.len() >= 8, "{rules:?}");
    for rule in rules {
        let names = named(rule);
        assert!(!names.is_empty(), "{rule}");
        for name in names {
            assert!(FAMILIES.iter().any(|family| family.name == name), "{name} in {rule}");
        }
    }
}

#[test]
fn the_dashboard_asks_for_every_metric_and_for_no_other() {
    let dashboard: Value = serde_json::from_str(&document("grafana.json")).unwrap();
    let variables: Vec<(&str, &str)> = dashboard["templating"]["list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["name"].as_str().unwrap(), one["type"].as_str().unwrap()))
        .collect();
    assert_eq!(variables, [("datasource", "datasource"), ("queue", "query"), ("command", "query")]);
    let panels = dashboard["panels"].as_array().unwrap();
    let (mut asked, mut ids, mut places) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert!(!title.is_empty() && !panel["description"].as_str().unwrap().is_empty());
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}");
        let grid = &panel["gridPos"];
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|name| grid[name].as_u64().unwrap());
        assert!(x + w <= 24, "{title}");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(places.insert(cell), "{title} lies on another panel");
        }
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            let query = target["expr"].as_str().unwrap();
            assert!(query.contains("queue=~\"$queue\",command=~\"$command\""), "{query}");
            let known: BTreeSet<String> = named(query);
            assert!(!known.is_empty(), "{query}");
            asked.extend(known);
        }
    }
    let written: BTreeSet<String> = FAMILIES.iter().map(|family| family.name.to_owned()).collect();
    assert_eq!(asked, written);
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        let names = named(&variable["query"].to_string());
        assert!(names.is_subset(&written), "{variable}");
    }
}
