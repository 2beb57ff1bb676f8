//! Choices drawn from a tape of numbers: a shorter tape with smaller numbers is a simpler world, so that a property that
//! fails is shrunk to its core.

/// The tape; when it is at its end every choice is the first one.
pub(crate) struct Tape<'a>(pub(crate) std::slice::Iter<'a, u16>);

impl<'a> Tape<'a> {
    pub(crate) fn new(numbers: &'a [u16]) -> Self {
        Self(numbers.iter())
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0.next().map_or(0, |number| usize::from(*number) % n.max(1))
    }

    /// True in one of `n` cases, never at the tape's end.
    pub(crate) fn rarely(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    pub(crate) fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }
}
