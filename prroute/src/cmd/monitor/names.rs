//! Uplinks by id: what their devices are called now, also where an uplink comes, or its device is renamed, while
//! this runs.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::line::Names;
use super::question::Question;
use crate::cmd::tables::tables;
use crate::datapath::Tables;
use crate::instance::Instance;
use crate::netlink::device_name;
use crate::runtime::{InstanceLock, RunDirectory};
use crate::state::uplink::{Ifindex, UplinkId};

/// What was read counts for so long where an uplink is not in it.
const PAUSE: Duration = Duration::from_secs(1);

/// An uplink, and where it was.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Uplink {
    id: u16,
    ifindex: Ifindex,
    /// As the daemon last knew it, if it has said so.
    said: Option<String>,
}

impl Uplink {
    fn name(&self) -> Option<String> {
        device_name(self.ifindex).or_else(|| self.said.clone())
    }
}

pub(super) struct Known {
    read: Box<dyn Fn() -> Vec<Uplink>>,
    uplinks: RefCell<(Instant, Vec<Uplink>)>,
}

impl Known {
    pub(super) fn of(instance: &Instance) -> Self {
        let instance = instance.clone();
        Self::by(move || read(&instance))
    }

    fn by(read: impl Fn() -> Vec<Uplink> + 'static) -> Self {
        let uplinks = RefCell::new((Instant::now(), read()));
        Self { read: Box::new(read), uplinks }
    }

    /// The id of the uplink that is asked about; 0 where none is.
    ///
    /// # Errors
    ///
    /// When there is no such uplink.
    pub(super) fn asked(&self, question: &Question) -> Result<u16> {
        question.device.as_deref().map_or(Ok(0), |name| self.id(name))
    }

    fn id(&self, name: &str) -> Result<u16> {
        let (_, uplinks) = &*self.uplinks.borrow();
        let named: Vec<_> = uplinks.iter().filter_map(|it| Some((it.id, it.name()?))).collect();
        if let Some((id, _)) = named.iter().find(|(_, known)| known == name) {
            return Ok(*id);
        }
        let names: Vec<_> = named.iter().map(|(_, name)| name.as_str()).collect();
        match names[..] {
            [] => bail!("{name} is no uplink; there are none"),
            _ => bail!("{name} is no uplink; those that are: {}", names.join(", ")),
        }
    }

    fn find(&self, id: UplinkId) -> Option<Uplink> {
        self.uplinks.borrow().1.iter().find(|uplink| uplink.id == id.0).cloned()
    }

    /// Reads anew, unless that was just done.
    fn refresh(&self) {
        let mut uplinks = self.uplinks.borrow_mut();
        if uplinks.0.elapsed() >= PAUSE {
            *uplinks = (Instant::now(), (self.read)());
        }
    }
}

/// What the programs have, and the daemon's report, which has more where no programs are loaded. What can be
/// read of neither has no name.
fn read(instance: &Instance) -> Vec<Uplink> {
    let directory = RunDirectory::of(instance);
    let report = directory.read_report().usable().unwrap_or_default();
    let mut uplinks: Vec<_> = report
        .uplinks
        .into_iter()
        .map(|it| Uplink { id: it.id, ifindex: Ifindex(it.ifindex), said: Some(it.name) })
        .collect();
    let daemon = InstanceLock::holder(&directory).ok().flatten();
    let pins = tables(instance, daemon).ok().flatten();
    let targets = pins.and_then(|pins| Tables::open(&pins).ok()?.targets().ok());
    for target in targets.unwrap_or_default() {
        let (id, ifindex) = (target.id().0, target.ifindex());
        match uplinks.iter_mut().find(|uplink| uplink.id == id) {
            Some(uplink) => uplink.ifindex = ifindex,
            None if target.is_retired() => {}
            None => uplinks.push(Uplink { id, ifindex, said: None }),
        }
    }
    uplinks
}

impl Names for Known {
    fn device(&self, index: u32) -> String {
        device_name(Ifindex(index)).unwrap_or_else(|| format!("if{index}"))
    }

    fn uplink(&self, id: UplinkId) -> String {
        let named =
            |uplink: &Option<Uplink>| uplink.as_ref().and_then(|it| device_name(it.ifindex));
        let mut known = self.find(id);
        if named(&known).is_none() {
            self.refresh();
            known = self.find(id);
        }
        named(&known).or_else(|| known?.said).unwrap_or_else(|| format!("#{id}"))
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    const LOOPBACK: Ifindex = Ifindex(1);
    const NOBODY: Ifindex = Ifindex(i32::MAX.unsigned_abs());

    fn uplink(id: u16, ifindex: Ifindex, said: Option<&str>) -> Uplink {
        Uplink { id, ifindex, said: said.map(str::to_owned) }
    }

    #[test]
    fn an_uplink_is_called_what_its_device_is_called_now() {
        let all = vec![uplink(1, LOOPBACK, Some("eth0")), uplink(2, NOBODY, Some("eth1"))];
        let known = Known::by(move || all.clone());
        assert_eq!(known.uplink(UplinkId(1)), "lo");
        assert_eq!(known.uplink(UplinkId(2)), "eth1", "as it was called last");
        assert_eq!(known.uplink(UplinkId(3)), "#3");
        assert_eq!(known.id("lo").unwrap(), 1);
        let error = known.id("eth0").unwrap_err().to_string();
        assert_eq!(error, "eth0 is no uplink; those that are: lo, eth1");
    }

    #[test]
    fn an_uplink_that_comes_later_is_read_then() {
        let read = Rc::new(RefCell::new(Vec::new()));
        let reads = Rc::clone(&read);
        let known = Known::by(move || reads.borrow().clone());
        read.borrow_mut().push(uplink(4, LOOPBACK, None));
        assert_eq!(known.uplink(UplinkId(4)), "#4", "it was just read");
        known.uplinks.borrow_mut().0 -= PAUSE;
        assert_eq!(known.uplink(UplinkId(4)), "lo");
    }
}
