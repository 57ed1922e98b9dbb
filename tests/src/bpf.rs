//! The few requests of bpf(2) for which the lab needs no library.

mod test_run;

use std::ffi::CString;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use nix::errno::Errno;
use nix::libc;
use nix::net::if_::if_nametoindex;

pub use self::test_run::{run, run_on};
use crate::netns::Namespace;

/// Which way packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    /// `BPF_TCX_INGRESS` and `BPF_TCX_EGRESS` of enum `bpf_attach_type`.
    fn attach_type(self) -> u32 {
        match self {
            Self::Ingress => 46,
            Self::Egress => 47,
        }
    }
}

/// Where a program goes in a chain: `BPF_F_BEFORE` and `BPF_F_AFTER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Head,
    Tail,
}

const BPF_PROG_LOAD: u32 = 5;
const BPF_PROG_GET_FD_BY_ID: u32 = 13;
const BPF_PROG_QUERY: u32 = 16;
const BPF_OBJ_GET: u32 = 7;
const BPF_LINK_CREATE: u32 = 28;
const BPF_LINK_UPDATE: u32 = 29;
const BPF_LINK_DETACH: u32 = 34;
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;

/// One instruction: `struct bpf_insn`.
type Instruction = u64;

/// `attr` of BPF_PROG_QUERY as of 6.6, where tcx came.
#[repr(C)]
#[derive(Default)]
struct Query {
    target_ifindex: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    count: u32,
    pad: u32,
    prog_attach_flags: u64,
    link_ids: u64,
    link_attach_flags: u64,
    revision: u64,
}

/// The beginning of `attr` of BPF_PROG_LOAD.
#[repr(C)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
}

/// `attr` of BPF_LINK_CREATE for tcx.
#[repr(C)]
struct LinkCreate {
    prog_fd: u32,
    target_ifindex: u32,
    attach_type: u32,
    flags: u32,
    relative_fd: u32,
    pad: u32,
    expected_revision: u64,
}

/// A classifier that passes every packet on, and does nothing else.
pub fn empty_program() -> Result<OwnedFd> {
    load(&[instruction(MOV64_IMM, 0, 0, TCX_NEXT), instruction(EXIT, 0, 0, 0)])
        .context("load an empty program")
}

/// A classifier that sends IPv4 packets to a neighbour on another device, and passes others on.
pub fn redirecting_program(ifindex: u32, next_hop: Ipv4Addr) -> Result<OwnedFd> {
    let (family, address) = (i32::from(AF_INET), u32::from_ne_bytes(next_hop.octets()));
    let ether_type = i32::from(0x0800_u16.to_be());
    // `struct bpf_redir_neigh`: a family, and room for an IPv6 address.
    let next_hop = [family, address.cast_signed(), 0, 0, 0];
    let size = 20;
    let words = (0_u16..).map(|word| (4 * word).wrapping_sub(size)).zip(next_hop);
    let mut program =
        vec![instruction(LOAD_32, 0x12, SKB_PROTOCOL, 0), instruction(JNE_IMM, 2, 12, ether_type)];
    program.extend(words.map(|(offset, word)| instruction(STORE_IMM_32, 0x0a, offset, word)));
    program.extend([
        instruction(MOV64_IMM, 1, 0, ifindex.cast_signed()),
        instruction(MOV64_REG, 0xa2, 0, 0),
        instruction(ADD64_IMM, 2, 0, -i32::from(size)),
        instruction(MOV64_IMM, 3, 0, size.into()),
        instruction(MOV64_IMM, 4, 0, 0),
        instruction(CALL, 0, 0, BPF_REDIRECT_NEIGH),
        instruction(EXIT, 0, 0, 0),
        instruction(MOV64_IMM, 0, 0, TCX_NEXT),
        instruction(EXIT, 0, 0, 0),
    ]);
    load(&program).context("load a program that redirects")
}

/// A classifier that stores a word to `words` places on its stack, and passes every packet on.
pub fn storing_program(words: i16) -> Result<OwnedFd> {
    let stores =
        (1..=words).map(|word| instruction(STORE_IMM_64, 0x0a, (-8 * word).cast_unsigned(), 1));
    let end = [instruction(MOV64_IMM, 0, 0, TCX_NEXT), instruction(EXIT, 0, 0, 0)];
    load(&stores.chain(end).collect::<Vec<_>>()).context("load a program of stack stores")
}

/// How many programs are attached to `device` by tcx.
pub fn tcx_programs(namespace: &Namespace, device: &str, direction: Direction) -> Result<u32> {
    namespace.inside(|| {
        let target_ifindex = if_nametoindex(device).with_context(|| format!("find {device}"))?;
        let attach_type = direction.attach_type();
        let mut query = Query { target_ifindex, attach_type, ..Query::default() };
        match bpf(BPF_PROG_QUERY, &mut query) {
            Ok(_) => Ok(query.count),
            // Nothing was ever attached; or a kernel without tcx.
            Err(Errno::ENOENT | Errno::EINVAL) => Ok(0),
            Err(error) => bail!("query tcx {direction:?} of {device}: {error}"),
        }
    })
}

/// The program that is attached first to `device` by tcx.
pub fn first_tcx_program(
    namespace: &Namespace,
    device: &str,
    direction: Direction,
) -> Result<OwnedFd> {
    let query = || -> Result<OwnedFd> {
        let mut ids = [0_u32; 64];
        let mut query = Query {
            target_ifindex: if_nametoindex(device)?,
            attach_type: direction.attach_type(),
            prog_ids: ids.as_mut_ptr() as u64,
            count: ids.len() as u32,
            ..Query::default()
        };
        bpf(BPF_PROG_QUERY, &mut query)?;
        ensure!(query.count > 0, "none is attached");
        let mut attr = [ids[0], 0, 0];
        bpf(BPF_PROG_GET_FD_BY_ID, &mut attr).map_err(anyhow::Error::from).and_then(owned)
    };
    namespace.inside(|| query().with_context(|| format!("find the tcx {direction:?} of {device}")))
}

/// Attaches a program that drops IPv4 TCP packets to `port`, and passes all others on. It is
/// detached when the link is dropped.
pub fn drop_port(
    namespace: &Namespace,
    device: &str,
    direction: Direction,
    place: Place,
    port: u16,
) -> Result<OwnedFd> {
    let program = load(&dropper(port)).context("load a program that drops a port")?;
    attach(namespace, device, direction, place, program.as_fd())
}

/// Attaches a classifier by tcx; it is detached when the link is dropped.
pub fn attach(
    namespace: &Namespace,
    device: &str,
    direction: Direction,
    place: Place,
    program: BorrowedFd<'_>,
) -> Result<OwnedFd> {
    namespace.inside(|| {
        let mut link = LinkCreate {
            prog_fd: raw(program),
            target_ifindex: if_nametoindex(device).with_context(|| format!("find {device}"))?,
            attach_type: direction.attach_type(),
            flags: match place {
                Place::Head => 1 << 3,
                Place::Tail => 1 << 4,
            },
            relative_fd: 0,
            pad: 0,
            expected_revision: 0,
        };
        bpf(BPF_LINK_CREATE, &mut link)
            .with_context(|| format!("attach to {device}"))
            .and_then(owned)
    })
}

/// Detaches the link that is pinned at a path, as `bpftool link detach` does. It stays pinned.
pub fn detach_pinned(path: &Path) -> Result<()> {
    let link = pinned(path)?;
    let mut attr = raw(link.as_fd());
    bpf(BPF_LINK_DETACH, &mut attr).with_context(|| format!("detach {}", path.display()))?;
    Ok(())
}

/// Puts an empty program behind the link that is pinned at a path.
pub fn replace_pinned(path: &Path) -> Result<()> {
    let (link, program) = (pinned(path)?, empty_program()?);
    let mut attr = [raw(link.as_fd()), raw(program.as_fd()), 0, 0];
    bpf(BPF_LINK_UPDATE, &mut attr).with_context(|| format!("update {}", path.display()))?;
    Ok(())
}

/// What is pinned at a path: a map, a program or a link.
pub fn pinned(path: &Path) -> Result<OwnedFd> {
    let open = || {
        let path = CString::new(path.as_os_str().as_bytes())?;
        let mut attr = [path.as_ptr() as u64, 0];
        bpf(BPF_OBJ_GET, &mut attr).map_err(anyhow::Error::from).and_then(owned)
    };
    open().with_context(|| format!("open {}", path.display()))
}

/// opcode, destination and source register, jump offset, immediate.
fn instruction(code: u8, registers: u8, offset: u16, immediate: i32) -> Instruction {
    u64::from(code)
        | u64::from(registers) << 8
        | u64::from(offset) << 16
        | u64::from(immediate.cast_unsigned()) << 32
}

const MOV64_REG: u8 = 0xbf;
const MOV64_IMM: u8 = 0xb7;
const LD_ABS_HALF: u8 = 0x28;
const LD_ABS_BYTE: u8 = 0x30;
const JNE_IMM: u8 = 0x55;
const LOAD_32: u8 = 0x61;
const STORE_IMM_32: u8 = 0x62;
const STORE_IMM_64: u8 = 0x7a;
const ADD64_IMM: u8 = 0x07;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
const TC_ACT_SHOT: i32 = 2;
const TCX_NEXT: i32 = -1;
/// `BPF_FUNC_redirect_neigh`.
const BPF_REDIRECT_NEIGH: i32 = 152;
const AF_INET: u8 = 2;
/// Offset in `struct __sk_buff`.
const SKB_PROTOCOL: u16 = 16;

/// `tcpdump 'ip and tcp dst port PORT'`, with "drop" for a match and "next" for all else.
fn dropper(port: u16) -> Vec<Instruction> {
    vec![
        // The loads below want the packet in r6.
        instruction(MOV64_REG, 0x16, 0, 0),
        instruction(LD_ABS_HALF, 0, 0, 12),
        instruction(JNE_IMM, 0, 6, 0x0800),
        instruction(LD_ABS_BYTE, 0, 0, 23),
        instruction(JNE_IMM, 0, 4, 6),
        instruction(LD_ABS_HALF, 0, 0, 36),
        instruction(JNE_IMM, 0, 2, i32::from(port)),
        instruction(MOV64_IMM, 0, 0, TC_ACT_SHOT),
        instruction(EXIT, 0, 0, 0),
        instruction(MOV64_IMM, 0, 0, TCX_NEXT),
        instruction(EXIT, 0, 0, 0),
    ]
}

fn load(instructions: &[Instruction]) -> Result<OwnedFd> {
    let mut attr = Load {
        prog_type: BPF_PROG_TYPE_SCHED_CLS,
        insn_cnt: u32::try_from(instructions.len()).context("count instructions")?,
        insns: instructions.as_ptr() as u64,
        license: c"MIT".as_ptr() as u64,
    };
    bpf(BPF_PROG_LOAD, &mut attr).context("BPF_PROG_LOAD").and_then(owned)
}

fn raw(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

fn owned(fd: i64) -> Result<OwnedFd> {
    let fd = i32::try_from(fd).context("a file descriptor")?;
    // SAFETY: the kernel has just returned this descriptor to us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn bpf<T>(request: u32, attr: &mut T) -> nix::Result<i64> {
    let attr: *mut T = attr;
    // SAFETY: `attr` is a live, exclusive and initialised value of the size that is told, and
    // the addresses in it point to slices and strings that outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, request, attr, size_of::<T>()) };
    Errno::result(result)
}
