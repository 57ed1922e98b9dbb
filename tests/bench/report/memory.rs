//! Memory that one flow takes.

use maud::{Markup, html};

use super::axis::Axis;
use super::contestant::Kind;
use super::number::Scale;
use crate::results::Memory;

const ROW: usize = 42;
const AXIS: usize = 24;

pub(crate) fn section(memory: &[Memory]) -> Markup {
    html! {
        section id="memory" {
            h2 { "Memory per flow" }
            @if memory.is_empty() {
                p { "Not part of this run." }
            } @else {
                p.about { "By the kernel's own accounting." }
                (chart(memory))
                (table(memory))
            }
        }
    }
}

fn scale() -> Scale {
    Scale::of("bytes", 0.0)
}

fn chart(memory: &[Memory]) -> Markup {
    let axis = Axis::over(memory.iter().map(|of| of.bytes_per_flow));
    let bottom = ROW * memory.len();
    html! {
        svg.memory role="img" width="100%" height=(bottom + AXIS)
            aria-labelledby="memory-title memory-desc" {
            title id="memory-title" { "Memory per flow" }
            desc id="memory-desc" {
                @for of in memory { (of.name) ": " (scale().rounded(of.bytes_per_flow)) " bytes. " }
            }
            g.grid {
                @for tick in axis.ticks(4) {
                    @let x = tick.place;
                        text x=(x) y=(bottom + AXIS - 4) text-anchor=(x.anchor()) {
                        (tick.label) @if tick.last { " bytes" }
                    }
                }
            }
            @for (at, of) in memory.iter().enumerate() {
                (bar(&axis, ROW * at, of))
            }
        }
    }
}

fn bar(axis: &Axis, top: usize, of: &Memory) -> Markup {
    html! {
        g.(Kind::of(&of.name).class()) {
            text.name x="0" y=(top + 17) { (of.name) }
            text.value x="100%" y=(top + 17) text-anchor="end" {
                (scale().rounded(of.bytes_per_flow)) " bytes"
            }
            @if let Some((x, width)) = axis.span([0.0, of.bytes_per_flow]) {
                rect.amount x=(x) width=(width) y=(top + 25) height="10" {}
            }
        }
    }
}

fn table(memory: &[Memory]) -> Markup {
    html! {
        table.figures {
            caption.unseen { "Memory per flow, and where each figure comes from" }
            thead {
                tr {
                    th scope="col" { "Flow of" }
                    th.number scope="col" { "Bytes" }
                    th scope="col" { "Where the figure comes from" }
                }
            }
            tbody {
                @for of in memory {
                    tr {
                        th.(Kind::of(&of.name).class()) scope="row" { (of.name) }
                        td.number { (scale().rounded(of.bytes_per_flow)) }
                        td { (of.source) }
                    }
                }
            }
        }
    }
}
