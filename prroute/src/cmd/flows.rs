//! `prroute flows`.

use anyhow::Result;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use crate::cli::ReportArgs;
use crate::cmd::{NotRunning, belongs, output};
use crate::config::Ranges;
use crate::datapath::flows::{self, FlowRecord};
use crate::datapath::{Pins, Tables};
use crate::json::FlowsJson;
use crate::runtime::{Records, RunDirectory};
use crate::state::ids::KnownId;

pub(super) fn run(args: &ReportArgs) -> Result<()> {
    let instance = &args.instance.instance;
    crate::capability::require()?;
    let pins = Pins::of(instance);
    let found = belongs::find_present(instance, "flows")?;
    let datapath = pins.exists();
    if !datapath && found.daemon.is_none() {
        return Err(NotRunning(instance.clone()).into());
    }
    // Before there is a second uplink nothing is recorded.
    let mut records = if datapath { flows::read(&pins)? } else { Vec::new() };
    records.sort_by(|a, b| a.idle_seconds.total_cmp(&b.idle_seconds));
    if args.json {
        let report = FlowsJson::from(records.as_slice());
        return Ok(output::line(serde_json::to_string(&report)?)?);
    }
    let names =
        if datapath { Names::read(&pins, &RunDirectory::of(instance))? } else { Names::default() };
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["PROTO", "LOCAL", "REMOTE", "OPENED", "UPLINK", "IDLE s"]);
    if let Some(idle) = table.column_mut(5) {
        idle.set_cell_alignment(CellAlignment::Right);
    }
    for record in &records {
        table.add_row([
            protocol(record.protocol),
            endpoint(record.local, record.local_port),
            endpoint(record.remote, record.remote_port),
            if record.opened_inbound { "inbound" } else { "by host" }.to_owned(),
            names.of(record),
            format!("{:.1}", record.idle_seconds),
        ]);
    }
    Ok(output::line(table.trim_fmt())?)
}

/// Interface names by uplink id, as the daemon last knew them.
#[derive(Default)]
struct Names {
    known: Vec<KnownId>,
    by_id: Vec<(u16, String)>,
}

impl Names {
    fn read(pins: &Pins, directory: &RunDirectory) -> Result<Self> {
        let report = Records::read(directory, Ranges::default()).report;
        let by_id = report.uplinks.into_iter().map(|uplink| (uplink.id, uplink.name)).collect();
        Ok(Self { known: Tables::open(pins)?.known_ids()?, by_id })
    }

    fn of(&self, record: &FlowRecord) -> String {
        let live = self
            .known
            .iter()
            .any(|known| known.id == record.uplink && known.generation == record.generation);
        match self.by_id.iter().find(|(id, _)| *id == record.uplink.0) {
            Some((_, name)) if live => name.clone(),
            _ => format!("#{} (gone)", record.uplink),
        }
    }
}

fn protocol(number: u8) -> String {
    match number {
        1 => "icmp".to_owned(),
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        58 => "icmpv6".to_owned(),
        132 => "sctp".to_owned(),
        number => number.to_string(),
    }
}

fn endpoint(address: std::net::IpAddr, port: u16) -> String {
    match (address, port) {
        (address, 0) => address.to_string(),
        (std::net::IpAddr::V6(address), port) => format!("[{address}]:{port}"),
        (address, port) => format!("{address}:{port}"),
    }
}
