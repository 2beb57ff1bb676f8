//! A simulated Proxmox VE site behind real HTTPS.
