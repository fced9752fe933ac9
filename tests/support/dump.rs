//! The schema of a database as text, and how two such texts differ.

use super::cluster::{Database, bin_dir, shared, unprivileged};

/// What `pg_dump --schema-only` says, without what depends on its version or on the owner.
///
/// Extensions are left out: none is ours.
pub fn schema(database: &Database) -> String {
    let output = unprivileged(bin_dir().join("pg_dump"))
        .args(["--schema-only", "--no-owner", "--dbname", &database.url])
        .current_dir(&shared().dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "pg_dump: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut kept = String::new();
    for line in text.lines() {
        let noise = ["--", "SET ", "SELECT pg_catalog.set_config", "\\restrict", "\\unrestrict"];
        let foreign = ["CREATE EXTENSION", "COMMENT ON EXTENSION"];
        if line.is_empty() || noise.iter().chain(&foreign).any(|start| line.starts_with(start)) {
            continue;
        }
        // PostgreSQL 13 writes extract() by its older name.
        kept += &line.replace("date_part('epoch'::text, ", "EXTRACT(epoch FROM ");
        kept.push('\n');
    }
    kept
}

/// Panics with the lines that differ, and three around them, if the texts are not equal.
pub fn assert_same(expected: &str, found: &str, hint: &str) {
    if expected == found {
        return;
    }
    let old: Vec<&str> = expected.lines().collect();
    let new: Vec<&str> = found.lines().collect();
    let start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let shortest = old.len().min(new.len()) - start;
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let tail = tail.min(shortest);
    let mut shown = format!("the schemas differ from line {} on; {hint}\n", start + 1);
    let mut show = |sign: char, lines: &[&str]| {
        for line in lines {
            shown += &format!("{sign} {line}\n");
        }
    };
    show(' ', &old[start.saturating_sub(3)..start]);
    show('-', &old[start..old.len() - tail]);
    show('+', &new[start..new.len() - tail]);
    show(' ', &old[old.len() - tail..old.len() - tail + tail.min(3)]);
    panic!("{shown}");
}
