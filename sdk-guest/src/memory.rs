//! The allocator of components.
//!
//! An instance lives for one call, so what counts is how quickly memory is there, not how well it is kept: allocations
//! come from an arena inside the memory that an instance starts with, one behind the other, and only the last one can
//! be given back. Calls that need more than that get it from an allocator that reuses what is freed; growing memory
//! costs the host system calls, to make pages accessible and to take them back.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;
use core::ptr;

use talc::base::Talc;
use talc::base::binning::Binning;
use talc::cell::TalcSyncCell;
use talc::source::Source;
use talc::wasm::WasmBinning;

/// Bytes at hand without growing: more than most calls need. The host looks over all of it after each call.
const ARENA_BYTES: usize = 128 << 10;
const PAGE_BYTES: usize = 64 << 10;
/// Pages by which memory grows at least.
const PAGES_MIN: usize = 16;

static mut ARENA: [u8; ARENA_BYTES] = [0; ARENA_BYTES];

#[global_allocator]
static ALLOCATOR: ArenaThenPages = ArenaThenPages {
    used: Cell::new(0),
    pages: TalcSyncCell::new_wasm(Pages),
};

/// Gives the arena from its start to its end, then memory from pages.
struct ArenaThenPages {
    /// Bytes of the arena that are given away.
    used: Cell<usize>,
    pages: TalcSyncCell<Pages, WasmBinning>,
}

#[expect(unsafe_code, reason = "a static must be Sync")]
// SAFETY: components have one thread.
unsafe impl Sync for ArenaThenPages {}

impl ArenaThenPages {
    /// Where in the arena an allocation lies that came from there.
    fn place(at: *mut u8) -> Option<usize> {
        let place = at.addr().wrapping_sub((&raw const ARENA).addr());
        (place < ARENA_BYTES).then_some(place)
    }

    /// Makes the allocation from `start` on end after `bytes`, if the arena goes that far.
    fn extend(&self, start: usize, bytes: usize) -> bool {
        let fits = bytes <= ARENA_BYTES.wrapping_sub(start);
        if fits {
            self.used.set(start + bytes);
        }
        fits
    }

    /// Whether an allocation is the one that the arena gave last.
    fn is_last(&self, start: usize, layout: Layout) -> bool {
        start + layout.size() == self.used.get()
    }
}

#[expect(unsafe_code, reason = "an allocator cannot be written without")]
// SAFETY: the arena is given away upwards, each byte once until its owner gives it back; all else is `talc`'s.
unsafe impl GlobalAlloc for ArenaThenPages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let arena = (&raw mut ARENA).cast::<u8>();
        let free = arena.wrapping_add(self.used.get());
        let padding = free.addr().wrapping_neg() & (layout.align() - 1);
        let start = self.used.get() + padding;
        if start <= ARENA_BYTES && self.extend(start, layout.size()) {
            arena.wrapping_add(start)
        } else {
            unsafe { self.pages.alloc(layout) }
        }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        match Self::place(at) {
            Some(start) if self.is_last(start, layout) => self.used.set(start),
            Some(_) => {}
            None => unsafe { self.pages.dealloc(at, layout) },
        }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        match Self::place(at) {
            Some(start) if self.is_last(start, layout) && self.extend(start, bytes) => return at,
            Some(_) if bytes <= layout.size() => return at,
            Some(_) => {}
            None => return unsafe { self.pages.realloc(at, layout, bytes) },
        }
        // SAFETY: the caller vouches for the layout with the new size; the two do not overlap.
        unsafe {
            let other = self.alloc(Layout::from_size_align_unchecked(bytes, layout.align()));
            if !other.is_null() {
                ptr::copy_nonoverlapping(at, other, layout.size());
            }
            other
        }
    }
}

/// Gives pages as they are needed.
#[derive(Debug)]
struct Pages;

#[expect(
    unsafe_code,
    reason = "an allocator's source of memory cannot be written without"
)]
// SAFETY: allocates nothing itself and touches the allocator through `talc` alone; it claims what `memory_grow` has just
// made.
unsafe impl Source for Pages {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, layout: Layout) -> Result<(), ()> {
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
