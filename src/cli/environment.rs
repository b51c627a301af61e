//! Names in the environment that look like settings and are none. A setting with a letter too few would
//! otherwise be ignored without a word.

use clap::Command;

/// What settings begin with.
const PREFIX: &str = "WEIR_";

/// Read by the commands for operators, without a flag: everybody on a machine can read flags.
const WITHOUT_FLAG: [&str; 1] = ["WEIR_TOKEN"];

/// The fewest letters that may be wrong in a name, and one more for each so many.
const EDITS: usize = 2;
const LETTERS_PER_EDIT: usize = 6;

/// A sentence for each variable that begins like a setting and is none, sorted.
pub(super) fn unknown(
    command: &Command,
    variables: impl Iterator<Item = (String, String)>,
) -> Vec<String> {
    let mut known: Vec<String> = WITHOUT_FLAG.map(Into::into).to_vec();
    names(command, &mut known);
    let mut said: Vec<String> = variables
        .filter(|(name, _)| name.starts_with(PREFIX) && !known.contains(name))
        .filter(|(name, value)| !is_link(name, value))
        .map(|(name, _)| describe(&name, &known))
        .collect();
    said.sort();
    said
}

fn describe(name: &str, known: &[String]) -> String {
    let most = EDITS + name.len() / LETTERS_PER_EDIT;
    let edits = known.iter().map(|it| (strsim::osa_distance(name, it), it));
    let nearest = edits.filter(|(edits, _)| *edits <= most).min();
    // A name from outside, in a line of its own.
    let name = name.escape_default();
    match nearest {
        Some((_, meant)) => format!("{name} is no setting and is ignored; did you mean {meant}?"),
        None => {
            format!("{name} is no setting and is ignored; `weir serve --help` lists the settings")
        }
    }
}

/// The variables of all commands.
fn names(command: &Command, known: &mut Vec<String>) {
    let named = command.get_arguments().filter_map(|flag| flag.get_env());
    known.extend(named.map(|name| name.to_string_lossy().into_owned()));
    for command in command.get_subcommands() {
        names(command, known);
    }
}

/// Whether Kubernetes or Docker sets it for a service whose name begins with `weir`, such as
/// `WEIR_PORT=tcp://10.0.0.1:5778` and `WEIR_SERVICE_HOST`.
fn is_link(name: &str, value: &str) -> bool {
    let of_service = ["_SERVICE_HOST", "_SERVICE_PORT"];
    let is_port = |part: &str| {
        let digits = part.split('_').next().unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    of_service.iter().any(|part| name.contains(part))
        || name.split("_PORT_").skip(1).any(is_port)
        || (name.ends_with("_PORT") && value.contains("://"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    fn said(variables: &[(&str, &str)]) -> Vec<String> {
        let variables = variables.iter().map(|(n, v)| ((*n).into(), (*v).into()));
        unknown(&Cli::command(), variables)
    }

    #[test]
    fn a_name_with_a_wrong_letter_is_named_with_the_right_one() {
        let said = said(&[
            ("WEIR_ADMIN_LISTN", "0.0.0.0:1"),
            ("WEIR_DATABSE_URL", "postgres://weir:secret@db/weir"),
            ("WEIR_COLOUR", "blue"),
            ("WEIR_LISTEN", "127.0.0.1:1"),
            ("WEIR_TOKEN", "weir_secret"),
            ("HOME", "/"),
        ]);
        assert_eq!(
            said,
            [
                "WEIR_ADMIN_LISTN is no setting and is ignored; did you mean WEIR_ADMIN_LISTEN?",
                "WEIR_COLOUR is no setting and is ignored; `weir serve --help` lists the settings",
                "WEIR_DATABSE_URL is no setting and is ignored; did you mean WEIR_DATABASE_URL?",
            ]
        );
    }

    #[test]
    fn what_kubernetes_sets_is_nobodys_mistake() {
        assert!(
            said(&[
                ("WEIR_SERVICE_HOST", "10.0.0.1"),
                ("WEIR_SERVICE_PORT_SDK", "5778"),
                ("WEIR_PORT", "tcp://10.0.0.1:5778"),
                ("WEIR_PORT_5778_TCP_ADDR", "10.0.0.1"),
                ("WEIR_ADMIN_SERVICE_PORT", "8778"),
                ("WEIR_ADMIN_PORT", "tcp://10.0.0.1:8778"),
            ])
            .is_empty()
        );
    }
}
