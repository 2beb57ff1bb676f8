//! What is kept for a while only is removed, in bites that hold nobody up.
use crate::error::StoreError;
use crate::store::Store;

/// Most rows of one kind removed in one transaction.
const TIDY_BITE: usize = 500;

impl Store {
    /// Removes answers, plans, deliveries and quarantines whose time is over, a bounded number of each. Answers whether there may be more.
    pub async fn tidy(&self) -> Result<bool, StoreError> {
        let answers = self.prune_answers(TIDY_BITE).await?;
        let plans = self.prune_plans(TIDY_BITE).await?;
        let deliveries = self.prune_deliveries(TIDY_BITE).await?;
        self.purge_quarantine().await?;
        Ok(answers.max(plans).max(deliveries) >= TIDY_BITE as u64)
    }
}
