//! The sites of a running server: read from the store again and again, so that a site that comes with a later `apply` is served.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rl_engine::StepError;
use rl_model::{Site, SiteName};
use rl_ops::{SiteApi, SiteSource};
use rl_pve::Pace;

use crate::error::CommandError;
use crate::out::Out;
use crate::telemetry::CallLabels;
use crate::work::connect;
use crate::work::data::Data;

/// Wait of a step whose site was not read yet.
const NOT_READ_YET: Duration = Duration::from_secs(1);

/// See the module.
pub(crate) struct LiveSites {
    data: Arc<Data>,
    only: BTreeSet<SiteName>,
    pace: Pace,
    calls: Arc<CallLabels>,
    out: Out,
    known: RwLock<BTreeMap<SiteName, Known>>,
}

/// A site of the store.
#[derive(Clone)]
enum Known {
    /// Can be called.
    Connected(Arc<SiteApi>),
    /// Cannot be called by this server, with the reason; tried again at every reading.
    Unusable(String),
}

impl LiveSites {
    pub(super) fn new(data: Arc<Data>, only: BTreeSet<SiteName>, pace: Pace, calls: Arc<CallLabels>, out: Out) -> Self {
        Self { data, only, pace, calls, out, known: RwLock::default() }
    }

    /// The names of all sites that this server works for.
    pub(crate) fn names(&self) -> Vec<SiteName> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// The same, with whether this server can call them.
    pub(crate) fn states(&self) -> Vec<(SiteName, bool)> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().map(|(name, site)| (name.clone(), matches!(site, Known::Connected(_)))).collect()
    }

    /// Reads the store's sites; connects those that are new, have changed, or could not be connected before.
    pub(super) async fn refresh(&self) -> Result<(), CommandError> {
        let sites = self.data.sites().await?;
        for site in sites.into_iter().filter(|site| self.only.is_empty() || self.only.contains(&site.name)) {
            let before = self.get(&site.name);
            if matches!(&before, Some(Known::Connected(api)) if *api.site() == site) {
                continue;
            }
            let now = self.connect(&site).await;
            if let (Known::Unusable(why), Some(Known::Connected(_)) | None) = (&now, &before) {
                self.out.say(&format!("warning: {why}; jobs of site {} wait for a person", site.name));
            }
            self.known.write().unwrap_or_else(PoisonError::into_inner).insert(site.name.clone(), now);
        }
        Ok(())
    }

    async fn connect(&self, site: &Site) -> Known {
        match connect::connect_one(&self.data, site, self.pace, &self.out).await {
            Ok(api) => {
                let _ = api.pve().clone().watched_by(self.calls.watch(&site.name));
                Known::Connected(api)
            }
            Err(error) => Known::Unusable(error.message),
        }
    }

    fn get(&self, name: &SiteName) -> Option<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

impl SiteSource for LiveSites {
    fn site(&self, name: &SiteName) -> Result<Arc<SiteApi>, StepError> {
        match self.get(name) {
            Some(Known::Connected(api)) => Ok(api),
            Some(Known::Unusable(why)) => Err(StepError::blocked(
                why,
                format!("make the token of site {name} readable for the server, then `rapidlaunch op retry`"),
            )),
            None if !self.only.is_empty() && !self.only.contains(name) => Err(StepError::retry(
                NOT_READ_YET,
                format!("this server does not work for site {name}; another one must (`serve --sites`)"),
            )),
            None => Err(StepError::retry(NOT_READ_YET, format!("site {name} was not read from the store yet"))),
        }
    }
}
