//! Copies word by word. What the compiler calls for a larger copy goes by bytes: the verifier walks its loop, and other
//! processors that read a map's value meanwhile see torn words.

/// # Safety
///
/// The pointer is to so many aligned words of a live value.
#[inline(always)]
pub(super) unsafe fn write<const N: usize>(at: *mut u64, words: [u64; N]) {
    for (index, word) in words.into_iter().enumerate() {
        // SAFETY: by the caller. Volatile: the compiler would make a call of it.
        unsafe { at.add(index).write_volatile(word) };
    }
}

#[inline(always)]
pub(super) fn set<const N: usize>(to: &mut [u64; N], words: [u64; N]) {
    // SAFETY: so many words there are.
    unsafe { write(to.as_mut_ptr(), words) };
}
