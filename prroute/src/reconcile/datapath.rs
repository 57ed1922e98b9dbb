//! The datapath of a round: load it once, write its tables, attach it to what is an uplink.

mod attaching;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use prroute_common::LAYOUT_VERSION;

use crate::config::Attach;
use crate::datapath::attach::{Attached, Hook};
use crate::datapath::hooks::{ProgramIds, program};
use crate::datapath::links::HeldLink;
use crate::datapath::pins::Remains;
use crate::datapath::sizes::{self, Demand, UNUSED};
use crate::datapath::sockets::{self, Sockets};
use crate::datapath::{
    self, DatapathError, LoadOptions, Pins, Programs, Sizes, Tables, memory, wrong_uplinks,
};
use crate::netlink::Direction;
use crate::reconcile::datapath::attaching::{an_old_link_is_left, attach_to};
use crate::reconcile::error::first_failure;
use crate::reconcile::inspection::Inspection;
use crate::reconcile::long_step::LongStep;
use crate::reconcile::{Outlook, ReconcileError, Reconciler, decision_log, stacked, undo};
use crate::runtime::seconds_since_1970;
use crate::state::families::Families;
use crate::state::uplink::{Ifindex, Uplink, UplinkId};
use crate::sysctl;

/// No kernel takes longer to verify the programs, on an emulated processor either.
const LOADING: Duration = Duration::from_secs(600);

/// After larger tables could not be made.
const NEXT_TRY: Duration = Duration::from_secs(60);

/// The datapath of this instance.
pub(super) struct Datapath {
    pub(super) pins: Pins,
    /// What this process has loaded.
    pub(super) loaded: Option<Loaded>,
    pub(super) inspection: Inspection,
    /// Larger tables could not be made; when to try again.
    pub(super) larger_tables_due: Option<Instant>,
    log_packets: bool,
}

impl Datapath {
    pub(super) fn new(pins: Pins, log_packets: bool) -> Self {
        let inspection = Inspection::new(Instant::now());
        Self { pins, loaded: None, inspection, larger_tables_due: None, log_packets }
    }

    /// When another round is due: losses are put back, or what failed is tried again.
    pub(super) fn next_round(&self) -> Option<Instant> {
        self.inspection.allowance.due().into_iter().chain(self.larger_tables_due).min()
    }
}

/// Programs and tables that are in use.
pub(super) struct Loaded {
    pub(super) programs: Programs,
    pub(super) ids: ProgramIds,
    pub(super) tables: Tables,
    /// What this process has attached; what an earlier one attached runs an older program.
    pub(super) attached: BTreeMap<UplinkId, Attachment>,
    /// Likewise, of devices that stand on uplinks.
    pub(super) stacked: BTreeMap<Ifindex, Attached>,
    /// The links of the programs on sockets.
    pub(super) sockets: Vec<HeldLink>,
}

/// The programs on an uplink.
pub(super) struct Attachment {
    pub(super) ifindex: Ifindex,
    generation: u16,
    pub(super) attached: Attached,
}

impl Attachment {
    pub(super) fn is_for(&self, uplink: &Uplink) -> bool {
        (self.ifindex, self.generation) == (uplink.device.ifindex, uplink.generation)
    }
}

impl Reconciler {
    /// Loads the programs, in the place of those that this process has loaded before. On an error
    /// those stay.
    pub(super) fn load(&mut self, families: Families) -> Result<(), ReconcileError> {
        let _step = LongStep::begin("loading the programs", &self.records.report.summary, LOADING);
        let sockets = Sockets::find(self.config.gives_udp_sources());
        let machine = memory::machine();
        let observe = self.config.observes();
        let goes_on_observing = self.goes_on_observing();
        let options = LoadOptions {
            sizes: Sizes::plan(machine, self.demand(families)),
            log_packets: self.datapath.log_packets,
            observe,
            netns_cookie: sockets.netns_cookie(),
            // Nothing is redirected where packets are only observed.
            redirect_note: if observe { 0 } else { datapath::secret() },
            client_ports: sysctl::client_ports(),
        };
        self.take_over_pins()?;
        if !self.datapath.pins.exists() {
            self.expect_room(families)?;
        }
        let mut programs = Programs::load(&self.datapath.pins, options)?;
        sizes::tell(programs.sizes(), machine);
        let (udp_source, sockets) = sockets.attach(&mut programs, &self.datapath.pins)?;
        self.records.report.udp_source = Some(udp_source.into());
        if self.datapath.log_packets {
            decision_log::forward(programs.decision_log()?)?;
        }
        let tables = Tables::open(&self.datapath.pins)?;
        let ids = ProgramIds { observe, ..ids(&programs, &sockets)? };
        if observe && !goes_on_observing {
            wrong_uplinks::clear(&self.datapath.pins)?;
            self.records.report.observed_before = Some(wrong_uplinks::total(&self.datapath.pins)?);
        }
        let since = self.records.report.observing_since.filter(|_| goes_on_observing);
        let since = since.or_else(|| Some(seconds_since_1970())).filter(|_| observe);
        self.records.report.observing_since = since;
        self.records.report.programs = Some(ids.clone());
        self.records.report.layout = Some(LAYOUT_VERSION);
        self.datapath.larger_tables_due = None;
        self.datapath.loaded = Some(Loaded {
            programs,
            ids,
            tables,
            attached: BTreeMap::new(),
            stacked: BTreeMap::new(),
            sockets,
        });
        memory::give_back();
        Ok(())
    }

    /// Decides which of the pinned maps the programs go on with.
    fn take_over_pins(&mut self) -> Result<(), ReconcileError> {
        let pins = &self.datapath.pins;
        pins.refuse_foreign()?;
        // What this process has loaded came from there already.
        let other = if self.datapath.loaded.is_none() { pins.predecessor()? } else { None };
        if let Some(other) = other {
            let heritage = pins.take_over(&other)?;
            let (from, here) = (heritage.from.display(), pins.layout());
            if heritage.forgets_flows() {
                tracing::warn!(
                    event = "flows-lost",
                    "{from}: another version remembers flows in another form; starting with empty tables: \
                     flows that were opened before follow the routing tables until their clients send"
                );
            } else {
                tracing::info!(
                    event = "layout-changed",
                    "{from}: another version's datapath goes on in {}, with its flows",
                    here.display()
                );
            }
            return Ok(());
        }
        let attached = !self.records.journal.attached.is_empty();
        if let Some(Remains { maps, of, in_use: true }) = pins.start_anew(attached)? {
            tracing::warn!(
                event = "flows-lost",
                "{}: {maps} of {of} pinned maps are left, the others were removed; starting with \
                 empty tables: flows that were opened before follow the routing tables",
                pins.layout().display()
            );
        }
        Ok(())
    }

    /// Whether what the tables have counted is to be counted on.
    fn goes_on_observing(&self) -> bool {
        let observed = self.records.report.programs.as_ref().is_some_and(|ids| ids.observe);
        self.config.observes() && observed && self.datapath.pins.exists()
    }

    fn demand(&self, families: Families) -> Demand {
        let udp_source = self.config.gives_udp_sources();
        Demand { flows: self.config.flows, families, udp_source }
    }

    /// Loads the programs anew where a family of addresses came into use: its tables were made for
    /// nothing, and a map cannot grow. When that fails they go on with those tables for a while.
    /// Whether there are other programs now, which have to be attached.
    pub(super) fn follow_families(&mut self, families: Families) -> bool {
        let Some(datapath) = &self.datapath.loaded else { return false };
        if !datapath.programs.sizes().are_outgrown(families, self.config.gives_udp_sources()) {
            self.datapath.larger_tables_due = None;
            return false;
        }
        if self.datapath.larger_tables_due.is_some_and(|due| due > Instant::now()) {
            return false;
        }
        // Maps whose pins are gone would be left behind.
        let result = self.put_pins().and_then(|()| self.load(families));
        if let Err(error) = &result {
            let pause = NEXT_TRY.as_secs();
            tracing::warn!(
                event = "tables-not-made",
                "make larger tables: {error}; those of {UNUSED} entries stay in use, \
                            trying again in {pause} s"
            );
            self.datapath.larger_tables_due = Some(Instant::now() + NEXT_TRY);
        }
        result.is_ok()
    }

    /// Tells the datapath what each uplink is.
    pub(super) fn sync_facts(&mut self, outlook: &Outlook) -> Result<(), ReconcileError> {
        let Some(datapath) = &mut self.datapath.loaded else { return Ok(()) };
        let is_resolved = |ifindex, address| {
            self.gateways.health().is_resolved(&outlook.observed, (ifindex, address))
        };
        Ok(datapath.tables.sync_facts(
            &outlook.uplinks,
            &outlook.locals,
            &outlook.prefixes,
            is_resolved,
        )?)
    }

    /// Tells the datapath that rules keep own sources, where they are to.
    pub(super) fn release_own_source(&mut self, outlook: &Outlook) -> Result<(), ReconcileError> {
        let Some(datapath) = &mut self.datapath.loaded else { return Ok(()) };
        Ok(datapath.tables.release_own_source(&outlook.uplinks)?)
    }

    /// Writes the other tables, attaches to new uplinks, detaches from what is none any more.
    /// What fails for one uplink keeps nothing from the others.
    pub(super) async fn sync_datapath(&mut self, outlook: &Outlook) -> Result<(), ReconcileError> {
        let restored = self.put_back().await;
        let hook = match self.config.attach {
            Attach::Auto => None,
            Attach::Tcx => Some(Hook::Tcx),
            Attach::Clsact => Some(Hook::Clsact),
        };
        self.write_down_qdiscs(outlook, hook).await?;
        let Some(datapath) = &mut self.datapath.loaded else { return Ok(()) };
        let mut result =
            datapath.tables.sync_rest(&outlook.uplinks, &outlook.locals, &outlook.prefixes);
        for uplink in &outlook.uplinks {
            if datapath.attached.get(&uplink.id).is_none_or(|there| !there.is_for(uplink)) {
                let (kernel, pins, journal) =
                    (&self.kernel, &self.datapath.pins, &mut self.records.journal);
                let attached = attach_to(datapath, kernel, pins, journal, uplink, hook).await;
                result = both(result, attached);
            }
        }
        let (kernel, pins, journal) =
            (&self.kernel, &self.datapath.pins, &mut self.records.journal);
        let stacked = stacked::attach(datapath, kernel, pins, journal, outlook, hook).await;
        result = both(result, stacked);
        datapath.attached.retain(|id, _| outlook.uplinks.iter().any(|uplink| uplink.id == *id));
        // Whoever asks meanwhile does not miss programs on what is no uplink any more.
        self.records.note_round(outlook, &self.config);
        self.records.store.save_report(&self.records.report);
        let journal = &mut self.records.journal;
        undo::detach_except(kernel, pins, journal, &outlook.uplinks).await?;
        // Programs of another layout steer what could not be attached, until it can. A device that takes
        // none because of others has none of another layout either, but for an old link.
        let is_everywhere = match &result {
            Ok(()) => true,
            Err(error) => error.is_of_one_device() && !an_old_link_is_left(datapath, pins, outlook),
        };
        let in_force = match restored.is_ok() && is_everywhere {
            true => pins.come_into_force(),
            false => Ok(()),
        };
        first_failure([result.map_err(Into::into), restored, in_force.map_err(Into::into)])
    }
}

/// The first failure, but for one that keeps nothing from the other uplinks.
pub(super) fn both(
    first: Result<(), DatapathError>,
    second: Result<(), DatapathError>,
) -> Result<(), DatapathError> {
    match (first, second) {
        (Err(first), Err(second)) if first.is_of_one_device() => Err(second),
        (first, second) => first.and(second),
    }
}

fn ids(programs: &Programs, sockets: &[HeldLink]) -> Result<ProgramIds, DatapathError> {
    let id = |direction| programs.id(program(direction));
    Ok(ProgramIds {
        ingress: id(Direction::Ingress)?,
        egress: id(Direction::Egress)?,
        observe: false,
        sockets: if sockets.is_empty() { Vec::new() } else { sockets::ids(programs)? },
    })
}
