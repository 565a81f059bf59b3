//! What the lock-free parts are built from: the standard library's, or `loom`'s under
//! `--cfg steadfast_loom`, where every interleaving is tried.

#[cfg(not(steadfast_loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

#[cfg(steadfast_loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

/// Locks, whether or not somebody has panicked with the lock in hand: nothing here leaves half of
/// a change behind.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Alone on its cache lines (processors fetch them in pairs): what is written with every call must
/// not slow down those who only read what lies beside it.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);
