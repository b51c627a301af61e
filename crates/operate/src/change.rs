//! How the configuration is changed: the difference, its previewed effect, a question, and a write
//! over the revision that was read.

use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;

use clap::Args;
use hyper::Method;
use serde_json::{Value, json};

use crate::client::{Client, Versioned};
use crate::difference::{self, Difference};
use crate::effect::tell_effect;
use crate::failure::{Failure, Outcome};
use crate::origin::Others;
use crate::{Service, Wrong};

/// Where the configuration is.
pub const CONFIGURATION: &[&str] = &["v1", "configuration"];

/// How many services and operations of a preview are shown.
const SHOWN: &str = "10";

/// The most fields that are listed; a preview says what all of them do.
const FIELDS_SHOWN: usize = 200;

/// Flags of every command that changes something.
#[derive(Debug, Clone, Copy, Args)]
pub struct Consent {
    /// Make the change without asking
    #[arg(long, short, conflicts_with = "dry_run")]
    yes: bool,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Make it although a boost or a fixed probability leaves another operation with less than half of
    /// its share
    #[arg(long)]
    force: bool,
}

/// The flag of changes that have no reason of their own.
#[derive(Debug, Clone, Args)]
pub struct Why {
    /// Why; `weir audit` shows it
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl Consent {
    /// Whether nobody is asked, and it is not only shown.
    pub fn is_given(self) -> bool {
        self.yes
    }

    /// Makes the change without asking, or only shows it.
    pub fn given(yes: bool) -> Self {
        Self {
            yes,
            dry_run: !yes,
            force: false,
        }
    }
}

/// A configuration that is to become the newest.
pub struct Proposal {
    /// The document to write.
    document: Value,
    /// The same with everything filled in, to compare.
    complete: Value,
    way: Way,
    /// Why, if it does not say so itself.
    reason: Option<String>,
    /// If a file says it: whether that takes over what others wrote.
    take_over: Option<bool>,
}

/// How a proposal is written.
enum Way {
    /// As the whole configuration.
    Whole,
    /// As the revision that comes back.
    Back(u64),
    /// By the call of the part that changes.
    Part(Part),
}

/// A call that changes a part of the configuration.
pub struct Part {
    /// The method.
    pub method: Method,
    /// The path, a segment each.
    pub path: Vec<String>,
    /// What is sent.
    pub body: Value,
}

/// How a proposal ended.
pub enum Settled {
    /// The running configuration is the same.
    Same,
    /// It was only shown.
    Shown,
    /// Somebody else changed the configuration meanwhile, so it was not written.
    MovedOn,
    /// It is written; this is the answer.
    Written(Versioned),
}

impl Proposal {
    /// A document that takes the place of the running one.
    pub fn of(document: Value, running: &Versioned, service: Service) -> Result<Self, Wrong> {
        Ok(Self {
            complete: (service.complete)(document.clone(), Some(&running.body))?,
            document,
            way: Way::Whole,
            reason: None,
            take_over: None,
        })
    }

    /// A document that comes of changing a part of it.
    pub fn part(
        document: Value,
        part: Part,
        running: &Versioned,
        service: Service,
    ) -> Result<Self, Wrong> {
        Ok(Self {
            way: Way::Part(part),
            ..Self::of(document, running, service)?
        })
    }

    /// Says why.
    pub fn because(self, why: Why) -> Self {
        let reason = why.reason;
        Self { reason, ..self }
    }

    /// The document of an earlier revision.
    pub fn back(document: Value, revision: u64) -> Self {
        Self {
            complete: document.clone(),
            document,
            way: Way::Back(revision),
            reason: None,
            take_over: None,
        }
    }

    /// A document of a file.
    pub fn of_file(self, take_over: bool) -> Self {
        let take_over = Some(take_over);
        Self { take_over, ..self }
    }
}

impl From<Wrong> for Failure {
    fn from(wrong: Wrong) -> Self {
        Self::Usage(format!("{} {}", wrong.field, wrong.problem))
    }
}

/// Shows what a proposal changes, asks, and writes it if the running configuration is still `before`.
pub async fn propose(
    client: &Client,
    before: &Versioned,
    proposal: &Proposal,
    consent: Consent,
) -> Outcome {
    match settle(client, before, proposal, consent, true).await? {
        Settled::Written(written) => tell_revision(&written),
        Settled::MovedOn => return Err(moved_on()),
        Settled::Same | Settled::Shown => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Why nothing was written.
pub fn moved_on() -> Failure {
    Failure::NotMade(
        "somebody else changed the configuration meanwhile; nothing was written. Run the command again to see what it would change now".into(),
    )
}

/// The same, and returns how it ended. Only `for_people` says what changes.
pub async fn settle(
    client: &Client,
    before: &Versioned,
    proposal: &Proposal,
    consent: Consent,
    for_people: bool,
) -> Result<Settled, Failure> {
    let differences = difference::between(&comparable(&before.body), &proposal.complete);
    if differences.is_empty() && proposal.take_over.is_none() {
        tell_same(for_people);
        return Ok(Settled::Same);
    }
    let previewed = [CONFIGURATION, &["preview"]].concat();
    let effect = client
        .post(&previewed, &[("limit", SHOWN)], &proposal.document)
        .await?;
    let others = Others::of(&effect);
    if differences.is_empty() {
        return settle_same(client, before, proposal, &effect, consent).await;
    }
    if for_people {
        tell(&differences);
        weir_terminal::outln!();
        tell_effect(&effect);
    } else if consent.dry_run {
        weir_terminal::outln!("{effect:#}");
    }
    match proposal.take_over {
        Some(false) => others.refuse()?,
        Some(true) => {}
        None if for_people => others.tell(),
        None => {}
    }
    if consent.dry_run {
        if for_people {
            weir_terminal::outln!("\nNothing was changed: this was a dry run.");
        }
        return Ok(Settled::Shown);
    }
    if !consent.yes {
        ask()?;
    }
    let written = write(client, before, proposal, &effect, consent).await?;
    Ok(written.map_or(Settled::MovedOn, Settled::Written))
}

fn tell_same(for_people: bool) {
    if for_people {
        weir_terminal::outln!("Nothing to change: the running configuration is the same.");
    }
}

/// A file that says what is there already takes it over, if it is applied and not only shown.
async fn settle_same(
    client: &Client,
    before: &Versioned,
    proposal: &Proposal,
    effect: &Value,
    consent: Consent,
) -> Result<Settled, Failure> {
    if proposal.take_over == Some(false) {
        Others::of(effect).refuse()?;
    }
    if consent.yes {
        let written = write(client, before, proposal, effect, consent).await?;
        if written.is_none() {
            return Ok(Settled::MovedOn);
        }
    }
    tell_same(true);
    Ok(Settled::Same)
}

/// Says which revision a change became.
pub fn tell_revision(written: &Versioned) {
    let tag = written.tag.trim_matches('"');
    let revision = tag.split('-').next().unwrap_or("?");
    weir_terminal::outln!(
        "\nThis is revision {revision} of the configuration. The next plan follows it."
    );
}

/// Writes what was previewed, and nothing else. Nothing is returned if the configuration has moved on.
async fn write(
    client: &Client,
    before: &Versioned,
    proposal: &Proposal,
    effect: &Value,
    consent: Consent,
) -> Result<Option<Versioned>, Failure> {
    let mut query = Vec::new();
    if let Some(reason) = &proposal.reason {
        query.push(("reason", reason.as_str()));
    }
    if let Way::Back(revision) = proposal.way {
        let path = [CONFIGURATION, &["rollback"]].concat();
        let asked = json!({ "revision": revision });
        return client
            .change(Method::POST, &path, &query, &before.tag, &asked)
            .await;
    }
    if proposal.take_over == Some(true) {
        query.push(("take_over", "true"));
    }
    if consent.force {
        query.push(("force", "true"));
    }
    if let Way::Part(Part { method, path, body }) = &proposal.way {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        return client
            .change(method.clone(), &path, &query, &before.tag, body)
            .await;
    }
    if let Some(id) = effect["id"].as_str() {
        query.push(("preview", id));
    }
    client
        .change(
            Method::PUT,
            CONFIGURATION,
            &query,
            &before.tag,
            &proposal.document,
        )
        .await
}

/// A configuration without what an answer adds to it.
pub fn comparable(document: &Value) -> Value {
    let mut document = document.clone();
    if let Value::Object(fields) = &mut document {
        fields.remove("warnings");
        fields.remove("origins");
    }
    document
}

/// Lists the fields that differ.
pub fn tell(differences: &[Difference]) {
    for difference in differences.iter().take(FIELDS_SHOWN) {
        weir_terminal::outln!("{}", difference.line());
    }
    if let Some(more) = differences.len().checked_sub(FIELDS_SHOWN + 1) {
        weir_terminal::outln!("… and {} fields more", more + 1);
    }
}

fn ask() -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::NotMade(
            "nothing was changed: nobody can be asked here, so say --yes or --dry-run".into(),
        ));
    }
    weir_terminal::out!("\nMake this change? [y/N] ");
    let _ = std::io::stdout().flush();
    let mut answer = String::new();
    let _ = std::io::stdin().lock().read_line(&mut answer);
    if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
        return Ok(());
    }
    Err(Failure::NotMade("nothing was changed".into()))
}
