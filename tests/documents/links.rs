//! A link in a document leads somewhere.

use super::documents;
use std::path::Path;

/// The targets of the links and pictures of a document, without its fenced blocks.
fn targets(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let plain: String = text.split("```").step_by(2).collect();
    for part in plain.split("](").skip(1) {
        found.extend(part.split_once(')').map(|(target, _)| target.to_owned()));
    }
    for name in ["src=\"", "srcset=\"", "href=\""] {
        for part in plain.split(name).skip(1) {
            found.extend(part.split_once('"').map(|(target, _)| target.to_owned()));
        }
    }
    found
}

/// The name that hosting sites give a heading.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading.trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
}

fn has_anchor(document: &Path, name: &str) -> bool {
    let text = std::fs::read_to_string(document).unwrap();
    text.lines().filter(|line| line.starts_with('#')).any(|line| {
        let heading = line.trim_start_matches('#');
        anchor(heading) == name
    })
}

#[test]
fn every_relative_link_leads_to_a_file_and_a_heading() {
    let mut seen = 0;
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        for target in targets(&text) {
            let is_elsewhere = ["mailto:", "cid:"].iter().any(|start| target.starts_with(start));
            if target.contains("://") || target.contains("{{") || is_elsewhere {
                continue;
            }
            let (file, name) = target.split_once('#').unwrap_or((&target, ""));
            let path = match file {
                "" => document.clone(),
                _ => document.parent().unwrap().join(file),
            };
            let from = document.display();
            assert!(path.exists(), "{from}: there is no {target}");
            assert!(name.is_empty() || has_anchor(&path, name), "{from}: no heading {target}");
            seen += 1;
        }
    }
    assert!(seen > 20, "only {seen} links were found");
}
