//! The server's budget: set for a run, and restored at its end, however the run ends.

use std::time::Duration;

use super::ReplayError;
use crate::cli::say;
use crate::simulate::client::{Budget, Client, ClientError};

/// How often to try when somebody else changes the budget at the same moment.
const TAKE_TRIES: usize = 5;
/// How often to try to restore the budget while the server does not answer, and how long to wait in
/// between. A restart or a failover is over by then.
const RETURN_TRIES: usize = 20;
const RETURN_PAUSE: Duration = Duration::from_secs(1);

/// The budget before the run, and during the run.
pub(super) struct BorrowedBudget<'a> {
    client: &'a Client,
    former: Budget,
    ours: Budget,
}

impl<'a> BorrowedBudget<'a> {
    /// Sets the budget for the run.
    ///
    /// # Errors
    /// If the server does not accept it. If its answer got lost, the budget is restored first.
    pub async fn take(client: &'a Client, wanted: f64) -> Result<Self, ReplayError> {
        for _ in 0..TAKE_TRIES {
            let former = client.budget().await?;
            if former.traces_per_second == wanted {
                say(&format!("the budget is {wanted} traces/s already"));
                let ours = former.clone();
                return Ok(Self {
                    client,
                    former,
                    ours,
                });
            }
            match client.set_budget(wanted, &former.tag).await {
                Ok(ours) => {
                    let borrowed = Self {
                        client,
                        former,
                        ours,
                    };
                    borrowed.announce();
                    return Ok(borrowed);
                }
                Err(error) if error.is_conflict() => {}
                Err(error) => {
                    Self::undo(client, former, wanted).await?;
                    return Err(error.into());
                }
            }
        }
        Err(ReplayError::BudgetContended)
    }

    fn announce(&self) {
        let (former, ours) = (self.former.traces_per_second, self.ours.traces_per_second);
        say(&format!(
            "the budget was {former} traces/s; it is {ours} until the end of the run"
        ));
        say(&format!(
            "if this program is killed (SIGKILL), put the budget back yourself: {}",
            self.by_hand()
        ));
    }

    /// The command with which an operator restores the budget.
    fn by_hand(&self) -> String {
        format!(
            "curl -X PUT -H 'If-Match: *' -H 'Content-Type: application/json' -d '{{\"traces_per_second\":{}}}' {}",
            self.former.traces_per_second,
            self.client.budget_url()
        )
    }

    /// Restores the budget if the server changed it although its answer did not arrive.
    async fn undo(client: &'a Client, former: Budget, wanted: f64) -> Result<(), ReplayError> {
        let mut ours = former.clone();
        for _ in 0..RETURN_TRIES {
            match client.budget().await {
                Ok(now) if now.traces_per_second == wanted && now.tag != former.tag => {
                    ours = now;
                    break;
                }
                Ok(_) => return Ok(()),
                Err(_) => tokio::time::sleep(RETURN_PAUSE).await,
            }
        }
        let borrowed = Self {
            client,
            former,
            ours,
        };
        borrowed.put_back().await
    }

    /// Restores the budget, unless somebody else has changed it meanwhile.
    ///
    /// # Errors
    /// If the server does not answer for a while, or refuses.
    pub async fn put_back(&self) -> Result<(), ReplayError> {
        if self.former.tag == self.ours.tag {
            return Ok(());
        }
        let former = self.former.traces_per_second;
        let mut tries = 0;
        loop {
            tries += 1;
            match self.try_to_put_back().await {
                Ok(true) => {
                    say(&format!("the budget is {former} traces/s again"));
                    return Ok(());
                }
                Ok(false) => {
                    say(&format!(
                        "somebody changed the budget during the run, so it stays as it is (before the run: {former} traces/s)"
                    ));
                    return Ok(());
                }
                Err(error) if tries < RETURN_TRIES && error.may_pass() => {
                    tokio::time::sleep(RETURN_PAUSE).await;
                }
                Err(error) => {
                    say(&format!(
                        "the budget could not be put back to {former} traces/s; do it yourself: {}",
                        self.by_hand()
                    ));
                    return Err(error.into());
                }
            }
        }
    }

    /// Whether the budget is the previous one now. If not, somebody else has set another one.
    async fn try_to_put_back(&self) -> Result<bool, ClientError> {
        let former = self.former.traces_per_second;
        match self.client.set_budget(former, &self.ours.tag).await {
            Ok(_) => Ok(true),
            // The answer to an earlier attempt may have been lost.
            Err(error) if error.is_conflict() => {
                Ok(self.client.budget().await?.traces_per_second == former)
            }
            Err(error) => Err(error),
        }
    }
}
