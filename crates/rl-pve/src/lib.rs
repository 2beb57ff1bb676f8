//! The Proxmox VE API: requests as values, wire quirks, client and task watcher.
