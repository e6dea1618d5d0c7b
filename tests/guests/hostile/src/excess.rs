//! Wanting too much: time, memory, stack, output.

use std::hint::black_box;

use crate::bindings::millwork::platform::log::{Level, write};

/// Bytes of a text that no limit on returned data lets through.
const HUGE_BYTES: usize = 100 << 20;
const CHUNK_BYTES: usize = 1 << 20;
const ALIASED_BYTES: usize = 8 << 20;

/// Sends the message of a panic to the host's log, as every module should.
pub(crate) fn report_panics() {
    std::panic::set_hook(Box::new(|panic| write(Level::Error, &panic.to_string(), "")));
}

/// Never returns.
pub(crate) fn spin() -> ! {
    let mut rounds = 0_u64;
    loop {
        rounds = black_box(rounds.wrapping_add(1));
    }
}

/// Takes memory until there is none.
pub(crate) fn allocate_without_end() -> ! {
    let mut taken = Vec::new();
    loop {
        taken.push(black_box(vec![1_u8; CHUNK_BYTES]));
    }
}

/// Calls itself until the stack ends. A frame takes little of the stack that Rust keeps in linear memory, so that it is
/// the engine's stack which ends.
pub(crate) fn recurse(depth: u64) -> u64 {
    // What follows the call keeps it from becoming a loop.
    if black_box(depth) == u64::MAX {
        0
    } else {
        recurse(depth + 1).wrapping_add(black_box(1))
    }
}

/// The end by a bug.
#[expect(clippy::panic, reason = "the attack")]
pub(crate) fn trap(message: &str) -> ! {
    panic!("{message}")
}

/// `{"text":"xxx..."}`, 100 MB of it.
pub(crate) fn huge_json() -> String {
    text_json(HUGE_BYTES)
}

/// `{"text":"xxx..."}` of 8 MB, as often as wanted in the same place of memory.
pub(crate) fn aliased_json() -> impl Fn() -> String {
    let original: &'static mut str = text_json(ALIASED_BYTES).leak();
    let (start, length) = (original.as_mut_ptr(), original.len());
    #[expect(
        unsafe_code,
        reason = "the attack: texts that share memory, which no safe Rust can make"
    )]
    move || {
        // SAFETY: none. All of them own the same bytes; the instance does not outlive the call that returns them.
        unsafe { String::from_raw_parts(start, length, length) }
    }
}

/// `{"text":[[[...]]]}`
pub(crate) fn deep_json(depth: usize) -> String {
    format!(r#"{{"text":{}{}}}"#, "[".repeat(depth), "]".repeat(depth))
}

fn text_json(length: usize) -> String {
    format!(r#"{{"text":"{}"}}"#, "x".repeat(length))
}
