//! Not doing again what cargo does not look after.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::Hasher;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Calls `make`, which leaves `output`, unless it did so before from the same files with the same content.
///
/// # Errors
/// When an input cannot be read, or `make` fails.
pub(super) fn once(inputs: &[PathBuf], output: &Path, make: impl FnOnce() -> Result<()>) -> Result<()> {
    let stamp = output.with_extension("inputs");
    let fingerprint = fingerprint(inputs)?;
    if output.exists() && fs::read_to_string(&stamp).is_ok_and(|present| present == fingerprint) {
        return Ok(());
    }
    fs::remove_file(&stamp).ok();
    make()?;
    fs::write(&stamp, fingerprint).with_context(|| format!("write {}", stamp.display()))
}

/// Guards against forgetting, not against attacks: any hash will do.
fn fingerprint(inputs: &[PathBuf]) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    for input in inputs {
        let content = fs::read(input).with_context(|| format!("read {}", input.display()))?;
        hasher.write(input.as_os_str().as_encoded_bytes());
        hasher.write_usize(content.len());
        hasher.write(&content);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_again_when_an_input_changes_or_the_output_is_gone() {
        let folder = std::env::temp_dir().join(format!("millwork-xtask-inputs-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (input, output) = (folder.join("input"), folder.join("output"));
        let mut made = 0;
        let mut make = || {
            once(std::slice::from_ref(&input), &output, || {
                made += 1;
                Ok(fs::write(&output, "made")?)
            })
            .unwrap();
        };
        fs::write(&input, "one").unwrap();
        make();
        make();
        fs::write(&input, "two").unwrap();
        make();
        fs::remove_file(&output).unwrap();
        make();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(made, 3);
    }
}
