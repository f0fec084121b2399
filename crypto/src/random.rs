//! Where random bytes come from: an argument, so that the same bytes give the same file.

use aws_lc_rs::rand;

/// The operating system gave no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are no random bytes to be had")]
pub struct NoRandomness;

/// A source of bytes that nobody can guess.
pub trait Random {
    /// Fills the buffer.
    ///
    /// # Errors
    /// Returns [`NoRandomness`] when the source fails; the buffer must not be used then.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), NoRandomness>;
}

/// AWS-LC's generator, seeded by the kernel.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), NoRandomness> {
        rand::fill(buffer).map_err(|_| NoRandomness)
    }
}
