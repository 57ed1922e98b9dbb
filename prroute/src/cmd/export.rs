//! `prroute export`: what needs no prroute, as a way out.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail, ensure};

use crate::cli::{ExportArgs, ExportCommand, ExportNetworkdArgs, ExportRulesArgs};
use crate::cmd::{belongs, output};
use crate::config::{Config, Mode, OwnSource, Ranges};
use crate::export::{self, DropIn, Static};
use crate::netlink::Kernel;
use crate::reconcile::{Outlook, Reconciler};
use crate::runtime::{Records, RunDirectory};
use crate::state::observed::Family;

pub(super) fn run(command: &ExportCommand) -> Result<()> {
    match command {
        ExportCommand::Rules(args) => rules(args),
        ExportCommand::Networkd(args) => networkd(args),
    }
}

fn rules(args: &ExportRulesArgs) -> Result<()> {
    let (all, _) = all(&args.common)?;
    output::text(&match (args.ipv4, args.ipv6) {
        (true, false) => export::batch(&all, Family::V4),
        (false, true) => export::batch(&all, Family::V6),
        _ => export::script(&all),
    })?;
    Ok(())
}

fn networkd(args: &ExportNetworkdArgs) -> Result<()> {
    let device = args.device()?;
    let (all, outlook) = all(&args.common)?;
    let mut drop_ins = export::drop_ins(&all, &outlook.uplinks);
    if let Some(device) = device {
        drop_ins.retain(|drop_in| drop_in.device == device);
        let [drop_in] = &drop_ins[..] else { bail!("{device} is no uplink with rules or routes") };
        return Ok(output::text(&drop_in.text)?);
    }
    let mut text = String::new();
    for (number, drop_in) in drop_ins.iter().enumerate() {
        if number > 0 {
            text.push('\n');
        }
        text.push_str(&heading(drop_in));
        text.push_str(&drop_in.text);
    }
    Ok(output::text(&text)?)
}

/// Where a drop-in belongs: beside the file that configures the interface.
fn heading(drop_in: &DropIn) -> String {
    const FILE: &str = "prroute-export.conf";
    let state = format!("/run/systemd/netif/links/{}", drop_in.ifindex.0);
    let state = fs::read_to_string(state).unwrap_or_default();
    let file = state.lines().find_map(|line| line.strip_prefix("NETWORK_FILE="));
    match file.and_then(|file| Path::new(file).file_name()).and_then(|name| name.to_str()) {
        Some(name) => format!("# /etc/systemd/network/{name}.d/{FILE}\n"),
        None => format!(
            "# {}: NAME.network.d/{FILE}, where NAME.network is the file that configures it\n",
            drop_in.device
        ),
    }
}

/// What would stay, and the look it was found by. What cannot stay is told.
fn all(args: &ExportArgs) -> Result<(Static, Outlook)> {
    let instance = &args.instance.instance;
    let directory = RunDirectory::of(instance);
    // What the running daemon reads, unless another file is asked about.
    let report = match belongs::find_present(instance, "export")?.daemon {
        Some(_) => directory.read_report().usable(),
        None => None,
    };
    let remembered = report.and_then(|report| report.config_file);
    let mut config = Config::load(args.config.as_deref().or(remembered.as_deref()))?;
    // Programs are not there to do it.
    config.own_source = OwnSource::Rules;
    config.mode = Mode::Enforce;
    let ranges = config.ranges;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outlook = runtime.block_on(async {
        let kernel = Kernel::connect().await?;
        let records = Records::read(&directory, ranges);
        anyhow::Ok(Reconciler::for_one_look(config, instance, kernel, records).look().await?)
    })?;
    ensure!(
        outlook.uplinks.len() >= 2,
        "fewer than two uplinks: prroute makes no rules and routes that could be exported"
    );
    tell(&outlook, ranges);
    Ok((Static::of(&outlook.desired, &outlook.observed, ranges), outlook))
}

fn tell(outlook: &Outlook, ranges: Ranges) {
    for sentence in export::left_out(&outlook.desired, &outlook.uplinks, ranges) {
        output::remark(format_args!("not exported: {sentence}"));
    }
}
