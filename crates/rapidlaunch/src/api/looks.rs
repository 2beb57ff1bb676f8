//! What sites show, read for many callers at once: whoever asks within a moment of another gets the same answer.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rl_model::{ObservedSite, Site, SiteName};
use rl_ops::{Scope, observe};
use tokio::sync::Mutex;

use crate::out::Out;
use crate::work::data::Data;
use crate::work::{connect, operate};

/// How long what was seen is shown again: a page asks for several views at once, and a person sees no difference.
const FRESH: Duration = Duration::from_secs(2);

/// A site as it was seen, or why it could not be.
pub(crate) type Look = Arc<Result<ObservedSite, String>>;
type Kept = Arc<Mutex<Option<(Instant, Look)>>>;

/// See the module.
#[derive(Default)]
pub(crate) struct Looks {
    sites: Mutex<HashMap<SiteName, Kept>>,
}

impl Looks {
    /// The sites as they are, each read at most once at a time.
    pub(crate) async fn all(&self, data: &Data, sites: &[Site]) -> BTreeMap<SiteName, Look> {
        let looks = sites.iter().map(|site| async move { (site.name.clone(), self.one(data, site).await) });
        futures::future::join_all(looks).await.into_iter().collect()
    }

    async fn one(&self, data: &Data, site: &Site) -> Look {
        let kept = Arc::clone(self.sites.lock().await.entry(site.name.clone()).or_default());
        let mut kept = kept.lock().await;
        if let Some((at, look)) = &*kept
            && at.elapsed() < FRESH
        {
            return Arc::clone(look);
        }
        let look = Arc::new(look(data, site).await);
        *kept = Some((Instant::now(), Arc::clone(&look)));
        look
    }
}

async fn look(data: &Data, site: &Site) -> Result<ObservedSite, String> {
    let api = connect::connect_one(data, site, connect::pace(), &Out::silent()).await.map_err(|error| error.message)?;
    let one = BTreeMap::from([(site.name.clone(), api)]);
    let mut seen = observe(&one, &Scope::default(), operate::now_ms()).await.map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("{error}{cause}")
    })?;
    seen.sites.remove(&site.name).ok_or_else(|| "it was not read".to_owned())
}
