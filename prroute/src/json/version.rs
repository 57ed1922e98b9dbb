//! What `version --json` prints.

use prroute_common::{LAYOUT_VERSION, MEMORY_VERSION};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Format;
use crate::build;

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub(crate) struct VersionJson {
    /// Name and number of this format.
    pub(crate) schema: String,
    /// Of the command.
    pub(crate) version: String,
    /// `None`: it was not known when the program was built.
    pub(crate) commit: Option<String>,
    /// The source was changed after that commit.
    pub(crate) dirty: bool,
    /// The programs that it carries.
    pub(crate) bpf_object: BpfObjectJson,
    /// Of the pinned maps.
    pub(crate) layout: u32,
    /// Of what the programs remember.
    pub(crate) memory: u32,
    /// Of the build; a package has none.
    pub(crate) features: Vec<String>,
    /// The processor and the system that it was built for.
    pub(crate) architecture: String,
    /// It needs no libraries.
    pub(crate) static_binary: bool,
    /// Optimised.
    pub(crate) release: bool,
    /// The one that runs now.
    pub(crate) kernel: KernelJson,
}

#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub(crate) struct BpfObjectJson {
    /// Of the file, in hexadecimal digits.
    pub(crate) sha256: String,
    /// Its size.
    pub(crate) bytes: usize,
}

/// The kernel that runs now.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub(crate) struct KernelJson {
    /// As `uname -r` has it.
    pub(crate) release: Option<String>,
    /// Whether programs can be attached by tcx; `None`: it does not tell, for want of a capability.
    pub(crate) tcx: Option<bool>,
}

impl VersionJson {
    pub(crate) fn of_this_build(object_bytes: usize, kernel: KernelJson) -> Self {
        Self {
            schema: Format::Version.id().to_owned(),
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
