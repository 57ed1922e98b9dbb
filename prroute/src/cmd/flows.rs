//! `prroute flows`.

use anyhow::Result;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use crate::cli::ReportArgs;
use crate::cmd::{NotRunning, belongs, log, output, socket};
use crate::config::Ranges;
use crate::datapath::flows::{self, FlowRecord};
use crate::datapath::{Pins, Tables};
use crate::instance::Instance;
use crate::json::{FlowsJson, protocol_name};
use crate::runtime::{Records, RunDirectory};
use crate::state::ids::KnownId;

pub(super) async fn run(args: &ReportArgs) -> Result<()> {
    let instance = &args.instance.instance;
    if socket::is_needed()? {
        let answer = socket::ask(instance, "/v1/flows", !args.json).await?;
        return Ok(output::raw(&log::printable(&answer.body))?);
    }
    let found = belongs::find_present(instance, "flows")?;
    if !Pins::of(instance).exists() && found.daemon.is_none() {
        return Err(NotRunning::of(instance).into());
    }
    let flows = Flows::read(instance)?;
    match args.json {
        true => output::line(flows.json()?)?,
        false => output::text(&flows.text())?,
    }
    Ok(())
}

/// Recorded flows, the one that was seen last first.
pub(super) struct Flows {
    records: Vec<FlowRecord>,
    names: Names,
    left_out: usize,
}

impl Flows {
    pub(super) fn read(instance: &Instance) -> Result<Self> {
        let pins = Pins::of(instance);
        // Before there is a second uplink nothing is recorded.
        if !pins.exists() {
            return Ok(Self { records: Vec::new(), names: Names::default(), left_out: 0 });
        }
        let mut records = flows::read(&pins)?;
        records.sort_by(|a, b| a.idle_seconds.total_cmp(&b.idle_seconds));
        let names = Names::read(&pins, &RunDirectory::of(instance))?;
        Ok(Self { records, names, left_out: 0 })
    }

    /// Keeps so many, and the number of the others.
    pub(super) fn limit(&mut self, limit: usize) {
        self.left_out += self.records.len().saturating_sub(limit);
        self.records.truncate(limit);
        self.records.shrink_to_fit();
    }

    pub(super) fn json(&self) -> Result<String> {
        Ok(serde_json::to_string(&FlowsJson::of(
            &self.records,
            |record| self.names.of(record),
            self.left_out,
        ))?)
    }

    pub(super) fn text(&self) -> String {
        let mut table = Table::new();
        table.load_style(NOTHING);
        table.set_header(["PROTO", "LOCAL", "REMOTE", "OPENED", "UPLINK", "IDLE s"]);
        if let Some(idle) = table.column_mut(5) {
            idle.set_cell_alignment(CellAlignment::Right);
        }
        for record in &self.records {
            table.add_row([
                protocol_name(record.protocol).into_owned(),
                endpoint(record.local, record.local_port),
                endpoint(record.remote, record.remote_port),
                if record.opened_inbound { "inbound" } else { "by host" }.to_owned(),
                match self.names.of(record) {
                    Some(name) => name.to_owned(),
                    None => format!("#{} (gone)", record.uplink),
                },
                format!("{:.1}", record.idle_seconds),
            ]);
        }
        let mut text = format!("{}\n", table.trim_fmt());
        if self.left_out > 0 {
            text += &format!("and {} more that are idle for longer\n", self.left_out);
        }
        text
    }
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

    /// That of the device to which a flow is bound; `None`: it is gone.
    fn of(&self, record: &FlowRecord) -> Option<&str> {
        let is_bound =
            |known: &KnownId| (known.id, known.generation) == (record.uplink, record.generation);
        let is_live = self.known.iter().any(is_bound);
        let known = self.by_id.iter().find(|(id, _)| *id == record.uplink.0);
        known.filter(|_| is_live).map(|(_, name)| name.as_str())
    }
}

fn endpoint(address: std::net::IpAddr, port: u16) -> String {
    match (address, port) {
        (address, 0) => address.to_string(),
        (std::net::IpAddr::V6(address), port) => format!("[{address}]:{port}"),
        (address, port) => format!("{address}:{port}"),
    }
}
