//! What the words and marks of the page mean.

use maud::{Markup, html};

pub(crate) fn section() -> Markup {
    html! {
        section id="reading" {
            h2 { "How to read this" }
            dl.words {
                dt { "Alternative" }
                dd {
                    "A host in a network namespace of its own. The hosts of one measurement differ "
                    "in one thing only: what makes replies leave by the right uplink."
                }
                dt { "source-rules-again" }
                dd {
                    "The baseline once more, where a measurement has it. What it adds is the error of "
                    "the method: a difference that is not clearly larger says little."
                }
                dt { "Round" }
                dd {
                    "One sample of every alternative, a few milliseconds each, one after the other "
                    "on the same CPU, in an order that changes from round to round."
                }
                dt { "Paired difference, added" }
                dd {
                    "What an alternative takes longer than the baseline in the same round. What slows "
                    "down a whole round (another clock frequency, a busy neighbour) slows down both, "
                    "and drops out. What stands here is the median of these differences, not the "
                    "difference of the medians."
                }
                dt { "Quartiles" }
                dd {
                    "A quarter of the rounds lies below the lower one, a quarter above the upper one. "
                    "They tell how much single rounds differ."
                }
                dt { "95 % confidence" }
                dd {
                    "Where the median itself lies. It is taken from the ranks of the sorted "
                    "differences, and assumes nothing about how they are distributed. For a target "
                    "that is a ratio, rounds are drawn again and again (bootstrap)."
                }
                dt { "Not resolved" }
                dd {
                    "The interval contains zero, or a target's limit: this run cannot tell on which "
                    "side of it the figure lies. It does not mean that the difference is zero. More "
                    "rounds, or a quieter machine, may tell."
                }
                dt { "What it does not show" }
                dd {
                    "Packets went between veth devices on one machine: no NIC, no interrupts, no DMA, "
                    "and no more CPUs than a measurement names. Compare figures within this page, not "
                    "with those of another machine."
                }
            }
        }
    }
}
