//! What is on the hooks of every interface, with ids, names and tags.

use std::collections::BTreeMap;

use aya::programs::loaded_programs;

use super::Section;
use crate::datapath::observed::{self, Extent};
use crate::netlink::{Direction, Kernel};

pub(super) fn section() -> Section {
    let source = "tcx and clsact, as the kernel lists them".to_owned();
    Section { title: "programs on the hooks", source, body: list() }
}

fn list() -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(lines()).map_err(|error| format!("{error:#}")).map(|lines| lines.join("\n"))
}

async fn lines() -> anyhow::Result<Vec<String>> {
    crate::capability::require()?;
    let kernel = Kernel::connect().await?;
    let tags = tags();
    let mut lines = Vec::new();
    for link in kernel.observe().await?.links {
        for direction in Direction::BOTH {
            let chain = observed::on_hook(&kernel, link.ifindex, direction, Extent::All).await?;
            for (place, entry) in chain.iter().enumerate() {
                let tag = tags.get(&entry.program()).map(|tag| format!(", tag {tag:016x}"));
                lines.push(format!(
                    "{} {} {}: {}{}",
                    link.name,
                    direction.name(),
                    place + 1,
                    observed::describe(entry),
                    tag.unwrap_or_default()
                ));
            }
        }
    }
    if tags.is_empty() && !lines.is_empty() {
        lines.push("(names and tags of programs need CAP_SYS_ADMIN)".to_owned());
    }
    Ok(lines)
}

/// By id; without CAP_SYS_ADMIN the kernel tells none.
fn tags() -> BTreeMap<u32, u64> {
    loaded_programs().flatten().map(|program| (program.id(), program.tag())).collect()
}
