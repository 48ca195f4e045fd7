//! The allocator of the program.
//!
//! Tensors of many megabytes come and go at every step. The C library's allocator gives each back to the system and takes its pages anew, which
//! was a quarter of a training step; this one keeps them for a while.

use libmimalloc_sys::{mi_option_set, mi_option_t};
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// `mi_option_purge_delay` of mimalloc.h: milliseconds until free pages are given back.
const PURGE_DELAY: mi_option_t = 15;

/// Keeps free pages for longer than a training step takes; mimalloc's own 10 ms are for programs of small objects.
#[expect(unsafe_code, reason = "mimalloc has no safe options")]
pub(crate) fn keep_pages() {
    // SAFETY: sets a number; no other thread runs yet.
    unsafe { mi_option_set(PURGE_DELAY, 10_000) }
}
