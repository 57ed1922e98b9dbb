//! The kernel's own figures of every program and map, loaded as the unit loads them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Context as _, Result};
use aya::maps::MapInfo;
use aya::programs::ProgramInfo;
use prroute::datapath::sizes::Demand;
use prroute::datapath::{LoadOptions, Pins, Programs, Sizes, memory};
use prroute_common::names;
use prroute_tests::{capability, command, prroute as instance};
use serde::{Deserialize, Serialize};

/// Of `struct bpf_prog_info`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProgramSize {
    /// That the verifier walked, over all branches; 0 where the kernel does not tell (before 5.16).
    pub(crate) verified_instructions: u32,
    pub(crate) translated_bytes: u32,
    /// 0 where the JIT is off.
    pub(crate) jited_bytes: u32,
}

/// Of `struct bpf_map_info`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MapSize {
    pub(crate) key_bytes: u32,
    pub(crate) value_bytes: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) programs: BTreeMap<String, ProgramSize>,
    pub(crate) maps: BTreeMap<String, MapSize>,
    /// Of each program: the heads of its functions, as bpftool shows what the verifier left of it.
    pub(crate) functions: BTreeMap<String, Vec<String>>,
}

/// Pins that go with the measurement.
struct Pinned(Pins);

impl Drop for Pinned {
    fn drop(&mut self) {
        if let Err(error) = self.0.remove() {
            eprintln!("{error}");
        }
    }
}

pub(crate) fn measure(what: &str) -> Result<Figures> {
    instance::ensure_bpffs()?;
    let instance = format!("{what}-{}", std::process::id());
    let pins = Pinned(Pins::of(&instance.parse().map_err(anyhow::Error::msg)?));
    let loading = || -> Result<_> {
        capability::keep_the_units()?;
        load(&pins.0)
    };
    // Capabilities belong to threads. Maps are found by number, which the unit cannot.
    let (programs, infos) = std::thread::scope(|scope| scope.spawn(loading).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    let mut figures = Figures::default();
    let mut maps = BTreeSet::new();
    for (name, info) in infos {
        let size = ProgramSize {
            verified_instructions: info.verified_instruction_count().unwrap_or_default(),
            translated_bytes: info.size_translated().context("CAP_BPF")?,
            jited_bytes: info.size_jitted(),
        };
        figures.functions.insert(name.clone(), functions(&info)?);
        figures.programs.insert(name, size);
        maps.extend(info.map_ids()?.context("Linux 4.15")?);
    }
    for id in maps {
        let info = MapInfo::from_id(id).with_context(|| format!("find map {id}"))?;
        let name = info.name_as_str().context("a map's name is not UTF-8")?.to_owned();
        // Constants, as the compiler happened to place them.
        if name.starts_with('.') {
            continue;
        }
        let size = MapSize { key_bytes: info.key_size(), value_bytes: info.value_size() };
        figures.maps.insert(name, size);
    }
    drop(programs);
    Ok(figures)
}

fn functions(program: &ProgramInfo) -> Result<Vec<String>> {
    let id = program.id().to_string();
    let dump = command::run(&["bpftool", "prog", "dump", "xlated", "id", &id])?;
    Ok(dump.lines().filter(|line| line.ends_with("):")).map(str::to_owned).collect())
}

/// What has to be kept, and each program's figures by its name.
type Loaded = (Vec<Programs>, Vec<(String, ProgramInfo)>);

/// Every program as a daemon has it that helps wildcard UDP servers, and the classifiers once more
/// with the decision log, which is much to verify, and as those that only observe.
fn load(pins: &Pins) -> Result<Loaded> {
    const CLASSIFIERS: [&str; 2] = [names::PROGRAM_INGRESS, names::PROGRAM_EGRESS];
    let options = LoadOptions {
        sizes: Sizes::plan(memory::machine(), Demand::of_flows(4096)),
        log_packets: false,
        observe: false,
        netns_cookie: 1,
        redirect_note: 1,
        client_ports: (1, 2),
    };
    let mut infos = Vec::new();
    let mut logging = Programs::load(pins, LoadOptions { log_packets: true, ..options })?;
    for name in CLASSIFIERS {
        infos.push((format!("{name} --log-packets"), logging.get(name)?.info()?));
    }
    let mut observing = Programs::load(pins, LoadOptions { observe: true, ..options })?;
    for name in CLASSIFIERS {
        infos.push((format!("{name} --observe"), observing.get(name)?.info()?));
    }
    let mut programs = Programs::load(pins, options)?;
    for name in CLASSIFIERS {
        infos.push((name.to_owned(), programs.get(name)?.info()?));
    }
    for name in names::SOCKET_PROGRAMS {
        let program = programs.socket_program(name)?;
        program.load().with_context(|| format!("load {name}"))?;
        infos.push((name.to_owned(), program.info()?));
    }
    Ok((vec![logging, observing, programs], infos))
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, size) in &self.programs {
            writeln!(
                f,
                "{name}: {} instructions verified, {} bytes translated, {} bytes jited",
                size.verified_instructions, size.translated_bytes, size.jited_bytes
            )?;
        }
        for (name, size) in &self.maps {
            writeln!(f, "{name}: keys of {}, values of {}", size.key_bytes, size.value_bytes)?;
        }
        Ok(())
    }
}
