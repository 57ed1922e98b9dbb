//! Nothing that hangs, and nobody but root, keeps prroute from starting, telling and being undone.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::signal::Signal;
use prroute_tests::cgroup::Frozen;
use prroute_tests::command::Output;
use prroute_tests::lab::{Lab, Topology};
use prroute_tests::nobody::{self, as_nobody};
use prroute_tests::process::ended_by;
use prroute_tests::prroute::{self, STOP};
use prroute_tests::scratch;

const TWO: Topology = Topology { uplinks: 2, rp_filter: 1, ..Topology::DEFAULT };

/// An end, whatever else the machine has to do: what hangs is not waited for.
const LIMIT: Duration = Duration::from_secs(60);

/// Everything in a directory, and it. What another lab removes meanwhile is left out.
fn tree(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![directory.to_owned()];
    let mut left = found.clone();
    while let Some(directory) = left.pop() {
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            entries => entries.with_context(|| format!("list {}", directory.display()))?,
        };
        for entry in entries {
            let path = entry.context("list a directory")?.path();
            if path.is_dir() {
                left.push(path.clone());
            }
            found.push(path);
        }
    }
    Ok(found)
}

/// A lock on all of a file that anybody may take who can read it.
fn read_lock(file: &File) -> Result<()> {
    let lock = libc::flock {
        l_type: libc::F_RDLCK as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_SETLK(&lock)).context("take a read lock")?;
    Ok(())
}

#[test]
fn an_ordinary_user_blocks_nothing() -> Result<()> {
    let lab = Lab::build(TWO)?;
    let before = lab.snapshot()?;
    let prroute = lab.prroute()?;
    prroute.run(&[])?.terminate()?;
    // What an ordinary user of this namespace can take.
    let _name = lab.host.inside(|| {
        let name = SocketAddr::from_abstract_name(b"prroute/daemon").context("name a socket")?;
        UnixListener::bind_addr(&name).context("bind an abstract name")
    })?;
    let mut ours = tree(Path::new("/sys/fs/bpf/prroute"))?;
    let own = prroute::pins(lab.name());
    ensure!(ours.iter().filter(|path| path.starts_with(&own)).count() > 10, "{ours:#?}");
    ours.push(prroute::state(lab.name()).join("lock"));
    as_nobody(|| {
        for path in &ours {
            match OpenOptions::new().read(true).open(path) {
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
                // Another lab was quicker to remove what is its own.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                outcome => bail!("{}, opened by anybody: {outcome:?}", path.display()),
            }
        }
        Ok(())
    })?;

    let daemon = prroute.run(&[])?;
    ensure!(prroute.status()?["pid"] == daemon.process.pid().as_raw(), "{}", prroute.status()?);
    prroute.down()?;
    lab.expect_unchanged_since(&before)
}

/// The lock was everybody's in earlier versions.
#[test]
fn a_read_lock_from_before_is_named_and_no_other_can_be_taken() -> Result<()> {
    let lab = Lab::build(TWO)?;
    let prroute = lab.prroute()?;
    let directory = prroute::state(lab.name());
    fs::create_dir_all(&directory).context("create the directory")?;
    let lock = directory.join("lock");
    fs::write(&lock, "").context("write the lock file")?;
    for (path, mode) in [(&directory, 0o755), (&lock, 0o644)] {
        fs::set_permissions(path, Permissions::from_mode(mode)).context("open it to all")?;
    }
    let file = as_nobody(|| {
        let file = File::open(&lock).context("open the lock file")?;
        read_lock(&file)?;
        Ok(file)
    })?;

    let holder = format!("process {}", std::process::id());
    for words in [["run"], ["down"]] {
        let Output { status, stderr, .. } = prroute.output(&words)?;
        ensure!(status.code() == Some(1), "{words:?}: {status}:\n{stderr}");
        ensure!(stderr.contains(&holder) && stderr.contains("read lock"), "{words:?}: {stderr}");
    }
    drop(file);
    lab.with_prroute(|_| {
        let mode = fs::metadata(&lock).context("look at the lock")?.permissions().mode();
        ensure!(mode & 0o777 == 0o600, "{mode:o}");
        Ok(())
    })
}

/// bpffs is everybody's where it is mounted without a mode.
#[test]
fn a_directory_of_somebody_else_is_refused_with_its_owner() -> Result<()> {
    let lab = Lab::build(TWO)?;
    let prroute = lab.prroute()?;
    let pins = prroute::pins(lab.name());
    fs::create_dir_all(&pins).with_context(|| format!("create {}", pins.display()))?;
    chown(&pins, Some(nobody::ID), None).context("give it away")?;
    let before = lab.snapshot()?;
    for words in [&["run"][..], &["down"], &["status"], &["flows"], &["plan"]] {
        let Output { status, stderr, .. } = prroute.output(words)?;
        ensure!(status.code() == Some(1), "{words:?}: {status}:\n{stderr}");
        let words_said = [pins.display().to_string(), "user 65534".to_owned(), "rm -r".to_owned()];
        for word in words_said {
            ensure!(stderr.contains(&word), "{words:?}: nothing about {word:?} in {stderr}");
        }
    }
    lab.expect_unchanged_since(&before)?;
    fs::remove_dir(&pins).context("remove it")?;
    prroute.run(&[])?.terminate()?;
    prroute.down()?;
    Ok(())
}

/// Also while nothing is pinned, and in a directory that the unit's mask closed.
#[test]
fn who_may_not_look_is_not_told_that_nothing_runs() -> Result<()> {
    let lab = Lab::build(Topology { uplinks: 1, ..Topology::DEFAULT })?;
    lab.with_prroute(|_| {
        let directory = prroute::state(lab.name());
        fs::set_permissions(&directory, Permissions::from_mode(0o700)).context("close it")?;
        let program = lab.scratch.path().join("prroute");
        scratch::install(&prroute::binary()?, &program)?;
        let program = program.display().to_string();
        for words in [&["status"][..], &["plan"], &["reload"]] {
            let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", &program];
            let argv = [&nobody, words, &["--instance", lab.name()]].concat();
            let Output { status, stderr, .. } = lab.host.output(&argv)?;
            ensure!(status.code() == Some(4), "{words:?}: {status}: {stderr}");
        }
        Ok(())
    })
}

/// A stopped process handles no signal before it is continued.
#[test]
fn a_stopped_daemon_is_continued_and_ends_by_itself() -> Result<()> {
    let lab = Lab::build(TWO)?;
    let before = lab.snapshot()?;
    let prroute = lab.prroute()?;
    let mut daemon = prroute.run(&[])?;
    daemon.process.signal(Signal::SIGSTOP)?;
    let Output { status, stdout, stderr, .. } = prroute.output(&["down"])?;
    ensure!(status.success() && stdout.contains("stopped the daemon"), "{stdout}{stderr}");
    let status = daemon.process.wait_end(STOP)?;
    ensure!(status.success(), "{status}");
    lab.expect_unchanged_since(&before)
}

/// It ends by the signal after which the unit does not start it again.
#[test]
fn a_daemon_that_hangs_is_ended_for_good_and_that_is_said() -> Result<()> {
    let lab = Lab::build(TWO)?;
    let before = lab.snapshot()?;
    let prroute = lab.prroute()?;
    let mut daemon = prroute.run(&[])?;
    let pid = daemon.process.pid();
    let frozen = Frozen::freeze(lab.name(), pid)?;
    let begin = Instant::now();
    let Output { status, stderr, .. } = prroute.output(&["down"])?;
    let took = begin.elapsed();
    ensure!(status.success(), "{status}:\n{stderr}");
    let said = format!("the daemon (pid {pid}) did not stop within 5 s; killed it");
    ensure!(stderr.contains(&said), "nothing about {said:?} in {stderr}");
    ensure!(took < prroute_tests::wait::patience(LIMIT), "{took:?}");
    let status = daemon.process.wait_end(STOP)?;
    ensure!(ended_by(status, Signal::SIGUSR2), "{status}");
    drop(frozen);
    lab.expect_unchanged_since(&before)
}
