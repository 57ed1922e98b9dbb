//! The embedded BPF object, loaded with the pinned maps.

use std::collections::BTreeMap;
use std::io;

use aya::maps::MapInfo;
use aya::programs::{CgroupSockAddr, Program, ProgramError, SchedClassifier};
use aya::{Ebpf, EbpfLoader, VerifierLogLevel};
use aya_log::EbpfLogger;
use prroute_common::names;

use crate::datapath::directory::{move_pin, remove_pin};
use crate::datapath::error::{DatapathError, Result};
use crate::datapath::features;
use crate::datapath::layout;
use crate::datapath::locked;
use crate::datapath::maps::failed;
use crate::datapath::outgrown;
use crate::datapath::pins::Pins;
use crate::datapath::secret;
use crate::datapath::sizes::{Sizes, UNUSED};

pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("PRROUTE_BPF_OBJECT_PATH"));

/// How many bytes the embedded object has.
#[must_use]
pub fn size() -> usize {
    OBJECT.len()
}

/// The ring buffer of aya-log.
pub(super) const DECISION_LOG: &str = "AYA_LOGS";

/// What the configuration decides about the programs.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions {
    /// Of tables that do not exist yet, or were not in use when they were made.
    pub sizes: Sizes,
    /// Log each packet whose flow is looked up, with what was decided.
    pub log_packets: bool,
    /// Count what would be done, and leave every packet as it is.
    pub observe: bool,
    /// The network namespace whose wildcard UDP sockets are helped; 0 for none.
    pub netns_cookie: u64,
    /// A number that nobody else can know, by which egress knows its own redirected packets; 0
    /// to decide about them twice.
    pub redirect_note: u64,
    /// The first and the last of the ports that the kernel gives to sockets which ask for none.
    pub client_ports: (u16, u16),
}

/// Both programs, loaded. Their links are taken out of aya's hands, so dropping this detaches
/// nothing.
#[derive(Debug)]
pub struct Programs {
    ebpf: Ebpf,
    /// The id of each pinned map.
    maps: BTreeMap<&'static str, u32>,
    sizes: Sizes,
}

impl Programs {
    /// Loads the programs on the instance's maps, creating and pinning those that are missing. A
    /// pinned map keeps its size, but for tables that were not in use when they were made.
    ///
    /// # Errors
    ///
    /// When a pinned map has another shape, or the kernel refuses a map or a program.
    pub fn load(pins: &Pins, options: LoadOptions) -> Result<Self> {
        layout::verify(pins)?;
        pins.create()?;
        let mut loader = EbpfLoader::new();
        loader.verifier_log_level(VerifierLogLevel::STATS);
        let observed = if options.observe { options.sizes.wrong_uplinks() } else { UNUSED };
        let entries = options.sizes.entries().chain([(names::WRONG_UPLINK, observed)]);
        let entries: Vec<_> = entries.collect();
        let outgrown = outgrown::find(pins, &entries)?;
        for name in names::pinned_maps().filter(|name| !outgrown.contains(name)) {
            loader.map_pin_path(name, pins.map(name));
        }
        for (name, entries) in entries {
            loader.map_max_entries(name, entries);
        }
        if !options.log_packets {
            // One page is the least there can be.
            loader.map_max_entries(DECISION_LOG, 1);
        }
        loader.override_global(names::GLOBAL_NETNS_COOKIE, &options.netns_cookie, true);
        loader.override_global(names::GLOBAL_REDIRECT_NOTE, &options.redirect_note, true);
        let observe = u32::from(options.observe);
        loader.override_global(names::GLOBAL_OBSERVE, &observe, true);
        set_clock(&mut loader);
        let (first, last) = options.client_ports;
        let client_ports = u32::from(first) << 16 | u32::from(last);
        loader.override_global(names::GLOBAL_CLIENT_PORTS, &client_ports, true);
        let secret = secret::of_syn_cache(pins)?;
        loader.override_global(names::GLOBAL_SYN_CACHE_SECRET, &secret, true);
        // The verifier folds the level: without the log its code is not there.
        let level = if options.log_packets { aya_log::Level::Info as u8 } else { 0 };
        loader.override_global(aya_log::LEVEL, &level, true);
        let ebpf = loader.load(OBJECT).map_err(locked::explain)?;
        let mut programs = Self { ebpf, maps: BTreeMap::new(), sizes: options.sizes };
        secret::keep_for_syn_cache(pins, &secret)?;
        for name in [names::PROGRAM_INGRESS, names::PROGRAM_EGRESS] {
            let program = programs.get(name)?;
            verified(|| program.load()).map_err(|source| refused(name, source))?;
        }
        // Only now, so that a daemon that ends meanwhile leaves all maps to the next one.
        for name in outgrown {
            outgrown::carry_over(&mut programs.ebpf, pins, name)?;
            programs.put_pin(pins, name)?;
        }
        programs.look_at_maps(pins)?;
        Ok(programs)
    }

    fn look_at_maps(&mut self, pins: &Pins) -> Result<()> {
        let mut entries = BTreeMap::new();
        for name in names::pinned_maps() {
            let info = MapInfo::from_pin(pins.map(name)).map_err(failed("ask about", name))?;
            self.maps.insert(name, info.id());
            entries.insert(name, info.max_entries());
        }
        self.sizes = self.sizes.with_entries(|name| entries.get(name).copied());
        Ok(())
    }

    /// The sizes that the tables have.
    pub fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    /// The maps whose pins are gone, or now belong to other maps.
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
        remove_pin(&new)?;
        map.pin(&new).map_err(|source| DatapathError::Pin {
            operation: "pin the map",
            object: name.to_owned(),
            source,
        })?;
        move_pin(&new, &pin)
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

/// Loads a program. The kernel gives up with EAGAIN when a signal comes while it verifies: then it is
/// asked again, as often as by libbpf.
pub(super) fn verified(
    load: impl FnMut() -> std::result::Result<(), ProgramError>,
) -> std::result::Result<(), ProgramError> {
    retried(load, |error| match error {
        ProgramError::LoadError { io_error, .. } => io_error.kind() == io::ErrorKind::WouldBlock,
        _ => false,
    })
}

fn retried<E>(
    mut load: impl FnMut() -> std::result::Result<(), E>,
    is_passing: impl Fn(&E) -> bool,
) -> std::result::Result<(), E> {
    const ATTEMPTS: usize = 5;
    for _ in 1..ATTEMPTS {
        match load() {
            Err(error) if is_passing(&error) => {}
            result => return result,
        }
    }
    load()
}

/// Has the programs read the clock that this kernel has.
pub(super) fn set_clock(loader: &mut EbpfLoader<'_>) {
    let clock: &'static u32 = if features::has_coarse_clock() { &1 } else { &0 };
    loader.override_global(names::GLOBAL_COARSE_CLOCK, clock, true);
}

/// Why the kernel refused a program: what it lacks, if that is known, else its own words.
pub(super) fn refused(name: &'static str, source: ProgramError) -> DatapathError {
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

#[cfg(test)]
mod tests {
    use super::{OBJECT, retried};

    /// How often a load is tried that fails `failures` times, and what comes of it.
    fn tried(failures: usize, is_passing: bool) -> (usize, bool) {
        let mut attempts = 0;
        let load = || {
            attempts += 1;
            if attempts > failures { Ok(()) } else { Err(()) }
        };
        let result = retried(load, |()| is_passing);
        (attempts, result.is_ok())
    }

    #[test]
    fn a_signal_while_a_program_is_verified_is_no_refusal() {
        assert_eq!(tried(2, true), (3, true));
        assert_eq!(tried(usize::MAX, true), (5, false));
        assert_eq!(tried(1, false), (1, false));
    }

    fn contains(text: &str) -> bool {
        OBJECT.windows(text.len()).any(|bytes| bytes == text.as_bytes())
    }

    /// Else the same source would be another object in another folder.
    #[test]
    fn the_object_names_no_folder_of_the_machine_that_built_it() {
        let root = env!("CARGO_MANIFEST_DIR").trim_end_matches("/prroute");
        for folder in [root, "/registry/src/", "/rustlib/src/"] {
            assert!(!contains(folder), "{folder}");
        }
    }

    /// What the verifier's log shows of the source.
    #[test]
    fn the_object_has_types_and_lines_of_the_source_and_no_dwarf() {
        for text in [".BTF\0", ".BTF.ext\0", "prroute-ebpf/src/bpf/egress.rs", "fn of_flow<"] {
            assert!(contains(text), "{text}");
        }
        assert!(!contains(".debug_"));
    }
}
