//! What the metrics say, and their names: docs/metrics.md explains each.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Unit;
use prroute_common::LAYOUT_VERSION;

use crate::cmd::log::printable;
use crate::netlink::Direction;

/// One look at an instance. By default one of which nothing is there.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) daemon: bool,
    /// Packets are only observed; `None`: there is nothing of prroute.
    pub(super) observing: Option<bool>,
    pub(super) wrong_uplinks: Vec<Way>,
    /// By what the programs are attached: `none`, one hook, `mixed`, or `unknown`.
    pub(super) hook: Cow<'static, str>,
    pub(super) uplinks: Vec<Uplink>,
    pub(super) socket_calls: Vec<(&'static str, u64)>,
    pub(super) tables: Vec<Table>,
    /// Of confirmed and unconfirmed flows, at most.
    pub(super) evictions: Option<[u64; 2]>,
    pub(super) findings: Vec<Findings>,
    /// `None` where the daemon's report cannot be read, as below.
    pub(super) heals: Option<u64>,
    pub(super) reload_success: Option<bool>,
    /// Seconds since 1970.
    pub(super) configuration_read: Option<u64>,
    /// `gateway-probe`, in seconds; `None`: no gateway is asked yet.
    pub(super) probe_interval: Option<u32>,
}

#[derive(Debug)]
pub(super) struct Uplink {
    pub(super) name: String,
    pub(super) up: bool,
    /// The directions in which a program should be attached, and whether it is.
    pub(super) attached: Vec<(Direction, bool)>,
    pub(super) gateways: Vec<Gateway>,
    pub(super) packets: Vec<(&'static str, u64)>,
}

/// Replies that left by the wrong uplink.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// Where their requests came in.
    pub(super) uplink: String,
    pub(super) left_by: String,
    pub(super) packets: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gateway {
    pub(super) address: IpAddr,
    pub(super) usable: bool,
    /// Time since it showed that it is there; `None`: the kernel does not know.
    pub(super) answer_age: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Table {
    pub(super) family: &'static str,
    pub(super) name: &'static str,
    pub(super) capacity: u32,
    pub(super) entries: usize,
    pub(super) live: usize,
}

/// So many findings of a kind.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Findings {
    pub(super) severity: &'static str,
    pub(super) kind: String,
    pub(super) count: usize,
}

impl Figures {
    /// Of an instance without a daemon, where programs may be attached that this process may not see.
    pub(super) fn unseen() -> Self {
        Self { hook: Cow::Borrowed("unknown"), ..Self::default() }
    }
}

type Labels = Vec<(&'static str, String)>;

impl Collector for Figures {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer(encoder);
        writer.gauge("up", "Whether a daemon runs", [(vec![], u64::from(self.daemon))])?;
        writer.build(&self.hook)?;
        writer.gauge(
            "observing",
            "Whether packets are only observed, and nothing is moved",
            self.observing.map(|observing| (vec![], u64::from(observing))),
        )?;
        self.encode_uplinks(&mut writer)?;
        self.encode_flows(&mut writer)?;
        let findings = self.findings.iter().map(|found| {
            let labels =
                vec![("severity", found.severity.to_owned()), ("kind", found.kind.clone())];
            (labels, found.count as u64)
        });
        writer.gauge(
            "findings",
            "What is wrong or unusual, as prroute status names it",
            findings,
        )?;
        writer.counter(
            "heals",
            "How often the daemon put back what others had removed, since it started",
            self.heals.map(|times| (vec![], times)),
        )?;
        writer.gauge(
            "config_last_reload_success",
            "Whether the last reload was accepted; 1 before the first",
            self.reload_success.map(|success| (vec![], u64::from(success))),
        )?;
        let read = self.configuration_read.map(|seconds| (vec![], seconds as f64));
        let help = "When the daemon read the configuration in force, since 1970";
        writer.gauge_in("config_read_timestamp", help, Some(&Unit::Seconds), read)
    }
}

impl Figures {
    fn encode_uplinks(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let up = self.uplinks.iter().map(|it| (of(it), u64::from(it.up)));
        writer.gauge("uplink_up", "Whether the uplink is set up and has a carrier", up)?;
        let attached = self.uplinks.iter().flat_map(|uplink| {
            uplink.attached.iter().map(|(direction, attached)| {
                let labels = with(uplink, "direction", direction.name());
                (labels, u64::from(*attached))
            })
        });
        writer.gauge(
            "uplink_attached",
            "Whether the program is attached to the uplink",
            attached,
        )?;
        let gateways = |of: fn(&Gateway) -> Option<f64>| {
            self.uplinks.iter().flat_map(move |uplink| {
                uplink.gateways.iter().filter_map(move |gateway| {
                    Some((with(uplink, "gateway", &gateway.address.to_string()), of(gateway)?))
                })
            })
        };
        let usable = gateways(|it| Some(f64::from(u8::from(it.usable))));
        writer.gauge(
            "gateway_usable",
            "Whether packets can be sent to the gateway: its link-layer address is known, and its \
             uplink is up",
            usable.map(|(labels, usable)| (labels, usable as u64)),
        )?;
        writer.gauge_in(
            "gateway_answer_age",
            "Time since the gateway last answered",
            Some(&Unit::Seconds),
            gateways(|it| it.answer_age.map(|age| age.as_secs_f64())),
        )?;
        let packets = self.uplinks.iter().flat_map(|uplink| {
            uplink.packets.iter().map(|(reason, count)| (with(uplink, "reason", reason), *count))
        });
        let help =
            "How often each gateway is asked (gateway-probe); 0: only when the kernel doubts it";
        let interval = self.probe_interval.map(|seconds| (vec![], f64::from(seconds)));
        writer.gauge_in("gateway_probe_interval", help, Some(&Unit::Seconds), interval)?;
        writer.counter("packets", "Packets by what was done with them, and why", packets)?;
        let wrong = self.wrong_uplinks.iter().map(|way| {
            let name = |name: &str| printable(name).into_owned();
            (vec![("uplink", name(&way.uplink)), ("left_by", name(&way.left_by))], way.packets)
        });
        writer.counter(
            "observed_wrong_uplink_packets",
            "Replies that left by another uplink than their request came in on, while prroute observes",
            wrong,
        )
    }

    fn encode_flows(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let calls = self.socket_calls.iter();
        writer.counter(
            "udp_source_calls",
            "Sends and connects of UDP servers that are bound to no address, by what was done",
            calls.map(|(reason, count)| (vec![("reason", (*reason).to_owned())], *count)),
        )?;
        let tables = |of: fn(&Table) -> u64| {
            self.tables.iter().map(move |table| {
                let (family, name) = (table.family.to_owned(), table.name.to_owned());
                (vec![("family", family), ("table", name)], of(table))
            })
        };
        let live = tables(|it| it.live as u64);
        writer.gauge("flows", "Recorded flows that are not too old to count", live)?;
        let entries = tables(|it| it.entries as u64);
        let help = "Entries of the table; the oldest stay until others need their room";
        writer.gauge("flow_table_entries", help, entries)?;
        let capacity = tables(|it| it.capacity.into());
        writer.gauge("flow_table_capacity", "Entries that the table has room for", capacity)?;
        let evictions = self.evictions.iter().flatten().zip(["confirmed", "unconfirmed"]);
        writer.gauge(
            "flow_evictions_at_most",
            "Upper limit of how many entries made room for others, which the kernel does not count; not of those that datagrams of the host's own displace",
            evictions.map(|(count, state)| (vec![("state", state.to_owned())], *count)),
        )
    }
}

fn of(uplink: &Uplink) -> Labels {
    // The encoder doubles the backslashes of what is escaped here, and escapes quotes.
    vec![("uplink", printable(&uplink.name).into_owned())]
}

fn with(uplink: &Uplink, label: &'static str, value: &str) -> Labels {
    let mut labels = of(uplink);
    labels.push((label, value.to_owned()));
    labels
}

/// Writes families of metrics; those without a sample are left out.
struct Writer<'a>(DescriptorEncoder<'a>);

impl Writer<'_> {
    fn build(&mut self, hook: &str) -> fmt::Result {
        let labels = vec![
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("layout", LAYOUT_VERSION.to_string()),
            ("hook", if hook.is_empty() { "none" } else { hook }.to_owned()),
        ];
        let help = "This program, the layout of its tables, and how its programs are attached";
        let encoder = self.0.encode_descriptor("build", help, None, MetricType::Info)?;
        Info::new(labels).encode(encoder)
    }

    fn gauge(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, u64)>,
    ) -> fmt::Result {
        let samples = samples.into_iter().map(|(labels, value)| (labels, ConstGauge::new(value)));
        self.family(name, help, None, MetricType::Gauge, samples)
    }

    fn gauge_in(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        samples: impl IntoIterator<Item = (Labels, f64)>,
    ) -> fmt::Result {
        let samples = samples.into_iter().map(|(labels, value)| (labels, ConstGauge::new(value)));
        self.family(name, help, unit, MetricType::Gauge, samples)
    }

    fn counter(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels, u64)>,
    ) -> fmt::Result {
        let samples = samples.into_iter().map(|(labels, value)| (labels, ConstCounter::new(value)));
        self.family(name, help, None, MetricType::Counter, samples)
    }

    fn family<M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        kind: MetricType,
        samples: impl Iterator<Item = (Labels, M)>,
    ) -> fmt::Result {
        let mut samples = samples.peekable();
        if samples.peek().is_none() {
            return Ok(());
        }
        let mut encoder = self.0.encode_descriptor(name, help, unit, kind)?;
        for (labels, metric) in samples {
            if labels.is_empty() {
                // It is the only one.
                return metric.encode(encoder);
            }
            metric.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
