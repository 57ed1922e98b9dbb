//! Ports that the kernel gives to sockets which ask for none (`net.ipv4.ip_local_port_range`).

use aya_ebpf::Global;

/// The first in the high half, the last in the low one; the loader sets it when it loads
/// the programs, the verifier folds it.
#[unsafe(no_mangle)]
static CLIENT_PORTS: Global<u32> = Global::new(32_768 << 16 | 60_999);

/// Whether who speaks from this port is a client, as far as a port can tell.
#[inline(always)]
pub(super) fn is_client(port: [u8; 2]) -> bool {
    let (port, range) = (u32::from(u16::from_be_bytes(port)), CLIENT_PORTS.load());
    (range >> 16..=range & 0xffff).contains(&port)
}
