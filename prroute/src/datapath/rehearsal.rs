//! The programs, asked about packets that nobody sends: they are loaded once more, on the live maps where they
//! only read and on copies where they write, and run by the kernel on a packet that goes nowhere
//! (BPF_PROG_TEST_RUN, Linux 4.12; with a device 5.9). What they decide is what they would decide now, and nothing changes.

mod copies;
mod packet;

use std::collections::BTreeMap;

use aya::maps::RingBuf;
use aya::programs::{SchedClassifier, TestRun as _, TestRunOptions};
use aya::{Ebpf, EbpfLoader};
use prroute_common::names;
use prroute_common::reason::{REASON_SLOTS, Reason};
use prroute_common::trace::Report;
use prroute_common::uplink::{MAX_UPLINKS, UplinkFacts, mac_octets};

use crate::datapath::error::{DatapathError, Result};
use crate::datapath::facts::ETHERNET_HEADER;
use crate::datapath::maps::failed;
use crate::datapath::object::{DECISION_LOG, OBJECT, refused, set_clock, verified};
use crate::datapath::pins::Pins;
use crate::datapath::trace::Decision;
use crate::datapath::{layout, locked, secret, sockets};
use crate::state::uplink::{Ifindex, UplinkId};
use crate::sysctl;
pub use packet::{Kind, Packet};
use packet::{Link, Progress};

/// Entries of a copied table: a rehearsal has a few flows.
const ENTRIES: u32 = 4096;

/// A link-layer address that is nobody's: locally administered.
const STRANGER: [u8; 6] = [0x02, 0, 0, 0, 0, 1];

/// Of `struct __sk_buff`, in words: `ingress_ifindex`, `ifindex`, and all of it.
const INGRESS_IFINDEX: usize = 9;
const IFINDEX: usize = 10;
const SK_BUFF_WORDS: usize = 48;

/// What a program did with a packet.
#[derive(Clone, Debug)]
pub struct Rehearsed {
    /// `None`: it had nothing to say: the device is no uplink, or the packet is none of its affair.
    pub decision: Option<Decision>,
    /// What was counted, and on which uplink.
    pub counted: Vec<(UplinkId, Reason)>,
}

/// Both programs, on copies.
#[expect(missing_debug_implementations, reason = "aya's types have none")]
pub struct Rehearsal {
    ebpf: Ebpf,
    pins: Pins,
    /// Of the flow that is asked about.
    progress: Progress,
}

impl Rehearsal {
    /// # Errors
    ///
    /// When there are no live maps, or the kernel refuses a map or a program.
    pub fn load(pins: &Pins) -> Result<Self> {
        layout::verify(pins)?;
        // A map whose pin is missing would be made, and pinned.
        if let Some(name) = names::pinned_maps().find(|name| !pins.map(name).exists()) {
            return Err(DatapathError::NotLoaded { path: pins.map(name) });
        }
        let mut loader = EbpfLoader::new();
        for name in names::pinned_maps().filter(|name| !copies::COPIED.contains(name)) {
            loader.map_pin_path(name, pins.map(name));
        }
        for name in copies::TABLES {
            loader.map_max_entries(name, ENTRIES);
        }
        loader.map_max_entries(DECISION_LOG, 1);
        let cookie = sockets::netns_cookie()?;
        loader.override_global(names::GLOBAL_NETNS_COOKIE, &cookie, true);
        set_clock(&mut loader);
        let (first, last) = sysctl::client_ports();
        let client_ports = u32::from(first) << 16 | u32::from(last);
        loader.override_global(names::GLOBAL_CLIENT_PORTS, &client_ports, true);
        let secret = secret::of_syn_cache(pins)?;
        loader.override_global(names::GLOBAL_SYN_CACHE_SECRET, &secret, true);
        loader.override_global(aya_log::LEVEL, &0_u8, true);
        let mut ebpf = loader.load(OBJECT).map_err(locked::explain)?;
        for name in [names::PROGRAM_INGRESS, names::PROGRAM_EGRESS] {
            let program = program(&mut ebpf, name)?;
            verified(|| program.load()).map_err(|source| refused(name, source))?;
        }
        copies::of_the_host(&mut ebpf, pins)?;
        Ok(Self { ebpf, pins: pins.clone(), progress: Progress::of(None) })
    }

    /// Forgets what earlier packets did, and takes what the live maps have of the flow of a packet that
    /// comes in.
    ///
    /// # Errors
    ///
    /// When a map cannot be read.
    pub fn begin(&mut self, packet: &Packet) -> Result<()> {
        let known = copies::of_flow(&mut self.ebpf, &self.pins, packet)?;
        self.progress = Progress::of(known.as_ref());
        Ok(())
    }

    /// A packet comes in on this device, from a sender with this link-layer address. What the program writes
    /// stays, for a reply that is asked about next.
    ///
    /// # Errors
    ///
    /// When the kernel does not run the program.
    pub fn comes_in(
        &mut self,
        on: Ifindex,
        from: Option<[u8; 6]>,
        packet: &Packet,
    ) -> Result<Rehearsed> {
        let to = self.facts_of(on)?.map_or(STRANGER, |(_, facts)| mac_octets(facts.mac));
        let link = Link { from: from.unwrap_or(STRANGER), to };
        let frame = packet.frame(link, self.progress.of_client())?;
        self.run(names::PROGRAM_INGRESS, on, None, &frame)
    }

    /// A packet is about to leave by this device; `forwarded` is the device it came in through, if it was
    /// forwarded, and `to` the link-layer address that it goes to.
    ///
    /// # Errors
    ///
    /// When the kernel does not run the program.
    pub fn leaves(
        &mut self,
        by: Ifindex,
        forwarded: Option<Ifindex>,
        to: Option<[u8; 6]>,
        packet: &Packet,
    ) -> Result<Rehearsed> {
        let from = self.facts_of(by)?.map_or(STRANGER, |(_, facts)| mac_octets(facts.mac));
        let link = Link { from, to: to.unwrap_or(STRANGER) };
        let frame = packet.frame(link, self.progress.of_server())?;
        self.run(names::PROGRAM_EGRESS, by, forwarded, &frame)
    }

    fn run(
        &mut self,
        name: &'static str,
        on: Ifindex,
        forwarded: Option<Ifindex>,
        frame: &[u8],
    ) -> Result<Rehearsed> {
        let before = self.counters()?;
        let fitted = self.fit_link_header(on)?;
        let mut context = [0_u32; SK_BUFF_WORDS];
        context[IFINDEX] = on.0;
        context[INGRESS_IFINDEX] = forwarded.map_or(0, |device| device.0);
        let options = TestRunOptions {
            data_in: Some(frame),
            ctx_in: Some(bytemuck::cast_slice(&context)),
            ..TestRunOptions::new()
        };
        let result = program(&mut self.ebpf, name)?.test_run(options);
        if let Some((index, facts)) = fitted {
            self.set_facts(index, facts)?;
        }
        result.map_err(|source| DatapathError::Program {
            operation: "run program",
            object: name.to_owned(),
            source: Box::new(source),
        })?;
        let counted = self
            .counters()?
            .into_iter()
            .filter(|(key, count)| before.get(key) != Some(count))
            .map(|((uplink, reason), _)| (UplinkId(uplink), Reason::ALL[reason]))
            .collect();
        Ok(Rehearsed { decision: self.last_report()?.map(|report| Decision::of(&report)), counted })
    }

    /// The last report of the packet that was run.
    fn last_report(&mut self) -> Result<Option<Report>> {
        let name = names::TRACE_REPORTS;
        let map = self.ebpf.map_mut(name).ok_or(DatapathError::Missing(name))?;
        let mut ring = RingBuf::try_from(map).map_err(failed("open the copy of", name))?;
        let mut last = None;
        while let Some(item) = ring.next() {
            last = bytemuck::try_pod_read_unaligned(&item).ok();
        }
        Ok(last)
    }

    /// The facts of the uplink on this device, and where they are.
    fn facts_of(&mut self, device: Ifindex) -> Result<Option<(u32, UplinkFacts)>> {
        let name = names::ACTIVE_FACTS;
        let mut active = Vec::new();
        {
            let map = copies::array::<u32>(&mut self.ebpf, name)?;
            for id in 0..MAX_UPLINKS {
                active.push(map.get(&id, 0).map_err(failed("read", name))?);
            }
        }
        let name = names::UPLINK_FACTS;
        let map = copies::array::<UplinkFacts>(&mut self.ebpf, name)?;
        for index in active.into_iter().filter(|index| *index != 0) {
            let facts = map.get(&index, 0).map_err(failed("read", name))?;
            if facts.ifindex == device.0 {
                return Ok(Some((index, facts)));
            }
        }
        Ok(None)
    }

    /// The kernel runs a program on frames only: the device without a link-layer header gets one. Returns
    /// what was there.
    fn fit_link_header(&mut self, device: Ifindex) -> Result<Option<(u32, UplinkFacts)>> {
        let Some((index, facts)) = self.facts_of(device)? else { return Ok(None) };
        if facts.link_header != 0 {
            return Ok(None);
        }
        self.set_facts(index, UplinkFacts { link_header: ETHERNET_HEADER, ..facts })?;
        Ok(Some((index, facts)))
    }

    fn set_facts(&mut self, index: u32, facts: UplinkFacts) -> Result<()> {
        let name = names::UPLINK_FACTS;
        copies::array::<UplinkFacts>(&mut self.ebpf, name)?
            .set(index, facts, 0)
            .map_err(failed("write the copy of", name))
    }

    /// Every counter that is not zero, by uplink and reason.
    fn counters(&mut self) -> Result<BTreeMap<(u16, usize), u64>> {
        let name = names::COUNTERS;
        let map = self.ebpf.map_mut(name).ok_or(DatapathError::Missing(name))?;
        let map = aya::maps::PerCpuArray::<_, u64>::try_from(map)
            .map_err(failed("open the copy of", name))?;
        let mut counters = BTreeMap::new();
        for id in 0..MAX_UPLINKS as u16 {
            for reason in 0..Reason::ALL.len() {
                let index = u32::from(id) * REASON_SLOTS + reason as u32;
                let per_cpu = map.get(&index, 0).map_err(failed("read the copy of", name))?;
                let count: u64 = per_cpu.iter().sum();
                if count != 0 {
                    counters.insert((id, reason), count);
                }
            }
        }
        Ok(counters)
    }
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut SchedClassifier> {
    ebpf.program_mut(name)
        .and_then(|program| program.try_into().ok())
        .ok_or(DatapathError::Missing(name))
}
