//! Two Weirs over one PostgreSQL: one of them leads, both serve the same.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weir::store::postgres::PostgresStore;

use crate::support::agents::{Agents, Behaviour};
use crate::support::client::{Client, Count, PlanMark, now};
use crate::support::postgres::Cluster;
use crate::support::process::{WeirCommand, WeirProcess, eventually};
use crate::support::stored::stored_totals;

const SERVICE: &str = "checkout";

/// How long anything may take that takes an interval or two, and the lease's time to live.
const DEADLINE: Duration = Duration::from_secs(60);

/// How far a plan's window may lie from the one before: far less than the wrong clock is wrong.
const WINDOW_STEP_MAX_MILLISECONDS: i64 = 60_000;

const AN_HOUR_SECONDS: i64 = 3_600;

/// Two replicas under steady traffic.
struct Pair {
    cluster: Cluster,
    replicas: [Replica; 2],
    /// The first replica's term at the start; it was alone then.
    first_term: u64,
    agents: Agents,
}

struct Replica {
    process: WeirProcess,
    client: Client,
}

impl Replica {
    async fn start(command: WeirCommand) -> Self {
        let process = command.start().await;
        let client = Client::of(&process);
        Self { process, client }
    }

    /// Waits until it serves a plan that is as wanted.
    async fn plan(&self, what: &str, wanted: impl Fn(PlanMark) -> bool) -> PlanMark {
        eventually(DEADLINE, what, async || {
            self.client.plan().await.filter(|mark| wanted(*mark))
        })
        .await
    }
}

impl Pair {
    /// Starts the first replica, waits for its plan, and starts the second with its own flags.
    async fn start(second: impl Fn(WeirCommand) -> WeirCommand) -> Self {
        let cluster = Cluster::start();
        let command = WeirProcess::command()
            .flag("--database-url", cluster.url("postgres"))
            .flag("--interval", "2s");
        let first = Replica::start(command.clone()).await;
        let mut targets = vec![first.process.sdk_url().to_owned()];
        let agents = Agents::start(steady(), targets.clone());
        let mark = first.plan("the first plan", |mark| mark.number > 0).await;
        let second = Replica::start(second(command)).await;
        targets.push(second.process.sdk_url().to_owned());
        agents.redirect(targets);
        second
            .plan("the second serves plans too", |served| {
                served.number > mark.number
            })
            .await;
        Self {
            cluster,
            replicas: [first, second],
            first_term: mark.term,
            agents,
        }
    }

    fn url(&self) -> String {
        self.cluster.url("postgres")
    }

    /// Who leads, its last plan, and who follows. The term rises with each change of the
    /// leader, so that its parity tells which of two it is.
    async fn roles(&self) -> (usize, PlanMark, usize) {
        let mark = self.replicas[1].plan("a plan", |_| true).await;
        let leader = usize::from((mark.term - self.first_term) % 2 == 1);
        (leader, mark, 1 - leader)
    }

    /// Compares bodies at several plans, each published while watching.
    async fn assert_same_bodies(&self) {
        let [first, second] = &self.replicas;
        let mut last = 0;
        for _ in 0..3 {
            let (one, other) = eventually(DEADLINE, "both serve one new plan", async || {
                let one = first.client.strategy(SERVICE).await?;
                let other = second.client.strategy(SERVICE).await?;
                (one.plan == other.plan && one.plan > last).then_some((one, other))
            })
            .await;
            assert!(one.listed("GET /busy").is_some(), "{one:?}");
            assert_eq!(one.body, other.body);
            last = one.plan;
        }
    }

    /// Ends the traffic and compares what the agents were acknowledged, by either replica, with
    /// what is stored; then checks the plans published on the way.
    async fn assert_sound(mut self) {
        let acknowledged = self.agents.finish().await;
        assert!(!acknowledged.is_empty());
        let url = self.cluster.url("postgres");
        let store = PostgresStore::connect(&url, 2).await.unwrap();
        assert_eq!(stored_totals(&store).await, acknowledged);
        assert_one_line(&plans(&url).await);
    }
}

/// Four agents whose traffic stays the same.
fn steady() -> Behaviour {
    let every = Duration::from_millis(250);
    Behaviour {
        agents: 4,
        every: Some(every),
        window: every,
        repeated: 0.2,
        counts: Arc::new(|_| vec![count("GET /busy", 500), count("GET /quiet", 20)]),
    }
}

fn count(operation: &str, offered: u64) -> Count {
    Count {
        service: SERVICE.to_owned(),
        operation: operation.to_owned(),
        offered,
        sampled: offered / 10,
    }
}

/// What one replica serves, looked at again and again.
struct Watch {
    task: JoinHandle<Vec<PlanMark>>,
    stop: CancellationToken,
}

impl Watch {
    fn start(client: Client) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn({
            let stop = stop.clone();
            let mut look = tokio::time::interval(Duration::from_millis(50));
            async move {
                let mut seen: Vec<PlanMark> = Vec::new();
                while !stop.is_cancelled() {
                    look.tick().await;
                    // A replica that is frozen or dead serves nothing, nothing stale either.
                    let Some(mark) = client.plan().await else {
                        continue;
                    };
                    if seen.last() != Some(&mark) {
                        seen.push(mark);
                    }
                }
                seen
            }
        });
        Self { task, stop }
    }

    /// Ends the watch: every plan served was newer than the one before, under no older term.
    async fn assert_forward(self) {
        self.stop.cancel();
        let seen = self.task.await.unwrap();
        let forward =
            |pair: &[PlanMark]| pair[0].number < pair[1].number && pair[0].term <= pair[1].term;
        assert!(seen.windows(2).all(forward), "{seen:?}");
    }
}

/// A stored plan, without its body.
#[derive(Debug, sqlx::FromRow)]
struct PlanRow {
    number: i64,
    term: i64,
    window_end_ms: i64,
}

/// Every stored plan, oldest first.
async fn plans(url: &str) -> Vec<PlanRow> {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query_as(
        "-- plans_in_order
         select number, epoch as term, window_end_ms from plan order by number",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap()
}

/// Checks that plans form one line: no number left out or taken twice, no term after a newer
/// one, no window far from the one before.
fn assert_one_line(plans: &[PlanRow]) {
    for pair in plans.windows(2) {
        let step = pair[1].window_end_ms - pair[0].window_end_ms;
        assert_eq!(pair[1].number, pair[0].number + 1, "{plans:?}");
        assert!(pair[1].term >= pair[0].term, "{plans:?}");
        assert!(
            (1..=WINDOW_STEP_MAX_MILLISECONDS).contains(&step),
            "{plans:?}"
        );
    }
}

/// Waits until one leader has published three plans in a row after a plan.
async fn one_leader_after(url: &str, mark: PlanMark) {
    eventually(
        DEADLINE,
        "one leader publishes three plans in a row",
        async || {
            let plans = plans(url).await;
            let later: Vec<_> = plans
                .iter()
                .filter(|plan| plan.number > mark.number as i64)
                .collect();
            later
                .windows(3)
                .any(|three| three[0].term == three[2].term)
                .then_some(())
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_serve_the_same_plans_and_bodies() {
    let pair = Pair::start(|command| command).await;
    pair.assert_same_bodies().await;
    pair.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn follower_takes_over_from_a_killed_leader() {
    let mut pair = Pair::start(|command| command).await;
    let (leader, before, follower) = pair.roles().await;
    let watch = Watch::start(pair.replicas[follower].client.clone());
    pair.replicas[leader].process.kill9();
    let newer = |mark: PlanMark| mark.term > before.term && mark.number > before.number;
    let taken = pair.replicas[follower]
        .plan("the follower publishes", newer)
        .await;
    one_leader_after(&pair.url(), taken).await;
    watch.assert_forward().await;
    pair.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thawed_leader_publishes_nothing_stale() {
    let pair = Pair::start(|command| command).await;
    let (leader, before, follower) = pair.roles().await;
    let [leader, follower] = [leader, follower].map(|number| &pair.replicas[number]);
    let watches = [leader, follower].map(|replica| Watch::start(replica.client.clone()));
    leader.process.stop();
    let newer = |mark: PlanMark| mark.term > before.term;
    let taken = follower.plan("the follower publishes", newer).await;
    leader.process.cont();
    let follows = "the thawed leader serves the other's plans";
    leader
        .plan(follows, |mark| mark.number > taken.number)
        .await;
    one_leader_after(&pair.url(), taken).await;
    for watch in watches {
        watch.assert_forward().await;
    }
    pair.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_an_hour_fast_breaks_nothing() {
    survives_a_wrong_clock(AN_HOUR_SECONDS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_an_hour_slow_breaks_nothing() {
    survives_a_wrong_clock(-AN_HOUR_SECONDS).await;
}

/// One replica's clock is wrong while it follows, and when it has to lead.
async fn survives_a_wrong_clock(seconds: i64) {
    let mut pair = Pair::start(|command| command.wall_clock_off_by(seconds)).await;
    let off = (pair.replicas[1].client.clock().await - now()).num_seconds();
    assert!(
        (off - seconds).abs() < AN_HOUR_SECONDS / 2,
        "its clock is off by {off} s"
    );
    pair.assert_same_bodies().await;
    let before = pair.replicas[0]
        .plan("the right replica's last plan", |_| true)
        .await;
    pair.replicas[0].process.kill9();
    let alone = "the replica with the wrong clock publishes";
    let taken = pair.replicas[1]
        .plan(alone, |mark| mark.number > before.number + 1)
        .await;
    one_leader_after(&pair.url(), taken).await;
    pair.assert_sound().await;
}
