//! `weir completions` and `weir manual`: made from the command line itself.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clap_complete::Shell;

use crate::Service;
use crate::failure::{Failure, Outcome};

/// Flags of `weir completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
For bash, now and in every new shell:
  weir completions bash > ~/.local/share/bash-completion/completions/weir")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Flags of `weir manual`.
#[derive(Debug, Args)]
pub struct ManualArgs {
    /// Where the pages are written; the directory is made if it does not exist
    #[arg(value_name = "DIRECTORY")]
    directory: PathBuf,
}

pub fn completions(args: &CompletionsArgs, service: Service) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(
        args.shell,
        &mut (service.command_line)(),
        "weir",
        &mut script,
    );
    // The reader may have closed the pipe.
    let _ = std::io::stdout().write_all(&script);
    Ok(ExitCode::SUCCESS)
}

pub fn pages(args: &ManualArgs, service: Service) -> Outcome {
    let unwritable = |error| {
        let what = format!("cannot write the pages to {}", args.directory.display());
        Failure::because(&what, error)
    };
    fs::create_dir_all(&args.directory).map_err(unwritable)?;
    let command = (service.command_line)();
    clap_mangen::generate_to(command, &args.directory).map_err(unwritable)?;
    weir_terminal::outln!(
        "The pages are in {0}; read one with: man {0}/weir.1",
        args.directory.display()
    );
    Ok(ExitCode::SUCCESS)
}
