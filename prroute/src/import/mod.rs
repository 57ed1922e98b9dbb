//! What others have set up so that replies leave by the right interface, and what takes its place.
//!
//! Every notation is read to one [`Setup`]; [`translate`] makes an [`Import`] of it, of which the
//! configuration and the script that removes the old things are written.

mod behind;
mod fate;
mod host;
mod ifcfg;
mod iptables;
mod marks;
mod model;
mod netplan;
mod networkd;
mod render;
mod script;
mod shell;
mod tables;
mod translate;
mod unread;
mod words;
mod yaml;

use std::collections::BTreeMap;
use std::path::Path;

use clap::ValueEnum;

use crate::family::Family;

pub(crate) use self::host::{
    miss as miss_routes, read as of_host, tables as tables_of_host, uses_marks,
};
pub(crate) use self::iptables::of_program as of_iptables;
pub(crate) use self::model::{Setup, table_names};
pub(crate) use self::translate::{Import, translate};

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Notation {
    /// What iptables-save or ip6tables-save prints.
    IptablesSave,
    /// rule-DEVICE, route-DEVICE and ifcfg-DEVICE.
    Ifcfg,
    /// YAML with `routes` and `routing-policy`.
    Netplan,
    /// .network files and their drop-ins.
    Networkd,
    /// Lines of `ip rule`, `ip route`, iptables; also what `ip` lists.
    Script,
}

/// The notation that a file's name says; of a folder no other files are read.
pub(crate) fn notation_of_name(path: &Path) -> Option<Notation> {
    let name = path.file_name()?.to_str()?;
    let extension = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
    let folder = path.parent().and_then(Path::file_name).and_then(|it| it.to_str());
    let is_drop_in =
        extension == "conf" && folder.is_some_and(|folder| folder.ends_with(".network.d"));
    if ifcfg::part(name).is_some() {
        Some(Notation::Ifcfg)
    } else if matches!(extension, "yaml" | "yml") {
        Some(Notation::Netplan)
    } else if matches!(extension, "network" | "nmconnection") || is_drop_in {
        // NetworkManager's connections have sections as well, by which they are told and named as not read.
        Some(Notation::Networkd)
    } else {
        None
    }
}

/// The notation of a file whose name does not say it.
pub(crate) fn notation_of_text(text: &str) -> Notation {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    match first {
        Some(line) if line.starts_with('*') => Notation::IptablesSave,
        Some("network:" | "---") => Notation::Netplan,
        Some(line) if line.starts_with('[') && line.ends_with(']') => Notation::Networkd,
        _ => Notation::Script,
    }
}

/// Reads files: their notations, names and texts. What cannot be read of them is in
/// [`Setup::unread`]; any bytes that are text are taken.
pub(crate) fn read(files: &[(Notation, String, String)]) -> Setup {
    let mut setup = Setup::default();
    let mut together: BTreeMap<Notation, Vec<(String, String)>> = BTreeMap::new();
    for (notation, name, text) in files {
        match notation {
            Notation::IptablesSave => setup.append(iptables::read(name, text)),
            Notation::Script => setup.append(script::read(name, text)),
            Notation::Ifcfg => {
                let file = name.rsplit('/').next().unwrap_or_default();
                // Under another name it is taken for what `ip rule` takes.
                let (part, device) =
                    ifcfg::part(file).unwrap_or((ifcfg::Part::Rules(Family::V4), ""));
                setup.append(ifcfg::read(name, part, device, text));
            }
            Notation::Netplan | Notation::Networkd => {
                together.entry(*notation).or_default().push((name.clone(), text.clone()));
            }
        }
    }
    for (notation, files) in &together {
        setup.append(match notation {
            Notation::Netplan => netplan::read(files),
            _ => networkd::read(files),
        });
    }
    setup
}

#[cfg(test)]
mod tests;
