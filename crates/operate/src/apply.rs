//! `weir export`, `validate`, `diff` and `apply`: configuration as a file.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use crate::Service;
use crate::change::{self, CONFIGURATION, Consent, Proposal, Settled, Why, comparable};
use crate::client::{Client, Versioned};
use crate::connect::Connect;
use crate::difference;
use crate::document::{self, Configured, FileArg};
use crate::failure::{DIFFERENT, Failure, Outcome};
use crate::origin;
use crate::output::Output;
use crate::words::{number, printable, text};

/// How often a change is tried that others come in between of. Of those who write at the same time, one gets through
/// each time.
const TRIES: usize = 100;

/// Flags of `weir export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    connect: Connect,
    /// Write JSON instead of YAML
    #[arg(long)]
    json: bool,
    /// Write only what this part owns, as its file
    #[arg(long, value_name = "PART")]
    owned_by: Option<String>,
    /// What the part owns, such as services=payments-* or settings=budget, to begin a part that no file has
    /// applied yet; repeatable
    #[arg(long, value_parser = owned, value_name = "KIND=NAME", requires = "owned_by")]
    owns: Vec<(String, String)>,
}

/// A kind of objects, and a name or the beginning of names with *.
fn owned(given: &str) -> Result<(String, String), String> {
    let (kind, name) = given
        .split_once('=')
        .ok_or("is not of the form KIND=NAME, such as services=payments-*")?;
    if !["settings", "groups", "services", "rules"].contains(&kind) {
        return Err("begins with something else than settings, groups, services or rules".into());
    }
    Ok((kind.to_owned(), name.to_owned()))
}

/// Flags of `weir validate`.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// The file of configuration, in YAML or JSON; - is standard input. Of several, each is a part, and they must
    /// not own the same; repeatable
    #[arg(long, short, value_name = "FILE", required_unless_present = "schema")]
    file: Vec<std::path::PathBuf>,
    /// Write the JSON Schema of the file to standard output, for editors, and check nothing
    #[arg(long, conflicts_with = "file")]
    schema: bool,
}

/// Flags of `weir diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    #[command(flatten)]
    file: FileArg,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

/// Flags of `weir apply`.
#[derive(Debug, Args)]
#[command(after_help = "\
The file is the whole configuration: what it leaves out takes its default. So begin with the file that
`weir export` writes. A file with `owns` is a part: it changes and removes what it owns, and nothing else.

Exit status: 0 the file is the configuration now (or the dry run is over), 1 something failed, 2 the
file or the command line is wrong, 3 nothing was changed, because you said no or somebody else changed
the configuration meanwhile, 4 nothing was changed, because others wrote or own what the file changes.

In a pipeline:
  weir validate -f weir.yaml
  weir apply -f weir.yaml --dry-run    # on a merge request
  weir apply -f weir.yaml --yes        # after the merge")]
pub struct ApplyArgs {
    #[command(flatten)]
    file: FileArg,
    /// Overwrite what others wrote since the file was last applied, or what another file owns
    #[arg(long)]
    take_over: bool,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    why: Why,
    #[command(flatten)]
    connect: Connect,
}

/// The running configuration, and who last wrote each of its objects.
async fn running(client: &Client) -> Result<Versioned, Failure> {
    client
        .versioned_with(CONFIGURATION, &[("origins", "true")])
        .await
}

pub async fn export(args: ExportArgs, service: Service) -> Outcome {
    let running = running(&args.connect.client()?).await?;
    let mut document = comparable(&running.body);
    let origins = &running.body["origins"];
    if let Some(name) = &args.owned_by {
        let owns = owns(name, &args.owns, origins)?;
        document = (service.extract)(&owns, &document)?;
    }
    if args.json {
        weir_terminal::outln!("{document:#}");
    } else {
        weir_terminal::out!("{}", origin::commented(&document, origins));
    }
    Ok(ExitCode::SUCCESS)
}

/// What a part owns: as it is said, or as its file said when it was applied.
fn owns(name: &str, said: &[(String, String)], origins: &Value) -> Result<Value, Failure> {
    if said.is_empty() {
        let parts = origins["parts"].as_array().map_or(&[][..], Vec::as_slice);
        let known = parts
            .iter()
            .find(|part| part["name"].as_str() == Some(name));
        return known.cloned().ok_or_else(|| {
            let known: Vec<String> = parts.iter().map(|part| text(part, "name")).collect();
            Failure::Failed(format!(
                "no file has applied the part {:?}; there are: {}. To begin it, say what it owns, as with --owns services=payments-*",
                printable(name),
                if known.is_empty() { "none".into() } else { known.join(", ") },
            ))
        });
    }
    let mut owns = json!({ "name": name });
    for (kind, name) in said {
        match &mut owns[kind] {
            Value::Array(listed) => listed.push(json!(name)),
            none => *none = json!([name]),
        }
    }
    Ok(owns)
}

pub fn validate(args: &ValidateArgs, service: Service) -> Outcome {
    if args.schema {
        weir_terminal::outln!("{:#}", (service.schema)());
        return Ok(ExitCode::SUCCESS);
    }
    let mut read: Vec<(&std::path::PathBuf, Configured)> = Vec::new();
    for file in &args.file {
        let configured = document::read(file, service)?;
        for (other, known) in &read {
            let twice = match (part(&configured), part(known)) {
                (Some(_), Some(_)) => (service.overlap)(&known.value, &configured.value),
                _ => Some(
                    "one of them is the whole configuration: a part says what it `owns`".into(),
                ),
            };
            if let Some(twice) = twice {
                let (one, other) = (document::shown(other), document::shown(file));
                return Err(Failure::Usage(format!("{one} and {other}: {twice}")));
            }
        }
        read.push((file, configured));
    }
    for (_, configured) in &read {
        weir_terminal::outln!("It is right: {}.", in_short(configured));
    }
    Ok(ExitCode::SUCCESS)
}

/// The name of the part that a file is.
fn part(configured: &Configured) -> Option<String> {
    let owns = configured.value.get("owns")?;
    Some(text(owns, "name"))
}

/// What a file says, in a few words.
fn in_short(configured: &Configured) -> String {
    let count = |of: &Value, kind: &str| of[kind].as_object().map_or(0, serde_json::Map::len);
    if let Some(part) = part(configured) {
        let said = &configured.value;
        return format!(
            "the part {part}, with {} groups, settings of {} services and {} rules",
            count(said, "groups"),
            count(said, "services"),
            count(said, "rules"),
        );
    }
    let said = &configured.complete;
    let budget = [
        ("traces_per_second", "traces/s"),
        ("spans_per_second", "spans/s"),
        ("gigabytes_per_month", "GB a month"),
    ];
    let budget = budget.iter().find_map(|(field, unit)| {
        let amount = said["budget"][*field].as_f64()?;
        Some(format!("{} {unit}", number(amount)))
    });
    format!(
        "a budget of {}, {} groups, settings of {} services, {} rules",
        budget.unwrap_or_default(),
        count(said, "groups"),
        count(said, "services"),
        count(said, "rules"),
    )
}

pub async fn diff(args: DiffArgs, service: Service) -> Outcome {
    let wanted = document::read(&args.file.file, service)?;
    let running = running(&args.connect.client()?).await?;
    let wanted = (service.complete)(wanted.value, Some(&running.body))?;
    let differences = difference::between(&comparable(&running.body), &wanted);
    let origins = &running.body["origins"];
    let mut written: Vec<(String, &Value)> = differences
        .iter()
        .filter_map(|it| origin::of_field(origins, &it.field))
        .collect();
    written.dedup_by(|one, other| one.0 == other.0);
    let listed = differences.iter().map(|it| {
        let mut listed = it.json();
        listed["origin"] =
            origin::of_field(origins, &it.field).map_or(Value::Null, |(_, mark)| mark.clone());
        listed
    });
    let listed: Vec<Value> = listed.collect();
    args.output.print(&json!({"differences": listed}), || {
        if differences.is_empty() {
            weir_terminal::outln!("The running configuration is the same.");
        }
        change::tell(&differences);
        if !written.is_empty() {
            weir_terminal::outln!("\nLast written by:");
        }
        for (object, mark) in &written {
            weir_terminal::outln!("  {}: {}", printable(object), origin::line(mark));
        }
    });
    match differences.is_empty() {
        true => Ok(ExitCode::SUCCESS),
        false => Err(Failure::Status(DIFFERENT)),
    }
}

pub async fn apply(args: ApplyArgs, service: Service) -> Outcome {
    let wanted = document::read(&args.file.file, service)?;
    let client = args.connect.client()?.for_file();
    // Nobody was asked about one difference, so another one will do.
    let tries = if args.consent.is_given() { TRIES } else { 1 };
    for _ in 0..tries {
        let running = client.versioned(CONFIGURATION).await?;
        let proposal = Proposal::of(wanted.value.clone(), &running, service)?;
        let proposal = proposal.because(args.why.clone()).of_file(args.take_over);
        match change::settle(&client, &running, &proposal, args.consent, true).await? {
            Settled::MovedOn => {
                anstream::eprintln!("weir: somebody else changed the configuration meanwhile");
            }
            Settled::Written(written) => {
                change::tell_revision(&written);
                return Ok(ExitCode::SUCCESS);
            }
            Settled::Same | Settled::Shown => return Ok(ExitCode::SUCCESS),
        }
    }
    Err(change::moved_on())
}
