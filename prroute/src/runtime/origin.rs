//! Which boot and network namespace a file below `/run` is of: a host may keep `/run` when the kernel
//! starts anew, and containers may share it.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::namespace::NetworkNamespace;
use crate::runtime::format::Unusable;

/// Another value after each boot; random(4).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What the objects that a file names belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// `None` where the kernel does not tell it.
    pub boot_id: Option<String>,
    /// Likewise.
    pub namespace: Option<NetworkNamespace>,
}

impl Origin {
    /// Of this process.
    pub fn current() -> Self {
        let boot_id = fs::read_to_string(BOOT_ID).ok();
        let namespace = NetworkNamespace::current().ok();
        Self { boot_id: boot_id.map(|text| text.trim().to_owned()), namespace }
    }

    /// # Errors
    ///
    /// When what a file names is not to be found from `here`.
    pub(super) fn expect(&self, here: &Self) -> Result<(), Unusable> {
        // Interfaces have other indexes after a boot, and sysctls their first values.
        if self.boot_id != here.boot_id {
            return Err(Unusable::OtherBoot);
        }
        if self.namespace != here.namespace {
            return Err(Unusable::OtherNamespace(self.namespace));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Origin;
    use crate::runtime::format::Unusable;

    fn origin(boot_id: &str, namespace: &str) -> Origin {
        Origin { boot_id: Some(boot_id.to_owned()), namespace: namespace.parse().ok() }
    }

    #[test]
    fn a_file_is_of_one_boot_and_one_network_namespace() {
        let here = origin("first", "4026531840-1");
        assert!(here.expect(&here).is_ok());
        let elsewhere = origin("first", "4026532000-7").expect(&here);
        match elsewhere {
            Err(Unusable::OtherNamespace(Some(namespace))) => {
                assert_eq!(namespace.to_string(), "4026532000-7");
            }
            other => panic!("{other:?}"),
        }
        // A boot has namespaces of its own: that comes first.
        for namespace in ["4026531840-1", "4026532000-7"] {
            let earlier = origin("earlier", namespace).expect(&here);
            assert!(matches!(earlier, Err(Unusable::OtherBoot)), "{earlier:?}");
        }
    }
}
