//! Finds the endpoint for a method and a path.

use std::collections::HashMap;
use std::sync::Arc;

use crate::api::endpoint::Endpoint;

/// An endpoint with the parameters that its path carries.
pub(crate) type Found = (Arc<Endpoint>, Vec<(String, String)>);

/// A tree of path segments.
#[derive(Default)]
pub(crate) struct Router {
    root: Branch,
    pub(crate) all: Vec<Arc<Endpoint>>,
}

#[derive(Default)]
struct Branch {
    named: HashMap<&'static str, Branch>,
    any: Option<(&'static str, Box<Branch>)>,
    methods: HashMap<&'static str, Arc<Endpoint>>,
}

impl Router {
    /// Builds the tree.
    pub(crate) fn new(endpoints: Vec<Endpoint>) -> Self {
        let mut router = Self::default();
        for endpoint in endpoints {
            let endpoint = Arc::new(endpoint);
            let mut branch = &mut router.root;
            for segment in endpoint.path.split('/').filter(|s| !s.is_empty()) {
                branch = match segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
                    Some(name) => &mut branch.any.get_or_insert_with(|| (name, Box::default())).1,
                    None => branch.named.entry(segment).or_default(),
                };
            }
            branch.methods.insert(endpoint.method, endpoint.clone());
            router.all.push(endpoint);
        }
        router
    }

    /// The endpoint and the parameters its path carries.
    pub(crate) fn find(&self, method: &str, path: &str) -> Option<Found> {
        let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
        let mut branch = &self.root;
        let mut found = Vec::new();
        for (at, segment) in segments.iter().enumerate() {
            if let Some(next) = branch.named.get(segment) {
                branch = next;
                continue;
            }
            let (name, next) = branch.any.as_ref()?;
            branch = next;
            if let Some(endpoint) = branch.methods.get(method).filter(|e| e.rest) {
                found.push(((*name).to_owned(), segments[at..].join("/")));
                return Some((endpoint.clone(), found));
            }
            found.push(((*name).to_owned(), (*segment).to_owned()));
        }
        branch.methods.get(method).map(|endpoint| (endpoint.clone(), found))
    }
}
