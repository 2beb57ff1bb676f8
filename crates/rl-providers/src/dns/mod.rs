//! Names and records: what a zone says, who owns a record, and the providers that change it.
