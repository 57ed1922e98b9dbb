//! What `version --json` prints.

use prroute_common::{LAYOUT_VERSION, MEMORY_VERSION};
use serde::{Deserialize, Serialize};

use crate::build;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VersionJson {
    pub(crate) schema: String,
    pub(crate) version: String,
    /// `None`: it was not known when the program was built.
    pub(crate) commit: Option<String>,
    /// The source was changed after that commit.
    pub(crate) dirty: bool,
    pub(crate) bpf_object: BpfObjectJson,
    /// Of the pinned maps.
    pub(crate) layout: u32,
    /// Of what the programs remember.
    pub(crate) memory: u32,
    /// Of the build; a package has none.
    pub(crate) features: Vec<String>,
    /// The processor and the system that it was built for.
    pub(crate) architecture: String,
    pub(crate) static_binary: bool,
    /// Optimised.
    pub(crate) release: bool,
    pub(crate) kernel: KernelJson,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BpfObjectJson {
    pub(crate) sha256: String,
    pub(crate) bytes: usize,
}

/// The kernel that runs now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KernelJson {
    pub(crate) release: Option<String>,
    /// Whether programs can be attached by tcx; `None`: it does not tell, for want of a capability.
    pub(crate) tcx: Option<bool>,
}

impl VersionJson {
    pub(crate) fn of_this_build(object_bytes: usize, kernel: KernelJson) -> Self {
        Self {
            schema: "prroute.version/1".to_owned(),
            version: build::VERSION.to_owned(),
            commit: build::commit().map(str::to_owned),
            dirty: build::is_dirty(),
            bpf_object: BpfObjectJson {
                sha256: build::OBJECT_SHA256.to_owned(),
                bytes: object_bytes,
            },
            layout: LAYOUT_VERSION,
            memory: MEMORY_VERSION,
            features: build::FEATURES.iter().map(|feature| (*feature).to_owned()).collect(),
            architecture: std::env::consts::ARCH.to_owned(),
            static_binary: cfg!(target_feature = "crt-static"),
            release: !cfg!(debug_assertions),
            kernel,
        }
    }
}
