//! From what the kernel shows to what it should show, again and again:
//!
//! ```text
//! observe -> uplinks, ids -> desired -> plan -> apply rules and tables
//!                        \-> addresses, facts -> datapath tables -> attach
//! ```

mod allowance;
pub(crate) mod attachments;
mod daemon;
mod datapath;
mod decision_log;
mod error;
mod events;
mod held_back;
mod inspection;
mod lines;
mod long_step;
mod moves;
mod outages;
mod outlook;
mod own_source;
mod pace;
mod qdiscs;
mod records;
mod reload;
mod repairs;
mod restless;
mod round;
mod routing;
mod schedule;
mod stacked;
mod sysctl_watch;
mod table_watch;
mod telling;
mod trouble;
mod undo;
mod unknown;
mod wakeup;
mod window;

pub use attachments::{Attachments, ToAttach};
pub use daemon::{Daemon, Stop};
pub use error::ReconcileError;
pub use outlook::Outlook;
pub use undo::{Undone, undo};

use std::time::Instant;

use crate::config::Config;
use crate::datapath::Pins;
use crate::instance::Instance;
use crate::netlink::Kernel;
use crate::reconcile::datapath::Datapath;
use crate::reconcile::records::Written;
use crate::reconcile::repairs::Repairs;
use crate::reconcile::round::{OnRefusal, Outcome};
use crate::reconcile::schedule::Schedule;
use crate::reconcile::sysctl_watch::SysctlWatch;
use crate::reconcile::table_watch::TableWatch;
use crate::reconcile::telling::Log;
use crate::runtime::{Journal, Records, RunDirectory, Store};
use crate::state::gateways::Gateways;
use crate::state::uplink::WayOut;

/// With fewer uplinks there is nothing to decide.
const ENOUGH_UPLINKS: usize = 2;

/// Brings one instance's rules, tables and datapath in line with the network.
#[expect(missing_debug_implementations, reason = "aya's maps have none")]
pub struct Reconciler {
    config: Config,
    kernel: Kernel,
    datapath: Datapath,
    records: Written,
    gateways: Gateways,
    repairs: Repairs,
    log: Log,
    sysctls: SysctlWatch,
    tables: TableWatch,
    schedule: Schedule,
}

impl Reconciler {
    /// Goes on where `records` end.
    pub fn new(
        config: Config,
        instance: &Instance,
        kernel: Kernel,
        records: Records,
        log_packets: bool,
    ) -> Self {
        Self {
            config,
            kernel,
            datapath: Datapath::new(Pins::of(instance), log_packets),
            records: Written::new(records, Store::of(&RunDirectory::of(instance))),
            gateways: Gateways::new(Instant::now()),
            repairs: Repairs::new(Instant::now()),
            log: Log::default(),
            sysctls: SysctlWatch::new(Instant::now()),
            tables: TableWatch::new(Instant::now()),
            schedule: Schedule::new(Instant::now()),
        }
    }

    /// For commands, which look once and change nothing.
    pub fn for_one_look(
        config: Config,
        instance: &Instance,
        kernel: Kernel,
        records: Records,
    ) -> Self {
        let gateways = Gateways::at_a_glance(Instant::now());
        Self { gateways, ..Self::new(config, instance, kernel, records, false) }
    }

    /// What must be undone.
    pub fn journal(&self) -> &Journal {
        &self.records.journal
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether a managed uplink has a gateway without a link-layer address.
    fn awaits_gateways(&self) -> bool {
        self.datapath.loaded.is_some()
            && self.log.uplinks.iter().flatten().map(|uplink| &uplink.device).any(|device| {
                device.subnet_gateways.iter().any(|subnet| subnet.usable && !subnet.resolved)
                    || device.way_out.iter().any(WayOut::awaits_resolution)
            })
    }
}
