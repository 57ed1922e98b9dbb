//! One rule on one packet, in a logic of three values: what is asked of a packet may be true, false, or not
//! known.

use std::cell::Cell;
use std::cmp::Ordering;
use std::net::IpAddr;

use nix::libc;

use super::packet::{Known, Packet, Tracking};
use crate::netlink::nftables::ruleset::{Element, Set};
use crate::netlink::nftables::{Expression, Verdict};

/// What a rule does with a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ruled {
    pub(super) action: Action,
    /// The rule is about this packet; otherwise it may be.
    pub(super) is_certain: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Decide(Verdict),
    /// To another address or port; `None`: this one stays.
    Translate {
        address: Option<IpAddr>,
        port: Option<u16>,
    },
    /// To one that is not known.
    TranslateSomewhere,
}

const MARK: u32 = libc::NFT_META_MARK as u32;

/// 64 bytes, in registers of 4 and of 16.
struct Registers(Known);

impl Registers {
    /// Where a register begins, and what room it has.
    fn place(register: u32) -> Option<(usize, usize)> {
        let number = usize::try_from(register).ok()?;
        match number {
            1..=4 => Some(((number - 1) * 16, 16)),
            8..=23 => Some(((number - 8) * 4, 4)),
            _ => None,
        }
    }

    /// Rounded up to 4 bytes, with zeros.
    fn load(&mut self, register: u32, mut value: Known) {
        let Some((at, _)) = Self::place(register) else { return };
        value.resize(value.len().next_multiple_of(4), Some(0));
        for (place, byte) in self.0.iter_mut().skip(at).zip(value) {
            *place = byte;
        }
    }

    /// From its beginning on: how long is what was loaded there, is not known either.
    fn forget(&mut self, register: u32) {
        let Some((at, _)) = Self::place(register) else { return };
        self.0.iter_mut().skip(at).for_each(|byte| *byte = None);
    }

    fn forget_all(&mut self) {
        self.0.fill(None);
    }

    /// `None`: not all of it is known.
    fn get(&self, register: u32, length: usize) -> Option<Vec<u8>> {
        let (at, _) = Self::place(register)?;
        self.0.get(at..at.checked_add(length)?)?.iter().copied().collect()
    }
}

/// What rules have done to a packet at one hook, besides deciding about it.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Its mark is set, to what is not known.
    pub(super) is_marked: Cell<bool>,
    pub(super) tracking: Cell<Tracking>,
    /// What `notrack` makes of it here; `None`: nothing.
    pub(super) notrack: Cell<Option<Tracking>>,
}

/// What the rule does; `None`: it is not about the packet, or decides nothing.
pub(super) fn run(
    expressions: &[Expression],
    packet: &Packet,
    changes: &Changes,
    set: impl Fn(&str) -> Option<Set>,
) -> Option<Ruled> {
    let registers = Registers(vec![None; 64]);
    let mut machine = Machine { packet, registers, changes, is_certain: true };
    for expression in expressions {
        match machine.step(expression, &set) {
            Outcome::GoesOn => {}
            Outcome::Perhaps => machine.is_certain = false,
            Outcome::Not => return None,
            Outcome::Does(action) => {
                return Some(Ruled { action, is_certain: machine.is_certain });
            }
        }
    }
    None
}

enum Outcome {
    GoesOn,
    Perhaps,
    Not,
    Does(Action),
}

impl From<Option<bool>> for Outcome {
    fn from(is_so: Option<bool>) -> Self {
        match is_so {
            Some(true) => Self::GoesOn,
            Some(false) => Self::Not,
            None => Self::Perhaps,
        }
    }
}

struct Machine<'a> {
    packet: &'a Packet,
    registers: Registers,
    changes: &'a Changes,
    is_certain: bool,
}

impl Machine<'_> {
    fn step(&mut self, expression: &Expression, set: &impl Fn(&str) -> Option<Set>) -> Outcome {
        match expression {
            Expression::Payload { base, offset, length, to } => {
                self.fill(*to, self.packet.header(*base, *offset, *length));
            }
            Expression::Meta { key, to } => {
                let is_unknown = *key == MARK && self.changes.is_marked.get();
                self.fill(*to, self.packet.meta(*key).filter(|_| !is_unknown));
            }
            Expression::Connection { key, to } => {
                self.fill(*to, self.packet.connection(*key, self.changes.tracking.get()));
            }
            Expression::DestinationType { to } => {
                let kind = if self.packet.is_local { libc::RTN_LOCAL } else { libc::RTN_UNICAST };
                let kind = u32::from(kind).to_ne_bytes();
                self.fill(*to, Some(kind.into_iter().map(Some).collect()));
            }
            Expression::Unknown { to } => self.registers.forget(*to),
            Expression::Value { value, to } => {
                self.fill(*to, Some(value.iter().copied().map(Some).collect()));
            }
            Expression::Mask { from, to, mask, xor } => self.mask(*from, *to, mask, xor),
            Expression::Compare { operation, from, with } => {
                let value = self.registers.get(*from, with.len());
                return value.and_then(|value| compare(*operation, &value, with)).into();
            }
            Expression::Range { from, first, last, outside } => {
                let value = self.registers.get(*from, first.len());
                let is_in = value.map(|value| (&value >= first && &value <= last) != *outside);
                return is_in.into();
            }
            Expression::Lookup { set: name, from, inverted, decides, to } => {
                let found = set(name).map(|set| self.look_up(&set, *from));
                if let Some(to) = to {
                    self.registers.forget(*to);
                    return match found {
                        Some(Found::Nothing) => Outcome::Not,
                        Some(Found::Element(_)) => Outcome::GoesOn,
                        _ => Outcome::Perhaps,
                    };
                }
                return looked_up(found, *inverted, *decides);
            }
            Expression::Ports { source, destination, inverted } => {
                let is_in = |port: u16, (first, last): (u16, u16), bit: u8| {
                    (first..=last).contains(&port) != (inverted & bit != 0)
                };
                let is_it = is_in(self.packet.source.port(), *source, 1)
                    && is_in(self.packet.destination.port(), *destination, 2);
                return Some(is_it).into();
            }
            Expression::State { mask, inverted } => {
                let state = self.packet.state_of_iptables(self.changes.tracking.get());
                let is_it = state.map(|state| state & u32::from(*mask) != 0);
                return is_it.map(|is_it| is_it != *inverted).into();
            }
            Expression::LocalDestination { inverted } => {
                return Some(self.packet.is_local != *inverted).into();
            }
            Expression::Marks => self.changes.is_marked.set(true),
            Expression::Untracks => self.untrack(),
            Expression::Passes => {}
            Expression::TranslateBy { address, port } => {
                return Outcome::Does(self.translation(*address, *port));
            }
            Expression::Translate { address, port } => {
                return Outcome::Does(Action::Translate { address: *address, port: *port });
            }
            Expression::Decide(verdict) => {
                return Outcome::Does(Action::Decide(verdict.clone()));
            }
            Expression::Chooses(_) => {
                // What is not understood may have loaded any of them.
                self.registers.forget_all();
                return Outcome::Perhaps;
            }
        }
        Outcome::GoesOn
    }

    fn untrack(&self) {
        let Changes { tracking, notrack, .. } = self.changes;
        let Some(becomes) = notrack.get() else { return };
        if tracking.get() != Tracking::Untracked {
            tracking.set(if self.is_certain { becomes } else { Tracking::Unknown });
        }
    }

    fn fill(&mut self, register: u32, value: Option<Known>) {
        match value {
            Some(value) => self.registers.load(register, value),
            None => self.registers.forget(register),
        }
    }

    fn mask(&mut self, from: u32, to: u32, mask: &[u8], xor: &[u8]) {
        let value = self.registers.get(from, mask.len());
        let masked = value.map(|value| {
            let bytes = value.iter().zip(mask).zip(xor);
            bytes.map(|((byte, mask), xor)| Some(byte & mask ^ xor)).collect()
        });
        self.fill(to, masked);
    }

    fn translation(&self, address: Option<u32>, port: Option<u32>) -> Action {
        let length = if self.packet.destination.is_ipv4() { 4 } else { 16 };
        let address = address.map(|register| {
            let bytes = self.registers.get(register, length)?;
            match <[u8; 4]>::try_from(bytes.as_slice()) {
                Ok(octets) => Some(octets.into()),
                Err(_) => <[u8; 16]>::try_from(bytes.as_slice()).ok().map(Into::into),
            }
        });
        let port = port.map(|register| {
            let bytes = self.registers.get(register, 2)?;
            bytes.try_into().ok().map(u16::from_be_bytes)
        });
        match (address, port) {
            (Some(None), _) | (_, Some(None)) => Action::TranslateSomewhere,
            (address, port) => {
                Action::Translate { address: address.flatten(), port: port.flatten() }
            }
        }
    }

    fn look_up(&self, set: &Set, from: u32) -> Found {
        let Some(length) = set.elements.iter().map(|element| element.key.len()).max() else {
            return Found::Nothing;
        };
        let Some(key) = self.registers.get(from, length) else { return Found::Unknown };
        find(&set.elements, &key)
    }
}

enum Found {
    Element(Element),
    Nothing,
    Unknown,
}

/// By its key, by a range with a key of its own at the end, or between two keys.
fn find(elements: &[Element], key: &[u8]) -> Found {
    let is_it = |element: &&Element| match &element.last {
        Some(last) => {
            let length = element.key.len();
            // Concatenations are compared field by field, which may have any length.
            length <= 4 && element.key.as_slice() <= key && key <= last.as_slice()
        }
        None => element.key == key && !element.ends,
    };
    if elements.iter().any(|element| element.last.is_some() && element.key.len() > 4) {
        return Found::Unknown;
    }
    let everything = || elements.iter().find(|element| element.key.is_empty());
    let between = || {
        if !elements.iter().any(|element| element.ends) {
            return None;
        }
        let before = elements.iter().filter(|element| element.key.as_slice() <= key);
        before.max_by(|a, b| a.key.cmp(&b.key).then(b.ends.cmp(&a.ends))).filter(|it| !it.ends)
    };
    let found = elements.iter().find(is_it).or_else(between).or_else(everything);
    found.cloned().map_or(Found::Nothing, Found::Element)
}

fn looked_up(found: Option<Found>, inverted: bool, decides: bool) -> Outcome {
    match found {
        None | Some(Found::Unknown) if decides => Outcome::Does(Action::Decide(Verdict::Unknown)),
        None | Some(Found::Unknown) => Outcome::Perhaps,
        Some(Found::Element(element)) if decides => {
            Outcome::Does(Action::Decide(element.verdict.unwrap_or(Verdict::Unknown)))
        }
        Some(found) => {
            let is_there = matches!(found, Found::Element(_));
            Some(is_there != inverted).into()
        }
    }
}

/// `NFT_CMP_*`, as bytes in network order compare.
fn compare(operation: u32, value: &[u8], with: &[u8]) -> Option<bool> {
    let order = value.cmp(with);
    Some(match operation {
        0 => order == Ordering::Equal,
        1 => order != Ordering::Equal,
        2 => order == Ordering::Less,
        3 => order != Ordering::Greater,
        4 => order == Ordering::Greater,
        5 => order != Ordering::Less,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
