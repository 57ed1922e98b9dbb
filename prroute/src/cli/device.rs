//! `dev UPLINK`: the interface that a command is asked about.

/// Other words than `dev UPLINK`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    #[error("behind `dev` comes the name of an interface")]
    NoName,
    #[error("{0:?} is no option: an uplink is given as `dev {0}`")]
    NoKeyword(String),
    #[error("`dev` takes one interface, and not {0:?}")]
    Several(String),
}

/// The interface that these words name; `None`: there are no words.
///
/// # Errors
///
/// When they are not `dev UPLINK`.
pub(super) fn named(words: &[String]) -> Result<Option<&str>, DeviceError> {
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Ok(None),
        ["dev"] => Err(DeviceError::NoName),
        ["dev", device] => Ok(Some(device)),
        ["dev", ..] => Err(DeviceError::Several(words[1..].join(" "))),
        [word, ..] => Err(DeviceError::NoKeyword(word.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::cli::{Cli, Command, ExportCommand};

    /// What the command says of its words.
    fn asked(words: &str) -> Result<Option<String>, String> {
        let cli = Cli::try_parse_from(["prroute"].into_iter().chain(words.split(' ')));
        let cli = cli.map_err(|error| error.to_string())?;
        let device = match &cli.command {
            Command::Status(args) => args.device(),
            Command::Doctor(args) => args.device(),
            Command::Export(ExportCommand::Networkd(args)) => args.device(),
            _ => panic!("{words}"),
        };
        device.map(|it| it.map(str::to_owned)).map_err(|error| error.to_string())
    }

    #[test]
    fn who_forgets_dev_is_told_to_write_it() {
        for command in ["status", "doctor", "export networkd"] {
            assert_eq!(asked(command), Ok(None));
            assert_eq!(asked(&format!("{command} dev eth0")), Ok(Some("eth0".to_owned())));
            let says = |words: &str| asked(&format!("{command} {words}")).unwrap_err();
            assert_eq!(says("eth0"), "\"eth0\" is no option: an uplink is given as `dev eth0`");
            assert_eq!(says("eth0 eth1"), says("eth0"));
            assert_eq!(says("dev"), "behind `dev` comes the name of an interface");
            assert_eq!(says("dev eth0 eth1"), "`dev` takes one interface, and not \"eth0 eth1\"");
        }
    }
}
