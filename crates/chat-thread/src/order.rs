//! Puts messages in normal order: parents before children, whatever order they came in.
//!
//! One pass down from the roots, so it is linear but for sorting siblings. Cycles have no root:
//! each is entered at one of its own messages, which then counts as a root here.

/// A message's place among the others, by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    /// Position in the input.
    pub(crate) input: usize,
    /// How many levels below its root.
    pub(crate) level: usize,
}

/// Orders the nodes of a forest given each node's parent and children.
///
/// Every node is placed exactly once, also in a cycle.
pub(crate) fn parents_first(parents: &[Option<usize>], children: &[Vec<usize>]) -> Vec<Placed> {
    let mut descent = Descent {
        children,
        placed: Vec::with_capacity(parents.len()),
        seen: vec![false; parents.len()],
    };
    for (node, parent) in parents.iter().enumerate() {
        if parent.is_none() {
            descent.from(node);
        }
    }
    // What is left hangs below cycles.
    let mut walked = vec![false; parents.len()];
    for node in 0..parents.len() {
        if let Some(entry) = cycle_entry(node, parents, &descent.seen, &mut walked) {
            descent.from(entry);
        }
    }
    descent.placed
}

struct Descent<'a> {
    children: &'a [Vec<usize>],
    placed: Vec<Placed>,
    seen: Vec<bool>,
}

impl Descent<'_> {
    /// Places `root` and all below it, level by level.
    fn from(&mut self, root: usize) {
        let mut next = self.placed.len();
        self.place(root, 0);
        while let Some(&Placed { input, level }) = self.placed.get(next) {
            let children = self.children;
            for &child in children.get(input).map_or(&[][..], Vec::as_slice) {
                self.place(child, level + 1);
            }
            next += 1;
        }
    }

    fn place(&mut self, input: usize, level: usize) {
        if let Some(seen) = self.seen.get_mut(input)
            && !*seen
        {
            *seen = true;
            self.placed.push(Placed { input, level });
        }
    }
}

/// The first message met twice when walking up from `node`; none if all of it is placed or was
/// walked before.
fn cycle_entry(
    node: usize,
    parents: &[Option<usize>],
    seen: &[bool],
    walked: &mut [bool],
) -> Option<usize> {
    let mut current = node;
    loop {
        if seen.get(current).copied().unwrap_or(true) {
            return None;
        }
        let was_walked = walked.get_mut(current)?;
        if *was_walked {
            return Some(current);
        }
        *was_walked = true;
        current = parents.get(current).copied().flatten()?;
    }
}
