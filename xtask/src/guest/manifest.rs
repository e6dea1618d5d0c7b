//! The manifest to embed: `plugin.yaml` as it is, or another one with additions.
//!
//! A `plugin.yaml` that opens with `extends: <path>` says only how it differs from that one, so that the next release
//! of a module can stand beside it without a copy.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// The whole manifest of the component in `folder`.
///
/// # Errors
/// When it cannot be read, or differs from the one it extends in a way that is not understood.
pub(super) fn read(folder: &Path) -> Result<String> {
    let file = folder.join("plugin.yaml");
    let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    let Some((base, additions)) = text
        .strip_prefix("extends: ")
        .and_then(|rest| rest.split_once('\n'))
    else {
        return Ok(text);
    };
    let base = folder.join(base.trim());
    let whole = fs::read_to_string(&base).with_context(|| format!("read {}", base.display()))?;
    extended(&whole, additions).with_context(|| format!("{} extends {}", file.display(), base.display()))
}

/// `base` with each top-level key of `additions`: a plain value takes the place of that of `base`, the lines of a block
/// come after those of `base`.
fn extended(base: &str, additions: &str) -> Result<String> {
    let mut entries = entries(base);
    for added in self::entries(additions) {
        let Some(entry) = entries.iter_mut().find(|entry| entry.key == added.key) else {
            entries.push(added);
            continue;
        };
        if added.block.is_empty() {
            entry.value = added.value;
        } else {
            let is_block = entry.value.is_empty() && added.value.is_empty();
            ensure!(
                is_block,
                "{} must be a block in both, not a value on its line",
                added.key
            );
            entry.block.extend(added.block);
        }
    }
    Ok(entries.iter().map(Entry::text).collect())
}

/// One top-level key with what belongs to it.
struct Entry<'a> {
    key: &'a str,
    /// The rest of its line.
    value: &'a str,
    /// The lines below it that say something.
    block: Vec<&'a str>,
}

impl Entry<'_> {
    fn text(&self) -> String {
        let lines: String = self.block.iter().map(|line| format!("{line}\n")).collect();
        let space = if self.value.is_empty() { "" } else { " " };
        format!("{}:{space}{}\n{lines}", self.key, self.value)
    }
}

fn entries(yaml: &str) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for line in yaml
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
    {
        match (
            line.starts_with([' ', '-']),
            line.split_once(':'),
            entries.last_mut(),
        ) {
            (false, Some((key, value)), _) => entries.push(Entry {
                key,
                value: value.trim(),
                block: Vec::new(),
            }),
            (_, _, Some(entry)) => entry.block.push(line),
            (_, _, None) => {}
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::extended;

    const BASE: &str = "version: 1.0.0\n\n# About queries.\nqueries:\n  A:\n    summary: a\n\nroutes:\n  - GET /a: query A\n";

    fn check(additions: &str, expected: &str) {
        let extended = extended(BASE, additions).unwrap_or_else(|error| error.to_string());
        assert_eq!(extended, expected);
    }

    #[test]
    fn additions_replace_values_and_lengthen_blocks() {
        let rest = "queries:\n  A:\n    summary: a\nroutes:\n  - GET /a: query A\n";
        check("", &format!("version: 1.0.0\n{rest}"));
        check("version: 1.1.0\n", &format!("version: 1.1.0\n{rest}"));
        check(
            "routes:\n  - GET /b: query B\n",
            &format!("version: 1.0.0\n{rest}  - GET /b: query B\n"),
        );
        check(
            "roles:\n  r: []\n",
            &format!("version: 1.0.0\n{rest}roles:\n  r: []\n"),
        );
    }

    #[test]
    fn block_cannot_lengthen_a_value() {
        check(
            "version:\n  - 1\n",
            "version must be a block in both, not a value on its line",
        );
    }
}
