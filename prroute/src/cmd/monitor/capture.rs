//! Packets in a file for tshark and Wireshark (pcapng), each with what was decided as a comment.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use pcap_file::DataLink;
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use prroute_common::trace::CAPTURED;

use crate::datapath::trace::TracedPacket;

/// Times are in units of 10^-9 s.
const NANOSECONDS: u8 = 9;

/// The low two bits of a packet's flags (pcapng, 4.3.1).
const CAME_IN: u32 = 1;
const LEFT: u32 = 2;

pub(super) struct Capture {
    path: PathBuf,
    writer: PcapNgWriter<BufWriter<File>>,
    /// The numbers of interfaces in the file, by index.
    interfaces: BTreeMap<u32, u32>,
}

impl Capture {
    /// Makes the file, which only its owner may read.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)
            .with_context(|| format!("create {}", path.display()))?;
        let writer = PcapNgWriter::new(BufWriter::new(file))
            .with_context(|| format!("write {}", path.display()))?;
        Ok(Self { path: path.to_owned(), writer, interfaces: BTreeMap::new() })
    }

    pub(super) fn add(
        &mut self,
        packet: &TracedPacket,
        name: String,
        clock: SystemTime,
        comment: &str,
    ) -> Result<()> {
        let interface_id = self.interface(packet, name)?;
        let since_1970 = clock.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let block = EnhancedPacketBlock {
            interface_id,
            timestamp: since_1970 + packet.time,
            original_len: packet.length,
            data: Cow::Borrowed(&packet.bytes),
            options: vec![
                EnhancedPacketOption::Comment(Cow::Borrowed(comment)),
                EnhancedPacketOption::Flags(if packet.decision.came_in { CAME_IN } else { LEFT }),
            ],
        };
        self.writer.write_pcapng_block(block).with_context(|| self.operation())?;
        Ok(())
    }

    /// The number of the packet's interface, which is described when it is seen first.
    fn interface(&mut self, packet: &TracedPacket, name: String) -> Result<u32> {
        if let Some(number) = self.interfaces.get(&packet.device.0) {
            return Ok(*number);
        }
        let linktype = if packet.has_link_header { DataLink::ETHERNET } else { DataLink::RAW };
        let block = InterfaceDescriptionBlock {
            linktype,
            snaplen: CAPTURED as u32,
            options: vec![
                InterfaceDescriptionOption::IfName(Cow::Owned(name)),
                InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
            ],
        };
        self.writer.write_pcapng_block(block).with_context(|| self.operation())?;
        let number = self.interfaces.len() as u32;
        self.interfaces.insert(packet.device.0, number);
        Ok(number)
    }

    /// What is written so far is in the file.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.writer.get_mut().flush().with_context(|| self.operation())
    }

    fn operation(&self) -> String {
        format!("write {}", self.path.display())
    }
}
