//! The nouns of RapidLaunch: ids, manifest, resolved stack, observed world, plan and proof.
