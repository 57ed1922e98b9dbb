//! `prroute version`.

use anyhow::Result;
use nix::sys::utsname::uname;

use crate::cli::VersionArgs;
use crate::cmd::output;
use crate::datapath::{object, tcx};
use crate::json::{KernelJson, VersionJson};

pub(super) fn run(args: &VersionArgs) -> Result<()> {
    let release = uname().ok().map(|kernel| kernel.release().to_string_lossy().into_owned());
    let kernel = KernelJson { release, tcx: tcx::is_supported() };
    let report = VersionJson::of_this_build(object::size(), kernel);
    if args.json { output::json(&report) } else { Ok(output::text(&text(&report))?) }
}

fn text(report: &VersionJson) -> String {
    let VersionJson { version, dirty, bpf_object, layout, memory, features, kernel, .. } = report;
    let changed = if *dirty { ", with changes" } else { "" };
    let commit = report.commit.as_deref().unwrap_or("unknown");
    let linked = if report.static_binary { "static" } else { "dynamic" };
    let profile = if report.release { "release" } else { "development" };
    let tcx = match kernel.tcx {
        Some(true) => "tcx",
        Some(false) => "no tcx",
        None => "whether it has tcx is root's to know",
    };
    let release = kernel.release.as_deref().unwrap_or("unknown");
    let mut text = format!(
        "prroute {version}\n\
         commit      {commit}{changed}\n\
         build       {profile}, {linked}, {architecture}\n\
         BPF object  sha256:{sha256}, {bytes} bytes\n\
         layout      {layout}, memory {memory}\n\
         kernel      {release}, {tcx}\n",
        architecture = report.architecture,
        sha256 = bpf_object.sha256,
        bytes = bpf_object.bytes,
    );
    if !features.is_empty() {
        text += &format!("features    {}\n", features.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build;

    #[test]
    fn a_build_tells_its_object_by_the_hash_of_what_is_embedded() {
        let report =
            VersionJson::of_this_build(object::size(), KernelJson { release: None, tcx: None });
        assert_eq!(report.bpf_object.sha256.len(), 64);
        assert!(report.bpf_object.bytes > 10_000, "{report:?}");
        let text = text(&report);
        assert!(text.contains(build::OBJECT_SHA256), "{text}");
        assert!(text.starts_with(&format!("prroute {}\n", build::VERSION)), "{text}");
    }
}
