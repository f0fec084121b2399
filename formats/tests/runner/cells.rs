//! What has been compared how often.
