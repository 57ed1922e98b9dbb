//! The expressions of a rule, as far as they are understood: what they load, compare and decide
//! (`NFTA_*` of linux/netfilter/nf_tables.h).

use std::net::IpAddr;

use nix::libc;

use super::iptables::{matching, target};
use super::{attributes, number, text, value};

/// What one expression does. Registers are numbered as the kernel does: 1 to 4 of 16 bytes, 8 to 23 of 4
/// bytes in the same room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// Loads bytes of the packet.
    Payload {
        base: u32,
        offset: u32,
        length: u32,
        to: u32,
    },
    /// Loads a fact about the packet, by `NFT_META_*`.
    Meta {
        key: u32,
        to: u32,
    },
    /// Loads a fact about its connection, by `NFT_CT_*`.
    Connection {
        key: u32,
        to: u32,
    },
    /// Loads the type of the route to the packet's destination.
    DestinationType {
        to: u32,
    },
    /// Loads something that is not known here.
    Unknown {
        to: u32,
    },
    Value {
        value: Vec<u8>,
        to: u32,
    },
    Mask {
        from: u32,
        to: u32,
        mask: Vec<u8>,
        xor: Vec<u8>,
    },
    /// By `NFT_CMP_*`.
    Compare {
        operation: u32,
        from: u32,
        with: Vec<u8>,
    },
    Range {
        from: u32,
        first: Vec<u8>,
        last: Vec<u8>,
        outside: bool,
    },
    /// Whether a set has it; with `decides` the set says what to do.
    Lookup {
        set: String,
        from: u32,
        inverted: bool,
        decides: bool,
        to: Option<u32>,
    },
    /// iptables' match of ports.
    Ports {
        source: (u16, u16),
        destination: (u16, u16),
        inverted: u8,
    },
    /// iptables' match of the connection's state.
    State {
        mask: u16,
        inverted: bool,
    },
    /// iptables' match of a local destination.
    LocalDestination {
        inverted: bool,
    },
    /// Sets the packet's mark, or its connection's.
    Marks,
    /// Has conntrack pass the packet over, where that has not seen it yet.
    Untracks,
    /// Registers with address and port that the destination is translated to.
    TranslateBy {
        address: Option<u32>,
        port: Option<u32>,
    },
    Translate {
        address: Option<IpAddr>,
        port: Option<u16>,
    },
    Decide(Verdict),
    /// It chooses among packets by something that is not known here, and may load what is not known.
    Chooses(String),
    /// It neither chooses nor decides.
    Passes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    Drop,
    Continue,
    Return,
    Jump(String),
    Goto(String),
    /// Another program decides, or it is not understood.
    Unknown,
}

pub(super) fn expression(bytes: &[u8]) -> Expression {
    let name = value(bytes, 1).map(text).unwrap_or_default();
    let data = value(bytes, 2).unwrap_or_default();
    understood(&name, data).unwrap_or(Expression::Chooses(name))
}

fn understood(name: &str, data: &[u8]) -> Option<Expression> {
    Some(match name {
        // With a register to load from it changes the packet.
        "payload" if number(data, 5).is_some() => Expression::Passes,
        "payload" => Expression::Payload {
            to: number(data, 1)?,
            base: number(data, 2)?,
            offset: number(data, 3)?,
            length: number(data, 4)?,
        },
        "meta" => match (number(data, 1), number(data, 2)?) {
            (Some(to), key) => Expression::Meta { key, to },
            // Without a register to load to it sets something.
            (None, key) if key == libc::NFT_META_MARK as u32 => Expression::Marks,
            (None, _) => Expression::Passes,
        },
        "ct" => match (number(data, 1), number(data, 2)?) {
            (Some(to), key) => Expression::Connection { key, to },
            (None, _) => Expression::Passes,
        },
        "fib" => fib(data)?,
        "immediate" => immediate(data)?,
        "bitwise" => mask(data)?,
        "cmp" => Expression::Compare {
            from: number(data, 1)?,
            operation: number(data, 2)?,
            with: bytes_of(data, 3)?,
        },
        "range" => Expression::Range {
            from: number(data, 1)?,
            outside: number(data, 2)? != 0,
            first: bytes_of(data, 3)?,
            last: bytes_of(data, 4)?,
        },
        "lookup" => Expression::Lookup {
            set: value(data, 1).map(text)?,
            from: number(data, 2)?,
            inverted: number(data, 5).unwrap_or_default() & 1 != 0,
            decides: number(data, 3) == Some(0),
            to: number(data, 3).filter(|to| *to != 0),
        },
        "nat" => nat(data)?,
        "masq" => Expression::Decide(Verdict::Accept),
        "redir" => Expression::TranslateBy { address: None, port: number(data, 1) },
        "reject" => Expression::Decide(Verdict::Drop),
        "queue" | "tproxy" | "synproxy" | "fwd" => Expression::Decide(Verdict::Unknown),
        "match" => matching(data)?,
        "target" => target(data)?,
        "notrack" => Expression::Untracks,
        "counter" | "log" | "dup" | "last" => Expression::Passes,
        "objref" => object(data)?,
        // `NFTA_*_DREG`.
        "byteorder" | "hash" | "socket" | "tunnel" => Expression::Unknown { to: number(data, 2)? },
        "numgen" | "rt" | "exthdr" | "osf" | "xfrm" => Expression::Unknown { to: number(data, 1)? },
        _ => return None,
    })
}

/// `NFTA_OBJREF_IMM_TYPE`, by `NFT_OBJECT_*`: a counter, a helper, a timeout, a mark for security, or an
/// expectation lets all packets go on. A limit and a quota do not, nor does a map without the packet's element.
fn object(data: &[u8]) -> Option<Expression> {
    const SYNPROXY: u32 = 10;
    match number(data, 1)? {
        1 | 3 | 7 | 8 | 9 => Some(Expression::Passes),
        SYNPROXY => Some(Expression::Decide(Verdict::Unknown)),
        _ => None,
    }
}

/// `NFTA_DATA_VALUE` in an attribute.
fn bytes_of(data: &[u8], kind: u16) -> Option<Vec<u8>> {
    value(value(data, kind)?, 1).map(<[u8]>::to_vec)
}

/// `NFTA_FIB_RESULT`: the type of an address; `NFTA_FIB_FLAGS`: of the destination's.
fn fib(data: &[u8]) -> Option<Expression> {
    const TYPE: u32 = 3;
    const DESTINATION: u32 = 2;
    const OTHER_SELECTORS: u32 = 1 | 8 | 16;
    let (to, result, flags) = (number(data, 1)?, number(data, 2)?, number(data, 3)?);
    Some(match result {
        TYPE if flags & DESTINATION != 0 && flags & OTHER_SELECTORS == 0 => {
            Expression::DestinationType { to }
        }
        _ => Expression::Unknown { to },
    })
}

fn immediate(data: &[u8]) -> Option<Expression> {
    let (to, inside) = (number(data, 1)?, value(data, 2)?);
    Some(match (value(inside, 1), value(inside, 2)) {
        (Some(bytes), _) => Expression::Value { value: bytes.to_vec(), to },
        (None, verdict) => Expression::Decide(self::verdict(verdict?)),
    })
}

/// `NFTA_VERDICT_CODE`, `NFTA_VERDICT_CHAIN`.
pub(super) fn verdict(data: &[u8]) -> Verdict {
    let chain = || value(data, 2).map(text).unwrap_or_default();
    match number(data, 1).map(u32::cast_signed) {
        Some(libc::NF_ACCEPT) => Verdict::Accept,
        Some(libc::NF_DROP) => Verdict::Drop,
        Some(libc::NFT_CONTINUE) => Verdict::Continue,
        Some(libc::NFT_RETURN) => Verdict::Return,
        Some(libc::NFT_JUMP) => Verdict::Jump(chain()),
        Some(libc::NFT_GOTO) => Verdict::Goto(chain()),
        _ => Verdict::Unknown,
    }
}

/// `NFTA_BITWISE_OP` is the one of a mask unless it says something else.
fn mask(data: &[u8]) -> Option<Expression> {
    let (from, to) = (number(data, 1)?, number(data, 2)?);
    Some(match number(data, 6).unwrap_or_default() {
        0 => Expression::Mask { from, to, mask: bytes_of(data, 4)?, xor: bytes_of(data, 5)? },
        _ => Expression::Unknown { to },
    })
}

/// `NFTA_NAT_TYPE`, `NFTA_NAT_REG_ADDR_MIN`, `NFTA_NAT_REG_PROTO_MIN`.
fn nat(data: &[u8]) -> Option<Expression> {
    const DNAT: u32 = 1;
    Some(match number(data, 1)? {
        DNAT => Expression::TranslateBy { address: number(data, 3), port: number(data, 5) },
        _ => Expression::Decide(Verdict::Accept),
    })
}

/// Those of a rule.
pub(super) fn expressions(list: &[u8]) -> Vec<Expression> {
    let all = attributes(list).map(|(_, one)| expression(one));
    all.filter(|one| *one != Expression::Passes).collect()
}
