//! The two texts: OpenMetrics 1.0, and the older text of Prometheus (version 0.0.4), which is the only
//! one that node_exporter's textfile collector reads.

use std::fmt;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::figures::Figures;
use crate::instance::Instance;

/// The metrics of an instance; one that has a name of its own is told apart by a label.
pub(super) fn open_metrics(instance: &Instance, figures: Figures) -> Result<String, fmt::Error> {
    let name = instance.to_string();
    let labels = (name != "default").then(|| ("prroute_instance".into(), name.into()));
    let mut registry = Registry::with_prefix_and_labels("prroute", labels.into_iter());
    registry.register_collector(Box::new(figures));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// Likewise in the older text. Only comments differ: there a metric is described under the name that its
/// samples have, with the suffix; an info is a gauge; and nothing is said of units and of the end.
pub(super) fn prometheus(open_metrics: &str) -> String {
    let mut text = String::new();
    let mut help = None;
    for line in open_metrics.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(_), what) => help = what,
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                let (suffix, kind) = match kind {
                    "counter" => ("_total", kind),
                    "info" => ("_info", "gauge"),
                    _ => ("", kind),
                };
                let help = help.take().unwrap_or_default();
                text += &format!("# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}\n");
            }
            (Some("#"), ..) => {}
            _ => {
                text += line;
                text.push('\n');
            }
        }
    }
    text
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
