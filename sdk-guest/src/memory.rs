//! The allocator of components.
//!
//! An instance lives for one call, so what counts is how quickly memory is there, not how well it is kept: the first
//! allocations come from an arena inside the memory that an instance starts with. Growing that memory would cost the host
//! system calls in every call, to make pages accessible and to take them back.

use core::alloc::Layout;

use talc::base::Talc;
use talc::base::binning::Binning;
use talc::cell::TalcSyncCell;
use talc::source::Source;
use talc::wasm::WasmBinning;

/// Bytes at hand without growing: more than most calls need.
const ARENA_BYTES: usize = 128 << 10;
const PAGE_BYTES: usize = 64 << 10;
/// Pages by which memory grows at least.
const PAGES_MIN: usize = 16;

static mut ARENA: [u8; ARENA_BYTES] = [0; ARENA_BYTES];

#[global_allocator]
static ALLOCATOR: TalcSyncCell<ArenaThenPages, WasmBinning> =
    TalcSyncCell::new_wasm(ArenaThenPages { arena_is_used: false });

/// Gives the arena first, then pages as they are needed.
#[derive(Debug)]
struct ArenaThenPages {
    arena_is_used: bool,
}

#[expect(
    unsafe_code,
    reason = "an allocator's source of memory cannot be written without"
)]
// SAFETY: allocates nothing itself and touches the allocator through `talc` alone; memory is claimed once each: the arena
// behind its flag, which nothing else refers to, and pages that `memory_grow` has just made.
unsafe impl Source for ArenaThenPages {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
        if !talc.source.arena_is_used {
            talc.source.arena_is_used = true;
            let arena = &raw mut ARENA;
            return unsafe { talc.claim(arena.cast(), ARENA_BYTES) }
                .map(drop)
                .ok_or(());
        }
        let wanted = layout
            .size()
            .checked_add(layout.align())
            .and_then(|bytes| bytes.checked_add(PAGE_BYTES));
        let pages = (wanted.ok_or(())? / PAGE_BYTES + 1).max(PAGES_MIN);
        let before = core::arch::wasm32::memory_grow::<0>(pages);
        if before == usize::MAX {
            return Err(());
        }
        let base = (before * PAGE_BYTES) as *mut u8;
        unsafe { talc.claim(base, pages * PAGE_BYTES) }
            .map(drop)
            .ok_or(())
    }
}
