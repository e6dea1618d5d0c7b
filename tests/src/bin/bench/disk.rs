//! What the disk can do: pages that are flushed one by one, in the folder that the events are in.
//!
//! The event store's log grows at first and is written over later, which takes some file systems one flush instead of
//! two; the faster of the two ways is what the store is held against.

use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

/// A page of the event store's log.
const PAGE_BYTES: usize = 4_096;
/// Pages that are written over in turn.
const PAGES: usize = 256;

/// Flushes (`fdatasync`) a second, one thread, each after one page.
pub(crate) fn flushes_per_second(folder: &Path, length: Duration) -> f64 {
    let path = folder.join("bench-probe");
    let mut file = File::create(&path).expect("a file to write");
    let appended = rate(&mut file, length / 2, usize::MAX);
    file.write_all(&vec![0; PAGE_BYTES * PAGES])
        .expect("a file to write over");
    file.sync_all().expect("a flush");
    let written_over = rate(&mut file, length / 2, PAGES);
    fs::remove_file(path).expect("the file is there");
    appended.max(written_over)
}

/// Pages a second, starting again at the front after `pages`.
fn rate(file: &mut File, length: Duration, pages: usize) -> f64 {
    let page = vec![0x5a; PAGE_BYTES];
    let mut written = 0_u32;
    let started = Instant::now();
    while started.elapsed() < length {
        if (written as usize).is_multiple_of(pages) {
            file.seek(SeekFrom::Start(0)).expect("a file can be sought");
        }
        file.write_all(&page).expect("a page");
        file.sync_data().expect("a flush");
        written += 1;
    }
    f64::from(written) / started.elapsed().as_secs_f64()
}
