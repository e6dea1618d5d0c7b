//! The container: POSIX ustar (IEEE Std 1003.1, pax, section "ustar Interchange Format"), plain files alone.
//!
//! Every tool that knows tar reads it. Each name and size has exactly one header here, and no other is read back: so a
//! changed header is found like a changed file, and no entry can be a link or lead out of a folder.

/// Headers and the ends of files come in blocks of so many bytes.
pub const BLOCK: usize = 512;
/// What stands after the last file.
pub const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];
/// Longest name of a file, in bytes.
pub const NAME_BYTES_MAX: usize = 100;
/// Largest file, in bytes: what 11 octal digits hold.
pub const FILE_BYTES_MAX: u64 = (1 << 33) - 1;

const SIZE_AT: usize = 124;
const CHECKSUM_AT: usize = 148;
const MAGIC_AT: usize = 257;

/// The header of a file; nothing when name or size are beyond what it can hold.
#[must_use]
pub fn header(name: &str, bytes: u64) -> Option<[u8; BLOCK]> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte);
    let safe = name.bytes().all(plain)
        && name
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.'));
    if !safe || name.len() > NAME_BYTES_MAX || bytes > FILE_BYTES_MAX {
        return None;
    }
    let mut header = [0; BLOCK];
    put(&mut header, 0, name.as_bytes());
    put(&mut header, 100, b"0000644\0");
    put(&mut header, 108, b"0000000\0");
    put(&mut header, 116, b"0000000\0");
    put(&mut header, SIZE_AT, format!("{bytes:011o}\0").as_bytes());
    put(&mut header, 136, b"00000000000\0");
    // The checksum counts as spaces while it is made.
    put(&mut header, CHECKSUM_AT, b"        ");
    put(&mut header, 156, b"0");
    put(&mut header, MAGIC_AT, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    put(&mut header, CHECKSUM_AT, format!("{sum:06o}\0 ").as_bytes());
    Some(header)
}

/// Name and size in a header that [`header`] made; nothing for any other.
#[must_use]
pub fn parse(block: &[u8; BLOCK]) -> Option<(String, u64)> {
    let name = block.get(..NAME_BYTES_MAX)?.split(|byte| *byte == 0).next()?;
    let name = std::str::from_utf8(name).ok()?;
    let size = std::str::from_utf8(block.get(SIZE_AT..SIZE_AT + 11)?).ok()?;
    let size = u64::from_str_radix(size, 8).ok()?;
    (header(name, size)? == *block).then(|| (name.to_owned(), size))
}

/// How many zeros follow a file of this size.
#[must_use]
pub fn padding(bytes: u64) -> usize {
    let over = usize::try_from(bytes % BLOCK as u64).unwrap_or_default();
    (BLOCK - over) % BLOCK
}

fn put(header: &mut [u8; BLOCK], at: usize, field: &[u8]) {
    for (to, from) in header.iter_mut().skip(at).zip(field) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_they_were_written() {
        for (name, bytes) in [("a", 0), ("events/000001.jsonl", 4_711), ("x", FILE_BYTES_MAX)] {
            assert_eq!(
                parse(&header(name, bytes).unwrap()),
                Some((name.to_owned(), bytes))
            );
        }
        // As GNU tar writes it: `tar --format=ustar --owner=0 --group=0 --numeric-owner --mtime=@0`.
        let sum = &header("a", 5).unwrap()[CHECKSUM_AT..CHECKSUM_AT + 8];
        let expected: u32 = header("a", 5)
            .unwrap()
            .iter()
            .enumerate()
            .fold(0, |sum, (at, byte)| {
                let counted = if (CHECKSUM_AT..CHECKSUM_AT + 8).contains(&at) {
                    b' '
                } else {
                    *byte
                };
                sum + u32::from(counted)
            });
        assert_eq!(sum, format!("{expected:06o}\0 ").as_bytes());
    }

    #[test]
    fn no_name_leads_out_of_a_folder() {
        for name in [
            "",
            "/a",
            "a//b",
            "../a",
            "a/../b",
            ".a",
            "a\\b",
            "ä",
            &"a".repeat(101),
        ] {
            assert_eq!(header(name, 1), None, "{name}");
        }
        assert_eq!(header("a", FILE_BYTES_MAX + 1), None);
    }

    #[test]
    fn a_changed_header_is_none() {
        let good = header("releases/client-1.0.0.wasm", 9).unwrap();
        for at in 0..BLOCK {
            let mut bad = good;
            bad[at] ^= 1;
            assert_eq!(parse(&bad), None, "byte {at}");
        }
    }

    #[test]
    fn files_end_at_blocks() {
        for (bytes, zeros) in [(0, 0), (1, 511), (511, 1), (512, 0), (513, 511)] {
            assert_eq!(padding(bytes), zeros, "{bytes}");
        }
    }
}
