//! The architectures that prroute is built and tested for.

use clap::ValueEnum;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Architecture {
    Amd64,
    Arm64,
}

impl Architecture {
    /// That of this machine.
    pub(crate) const HOST: Self =
        if cfg!(target_arch = "aarch64") { Self::Arm64 } else { Self::Amd64 };

    pub(crate) fn is_foreign(self) -> bool {
        self != Self::HOST
    }

    /// As Debian calls it.
    pub(crate) const fn debian(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// As Rust calls it.
    pub(crate) const fn triple(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// How the names of its tools begin: compilers, `strip`, QEMU's emulators.
    pub(crate) const fn machine(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// The one that has this target of Rust.
    pub(crate) fn of_triple(triple: &str) -> Option<Self> {
        Self::value_variants().iter().copied().find(|it| it.triple() == triple)
    }
}

/// A target of Rust on the command line.
pub(crate) fn parse(triple: &str) -> Result<Architecture, String> {
    Architecture::of_triple(triple).ok_or_else(|| {
        let known: Vec<&str> =
            Architecture::value_variants().iter().map(|it| it.triple()).collect();
        format!("prroute is built for {}", known.join(" and "))
    })
}
