//! The embedded BPF object, loaded with the pinned maps.

use std::collections::BTreeMap;

use aya::maps::MapInfo;
use aya::programs::{CgroupSockAddr, Program, ProgramError, SchedClassifier};
use aya::{Ebpf, EbpfLoader, VerifierLogLevel};
use aya_log::EbpfLogger;
use prroute_common::flow::{MIN_FLOWS_PER_CPU, confirmed_entries, unconfirmed_entries};
use prroute_common::{names, udp_origin};

use crate::datapath::error::{DatapathError, Result};
use crate::datapath::features;
use crate::datapath::layout;
use crate::datapath::links;
use crate::datapath::pins::{Pins, move_in_place};
use crate::datapath::secret;
use crate::datapath::tables::failed;

static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("PRROUTE_BPF_OBJECT_PATH"));

/// What the configuration decides about the programs.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions {
    /// Flow entries per family, for maps that do not exist yet.
    pub flows: u32,
    /// Log each packet whose flow is looked up, with what was decided.
    pub log_packets: bool,
    /// The network namespace whose wildcard UDP sockets are helped; 0 for none.
    pub netns_cookie: u64,
    /// A number that nobody else can know, by which egress knows its own redirected packets; 0
    /// to decide about them twice.
    pub redirect_note: u64,
    /// The first and the last of the ports that the kernel gives to sockets which ask for none.
    pub client_ports: (u16, u16),
}

impl LoadOptions {
    /// Entries that the kernel is asked for: a small LRU map evicts while nearly empty.
    fn udp_origin_entries(self) -> u32 {
        Self::entries(udp_origin::entries(self.flows))
    }

    fn entries(wanted: u32) -> u32 {
        let cpus = aya::util::nr_cpus().unwrap_or(1);
        let floor = MIN_FLOWS_PER_CPU.saturating_mul(u32::try_from(cpus).unwrap_or(1));
        wanted.max(floor).checked_next_power_of_two().unwrap_or(1 << 31)
    }
}

/// Both programs, loaded. Their links are taken out of aya's hands, so dropping this detaches
/// nothing.
#[derive(Debug)]
pub struct Programs {
    ebpf: Ebpf,
    /// The id of each pinned map.
    maps: BTreeMap<&'static str, u32>,
}

impl Programs {
    /// Loads the programs on the instance's maps, creating and pinning those that are missing.
    ///
    /// # Errors
    ///
    /// When a pinned map has another shape, or the kernel refuses a map or a program.
    pub fn load(pins: &Pins, options: LoadOptions) -> Result<Self> {
        layout::verify(pins)?;
        pins.create()?;
        let mut loader = EbpfLoader::new();
        loader.verifier_log_level(VerifierLogLevel::STATS);
        for name in names::pinned_maps() {
            loader.map_pin_path(name, pins.map(name));
        }
        for name in [names::FLOWS4, names::FLOWS6, names::DATAGRAMS4, names::DATAGRAMS6] {
            let entries = LoadOptions::entries(confirmed_entries(options.flows));
            loader.map_max_entries(name, entries);
        }
        for name in [names::NEW4, names::NEW6] {
            loader.map_max_entries(name, LoadOptions::entries(unconfirmed_entries(options.flows)));
        }
        for name in [names::UDP_ORIGIN4, names::UDP_ORIGIN6] {
            loader.map_max_entries(name, options.udp_origin_entries());
        }
        loader.override_global(names::GLOBAL_NETNS_COOKIE, &options.netns_cookie, true);
        loader.override_global(names::GLOBAL_REDIRECT_NOTE, &options.redirect_note, true);
        let (first, last) = options.client_ports;
        let client_ports = u32::from(first) << 16 | u32::from(last);
        loader.override_global(names::GLOBAL_CLIENT_PORTS, &client_ports, true);
        let secret = secret::of_syn_cache(pins)?;
        loader.override_global(names::GLOBAL_SYN_CACHE_SECRET, &secret, true);
        // The verifier folds the level: without the log its code is not there.
        let level = if options.log_packets { aya_log::Level::Info as u8 } else { 0 };
        loader.override_global(aya_log::LEVEL, &level, true);
        let mut programs = Self { ebpf: loader.load(OBJECT)?, maps: BTreeMap::new() };
        for name in names::pinned_maps() {
            let info = MapInfo::from_pin(pins.map(name)).map_err(failed("ask about", name))?;
            programs.maps.insert(name, info.id());
        }
        secret::keep_for_syn_cache(pins, &secret)?;
        for name in [names::PROGRAM_INGRESS, names::PROGRAM_EGRESS] {
            programs.get(name)?.load().map_err(|source| refused(name, source))?;
        }
        Ok(programs)
    }

    /// The maps whose pins are gone, or are those of others.
    pub fn lost_pins(&self, pins: &Pins) -> Vec<&'static str> {
        let is_lost = |(name, id): &(&&'static str, &u32)| {
            !MapInfo::from_pin(pins.map(name)).is_ok_and(|info| info.id() == **id)
        };
        self.maps.iter().filter(is_lost).map(|(name, _)| *name).collect()
    }

    /// Pins a map again, in the place of whatever is pinned there: its entries are what they were.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn put_pin(&self, pins: &Pins, name: &'static str) -> Result<()> {
        let map = self.ebpf.map(name).ok_or(DatapathError::Missing(name))?;
        let pin = pins.map(name);
        let new = pins.map(&format!("{name}_new"));
        links::remove(&new)?;
        map.pin(&new).map_err(|source| DatapathError::Pin {
            operation: "pin the map",
            object: name.to_owned(),
            source,
        })?;
        move_in_place(&new, &pin)
    }

    /// The kernel's id of a loaded program.
    ///
    /// # Errors
    ///
    /// When the kernel cannot be asked.
    pub fn id(&self, name: &'static str) -> Result<u32> {
        let program = self.ebpf.program(name).ok_or(DatapathError::Missing(name))?;
        let info = program.info().map_err(|source| DatapathError::Program {
            operation: "ask about program",
            object: name.to_owned(),
            source: Box::new(source),
        })?;
        Ok(info.id())
    }

    /// The reading end of the decision log.
    ///
    /// # Errors
    ///
    /// When the object has none, or it was taken before.
    pub fn decision_log(&mut self) -> Result<EbpfLogger<&'static dyn log::Log>> {
        EbpfLogger::init(&mut self.ebpf).map_err(DatapathError::DecisionLog)
    }

    /// One of the two classifiers, by its name in [`names`].
    ///
    /// # Errors
    ///
    /// When the object has no such classifier.
    pub fn get(&mut self, name: &'static str) -> Result<&mut SchedClassifier> {
        self.find(name)
    }

    /// One of the programs on sockets, which are not loaded yet.
    ///
    /// # Errors
    ///
    /// When the object has no such program.
    pub fn socket_program(&mut self, name: &'static str) -> Result<&mut CgroupSockAddr> {
        self.find(name)
    }

    fn find<'a, P>(&'a mut self, name: &'static str) -> Result<&'a mut P>
    where
        &'a mut P: TryFrom<&'a mut Program>,
    {
        self.ebpf
            .program_mut(name)
            .and_then(|program| program.try_into().ok())
            .ok_or(DatapathError::Missing(name))
    }
}

/// Why the kernel refused a program: what it lacks, if that is known, else its own words.
fn refused(name: &'static str, source: ProgramError) -> DatapathError {
    let missing = features::missing(&features::NEEDED);
    if !missing.is_empty() {
        return DatapathError::OldKernel { missing: features::listing(&missing) };
    }
    DatapathError::Program {
        operation: "load program",
        object: name.to_owned(),
        source: Box::new(source),
    }
}
