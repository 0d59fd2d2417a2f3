//! Lists of alternatives, one after the other in one allocation, and what a search collects of them.

/// The alternatives of one entry of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Run {
    start: u32,
    length: u32,
}

impl Run {
    /// A list of one, which needs no place of its own.
    pub(super) const fn one(alternative: u32) -> Self {
        Self { start: alternative, length: ONE }
    }

    /// In place of a list: the number of a table of its own.
    pub(super) fn table(number: usize) -> Self {
        Self { start: small(number), length: u32::MAX }
    }

    /// The number that [`Self::table`] was given.
    pub(super) const fn as_table(self) -> Option<usize> {
        if self.length == u32::MAX { Some(self.start as usize) } else { None }
    }
}

/// Marks [`Run::one`]; no list is that long.
const ONE: u32 = u32::MAX - 1;

#[derive(Debug, Default)]
pub(super) struct Members(Vec<u32>);

impl Members {
    pub(super) fn add(&mut self, alternatives: &[u32]) -> Run {
        if let [one] = alternatives {
            return Run::one(*one);
        }
        let run = Run { start: small(self.0.len()), length: small(alternatives.len()) };
        self.0.extend(alternatives);
        run
    }

    pub(super) fn of<'m>(&'m self, run: &'m Run) -> &'m [u32] {
        if run.length == ONE {
            return std::slice::from_ref(&run.start);
        }
        let start = run.start as usize;
        self.0.get(start..start + run.length as usize).unwrap_or_default()
    }

    pub(super) fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }
}

/// From so many collected runs on, repetitions are dropped: an array of thousands of values can meet one entry again
/// and again.
const MANY: usize = 4_096;

/// What a search has found so far.
///
/// A search may not cost more than trying every rule: long arrays can meet thousands of entries again with each value.
/// Steps are counted, and when there were more than a few for each alternative and value, the search is given up and
/// all alternatives are candidates.
#[derive(Debug, Default)]
pub(super) struct Found {
    runs: Vec<Run>,
    /// Length at which repetitions are dropped next.
    drop_at: usize,
    steps: usize,
    most: usize,
}

/// Steps that a search may take for each alternative and each value.
const STEPS: usize = 8;

impl Found {
    pub(super) fn begin(&mut self, alternatives: usize, values: usize) {
        self.runs.clear();
        self.drop_at = MANY;
        self.steps = 0;
        self.most = MANY + STEPS * (alternatives + values);
    }

    /// Counts what was looked at; `false` when it is time to give up.
    #[inline]
    pub(super) fn step(&mut self, steps: usize) -> bool {
        self.steps += steps;
        self.steps <= self.most
    }

    #[inline]
    pub(super) fn push(&mut self, run: Run) {
        if run.length == 0 {
            return;
        }
        self.runs.push(run);
        self.steps += match run.length {
            ONE => 1,
            length => length as usize,
        };
        if self.runs.len() >= self.drop_at {
            self.runs.sort_unstable();
            self.runs.dedup();
            self.drop_at = MANY.max(self.runs.len() * 2);
        }
    }

    /// The alternatives of all runs in ascending order, each once; all there are, if the search was given up.
    pub(super) fn alternatives(&mut self, members: &Members, all: u32, into: &mut Vec<u32>) {
        into.clear();
        if self.steps > self.most {
            return into.extend(0..all);
        }
        match self.runs.as_slice() {
            [] => {}
            // The usual case; lists are sorted already.
            [one] => into.extend(members.of(one)),
            _ => {
                self.runs.sort_unstable();
                self.runs.dedup();
                self.runs.iter().for_each(|run| into.extend(members.of(run)));
                into.sort_unstable();
                into.dedup();
            }
        }
    }
}

/// The operands of all rules together are far below four thousand million.
fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
