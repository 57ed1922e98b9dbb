//! The programs on one hook of a device, in the order in which packets meet them, and what is to be
//! said of ours among them. What was read from the kernel is judged here, by daemon and commands alike.

use crate::datapath::attach::Hook;
use crate::netlink::{Direction, Filter};

/// One program on a hook, or a filter without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Attached by tcx; `link` is 0 without a link.
    Tcx { program: u32, link: u32 },
    /// On clsact, which packets meet behind all of tcx.
    Filter(Filter),
}

impl Entry {
    /// The id of its program; 0: it has none.
    pub const fn program(&self) -> u32 {
        match self {
            Self::Tcx { program, .. } => *program,
            Self::Filter(filter) => filter.program,
        }
    }
}

/// What tells our program from those of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ours {
    pub direction: Direction,
    pub hook: Hook,
    /// The id of the program that was loaded; `None`: not known.
    pub program: Option<u32>,
    /// The id of the tcx link that was made; `None`: not known, or there is none.
    pub link: Option<u32>,
    /// The name that a filter of ours has.
    pub name: &'static str,
}

/// What is to be said of our program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Packets meet it, behind these.
    InForce {
        behind: Vec<Entry>,
    },
    /// By our link, or in the place of our filter, there is a program that was not loaded by us.
    Replaced {
        program: u32,
    },
    Missing,
}

impl Standing {
    pub const fn is_in_force(&self) -> bool {
        matches!(self, Self::InForce { .. })
    }
}

impl Ours {
    /// Finds ours among all that is on the hook.
    pub fn judge(&self, chain: &[Entry]) -> Standing {
        if let Some(at) = chain.iter().position(|entry| self.is_whole(entry)) {
            return Standing::InForce { behind: chain[..at].to_vec() };
        }
        match chain.iter().find(|entry| self.has_its_place(entry)) {
            Some(entry) => Standing::Replaced { program: entry.program() },
            None => Standing::Missing,
        }
    }

    /// What others have on the hook.
    pub fn foreign<'a>(&self, chain: &'a [Entry]) -> impl Iterator<Item = &'a Entry> {
        let ours = *self;
        chain.iter().filter(move |entry| !ours.is_whole(entry) && !ours.has_its_place(entry))
    }

    fn is_whole(&self, entry: &Entry) -> bool {
        match (entry, self.program) {
            // Its link has no pin any more, but is there.
            (Entry::Tcx { program, .. }, Some(ours)) if self.link.is_none() => *program == ours,
            (_, Some(program)) => self.has_its_place(entry) && entry.program() == program,
            (Entry::Filter(filter), None) => self.has_its_place(entry) && filter.name == self.name,
            (Entry::Tcx { .. }, None) => self.has_its_place(entry),
        }
    }

    fn has_its_place(&self, entry: &Entry) -> bool {
        match (entry, self.hook) {
            (Entry::Tcx { link, .. }, Hook::Tcx) => self.link.is_some_and(|ours| ours == *link),
            (Entry::Filter(filter), Hook::Clsact) => filter.is_at_our_place,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Ours = Ours {
        direction: Direction::Egress,
        hook: Hook::Tcx,
        program: Some(7),
        link: Some(70),
        name: "prroute_egress",
    };

    fn tcx(program: u32, link: u32) -> Entry {
        Entry::Tcx { program, link }
    }

    fn filter(program: u32, is_at_our_place: bool) -> Entry {
        let (kind, name) = ("bpf".to_owned(), "prroute_egress".to_owned());
        Entry::Filter(Filter { kind, priority: 1, name, program, is_at_our_place })
    }

    fn clsact(program: Option<u32>) -> Ours {
        Ours { hook: Hook::Clsact, link: None, program, ..OURS }
    }

    #[test]
    fn our_program_is_found_with_what_packets_meet_before_it() {
        let chain = [tcx(3, 30), tcx(7, 70), tcx(4, 0)];
        assert_eq!(OURS.judge(&chain), Standing::InForce { behind: vec![tcx(3, 30)] });
        assert_eq!(OURS.foreign(&chain).count(), 2);
        assert_eq!(OURS.judge(&chain[1..]), Standing::InForce { behind: Vec::new() });
        let chain = [tcx(3, 30), filter(7, true)];
        let first = vec![tcx(3, 30)];
        assert_eq!(clsact(Some(7)).judge(&chain), Standing::InForce { behind: first });
    }

    #[test]
    fn another_program_in_its_place_is_not_ours() {
        assert_eq!(OURS.judge(&[tcx(8, 70)]), Standing::Replaced { program: 8 });
        assert_eq!(clsact(Some(7)).judge(&[filter(8, true)]), Standing::Replaced { program: 8 });
        assert_eq!(OURS.judge(&[tcx(8, 80)]), Standing::Missing);
        assert_eq!(clsact(Some(7)).judge(&[filter(7, false)]), Standing::Missing);
        assert_eq!(OURS.judge(&[]), Standing::Missing);
    }

    #[test]
    fn a_link_without_its_pin_is_found_by_its_program() {
        let unpinned = Ours { link: None, ..OURS };
        assert!(unpinned.judge(&[tcx(7, 70)]).is_in_force());
        assert_eq!(unpinned.judge(&[tcx(8, 70)]), Standing::Missing);
    }

    /// What an earlier version reported has no ids.
    #[test]
    fn without_ids_link_and_name_have_to_do() {
        let nothing_known = Ours { program: None, ..OURS };
        assert!(nothing_known.judge(&[tcx(8, 70)]).is_in_force());
        assert_eq!(Ours { link: None, ..nothing_known }.judge(&[tcx(7, 70)]), Standing::Missing);
        assert!(clsact(None).judge(&[filter(8, true)]).is_in_force());
    }
}
