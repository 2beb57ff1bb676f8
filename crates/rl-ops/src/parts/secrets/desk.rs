//! Where values come from, and where it is written down which file holds which version.

use std::sync::Arc;

use async_trait::async_trait;
use rl_model::{GrantChange, GuestId, GuestPath};
use rl_providers::secrets::SecretProvider;

use crate::context::RegistryError;

/// The book of what was delivered, kept in the store. Every call is one transaction.
#[async_trait]
pub trait DeliveryBook: Send + Sync {
    /// Writes down that a file of a guest holds what was granted, in the version that the change names.
    async fn delivered(&self, guest: &GuestId, grant: &GrantChange) -> Result<(), RegistryError>;

    /// Writes down that a file of a guest is gone. Doing it again changes nothing.
    async fn gone(&self, guest: &GuestId, path: &GuestPath) -> Result<(), RegistryError>;
}

/// What steps need to deliver secrets.
#[derive(Clone)]
pub struct SecretDesk {
    /// Hands out values.
    pub provider: Arc<dyn SecretProvider>,
    /// The book.
    pub book: Arc<dyn DeliveryBook>,
}
