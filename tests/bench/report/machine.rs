//! Where the figures were taken, and how to take them again.

use maud::{Markup, html};

use super::number::Scale;
use crate::results::{Machine, Results};

pub(crate) fn section(results: &Results) -> Markup {
    let machine = &results.machine;
    let kind = if machine.virtualised { "a virtual machine" } else { "no hypervisor found" };
    let real_time = if machine.real_time {
        "yes: it ran before other processes of its CPU (SCHED_FIFO)"
    } else {
        "no: other processes of its CPU took turns with it"
    };
    let steal = Scale::of("%", 0.0).rounded(machine.steal_percent);
    html! {
        section id="machine" {
            h2 { "Machine and command" }
            pre { code { (results.command) } }
            dl {
                dt { "prroute" } dd { (version(machine)) }
                dt { "Kernel" } dd { (machine.kernel) }
                dt { "CPU" } dd { (machine.cpu) ", " (machine.cpus) " of them, " (kind) }
                dt { "Pinned to" } dd { "CPU " (machine.pinned_to) }
                dt { "Real time" } dd { (real_time) }
                dt { "Steal" } dd { (steal) " % of the run went to others of the hypervisor" }
                dt { "Finished" } dd { (results.finished) }
                dt { "Rounds" } dd {
                    @if results.quick { "few (--quick)" } @else { "all: a full run" }
                }
                dt { "Mitigations" } dd {
                    @if machine.mitigations.is_empty() {
                        "none reported by the kernel"
                    } @else {
                        ul.mitigations { @for line in &machine.mitigations { li { (line) } } }
                    }
                }
            }
        }
    }
}

/// Without the name that `prroute --version` puts before it.
pub(crate) fn version(machine: &Machine) -> &str {
    machine.version.strip_prefix("prroute ").unwrap_or(&machine.version)
}
