//! `prroute import`: what takes the place of rules, tables and marks of others.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::cli::ImportArgs;
use crate::cmd::output;
use crate::config::Config;
use crate::import::{self, Import, Notation, Setup};
use crate::managers::Machine;
use crate::managers::known::recognised;
use crate::netlink::Kernel;
use crate::state::observed::Observed;

/// Bytes of a file.
const MAX_SIZE: u64 = 4 << 20;
/// Programs that configure interfaces, and may make rules and tables.
const CONFIGURE: [&str; 5] =
    ["systemd-networkd", "network-manager", "cloud-init", "ec2-net-utils", "nm-cloud-setup"];

pub(super) fn run(args: &ImportArgs) -> Result<()> {
    let (setup, managers) = match args.paths.is_empty() {
        true => of_this_host()?,
        false => (of_files(&args.paths, args.notation)?, Vec::new()),
    };
    for unread in &setup.unread {
        output::remark(unread);
    }
    let import = import::translate(&setup);
    if import.is_empty() {
        bail!(
            "found no rule that sends packets by their source, their mark, their interface or to \
             another table: there is nothing that a configuration would replace"
        );
    }
    let text = import.configuration();
    Config::parse(Path::new("the configuration"), &text)
        .context("what was found makes no valid configuration")?;
    if args.removal {
        output::text(&import.removal(&args.instance.instance, &managers))?;
    } else {
        output::text(&text)?;
    }
    remark(&import);
    Ok(())
}

fn remark(import: &Import) {
    let what = match import.kept.len() {
        0 => return,
        1 => "1 thing is".to_owned(),
        count => format!("{count} things are"),
    };
    output::remark(format_args!("{what} not carried over: the comments at the end say why"));
}

fn of_this_host() -> Result<(Setup, Vec<&'static str>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (observed, routes) = runtime.block_on(async {
        let kernel = Kernel::connect().await?;
        let observed = kernel.observe_settled().await?;
        let tables = import::tables_of_host(&observed);
        let routes = kernel.routes_of(&tables, &observed.links).await?;
        anyhow::Ok((observed, routes))
    })?;
    let mut setup = import::of_host(&observed, &routes.routes);
    import::miss_routes(&mut setup, &routes.unreadable);
    if import::uses_marks(&observed) {
        for program in ["iptables", "ip6tables"] {
            setup.append(marks(program));
        }
    }
    Ok((setup, managers(&observed)))
}

fn managers(observed: &Observed) -> Vec<&'static str> {
    let known = recognised(&Machine::default(), observed).into_iter();
    known.filter(|known| CONFIGURE.contains(&known.id)).map(|known| known.name).collect()
}

/// The rules about marks that iptables has, by each of its two ways into the kernel.
fn marks(program: &str) -> Setup {
    let mut setup = Setup::default();
    let variants = [format!("{program}-nft"), format!("{program}-legacy")];
    let mut found: Vec<(String, String)> =
        variants.into_iter().filter_map(|variant| Some((saved(&variant)?, variant))).collect();
    if found.is_empty() {
        found.extend(saved(program).map(|text| (text, program.to_owned())));
    }
    for (text, program) in found {
        setup.append(import::of_iptables(&program, &text));
    }
    setup
}

/// What `PROGRAM-save` prints; `None` where it is not installed, or cannot ask the kernel.
fn saved(program: &str) -> Option<String> {
    let output = Command::new(format!("{program}-save")).env("LC_ALL", "C").output();
    match output {
        Ok(output) if output.status.success() => {
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            output::remark(format_args!("{program}-save: {}", said.trim()));
            None
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            output::remark(format_args!("run {program}-save: {error}"));
            None
        }
    }
}

fn of_files(paths: &[PathBuf], notation: Option<Notation>) -> Result<Setup> {
    let mut files = Vec::new();
    let mut names = BTreeMap::new();
    for path in paths {
        let text = match path {
            path if path == Path::new("-") => bounded(io::stdin().lock(), path)?,
            path if path.is_dir() => {
                let before = files.len();
                read_folder(path, notation, &mut files)?;
                ensure!(
                    files.len() > before,
                    "in {} is no file with a name of those that are known: rule-DEVICE, \
                     route-DEVICE, ifcfg-DEVICE, *.yaml, *.network",
                    path.display()
                );
                continue;
            }
            path => read_file(path)?,
        };
        if path.file_name().is_some_and(|name| name == "rt_tables") {
            names.extend(import::table_names(&text));
            continue;
        }
        let known = notation.or_else(|| import::notation_of_name(path));
        let notation = known.unwrap_or_else(|| import::notation_of_text(&text));
        files.push((notation, name_of(path), text));
    }
    let mut setup = import::read(&files);
    setup.resolve(&names);
    Ok(setup)
}

fn name_of(path: &Path) -> String {
    match path == Path::new("-") {
        true => "standard input".to_owned(),
        false => path.display().to_string(),
    }
}

/// The files of a folder whose names say what they are, and those of drop-in folders in it.
fn read_folder(
    folder: &Path,
    notation: Option<Notation>,
    files: &mut Vec<(Notation, String, String)>,
) -> Result<()> {
    let list = || -> io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
    };
    let mut paths = list().with_context(|| format!("list {}", folder.display()))?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            if path.extension().is_some_and(|extension| extension == "d") {
                read_folder(&path, notation, files)?;
            }
        } else if let Some(known) = import::notation_of_name(&path)
            && notation.is_none_or(|notation| notation == known)
        {
            files.push((known, name_of(&path), read_file(&path)?));
        }
    }
    Ok(())
}

fn read_file(path: &Path) -> Result<String> {
    let open = || fs::File::open(path).with_context(|| format!("open {}", path.display()));
    ensure!(
        fs::metadata(path).map_or(true, |file| file.is_file()),
        "{} is not a regular file",
        path.display()
    );
    bounded(open()?, path)
}

/// What is no text in it is told by the readers, as words that they do not know.
fn bounded(file: impl io::Read, path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    let read = file.take(MAX_SIZE + 1).read_to_end(&mut bytes);
    read.with_context(|| format!("read {}", name_of(path)))?;
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    ensure!(size <= MAX_SIZE, "{} is larger than {} MiB", name_of(path), MAX_SIZE >> 20);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
