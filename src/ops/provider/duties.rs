//! What the commands ask of a provider.

use crate::edges::stop::Stop;
use crate::mail::ends::Transport;
use crate::mail::error::Error;
use crate::ops::check::Round;
use crate::ops::config::Config;
use crate::send::dry;

/// A provider with its settings.
pub trait Provider {
    /// Its name in the log.
    fn unit(&self) -> &'static str;

    /// Where it is, and what is set for it alone: `name=value …`, for the log. No secret.
    fn describe(&self) -> String;

    /// Builds what sends. Checks all it can before anything is taken.
    ///
    /// # Errors
    /// What a person must change.
    fn transport(&self, config: &Config, stop: &Stop) -> Result<Box<dyn Transport>, Error>;

    /// What is wrong with what only [`Provider::transport`] reads.
    fn fault(&self, config: &Config, stop: &Stop) -> Option<Error> {
        self.transport(config, stop).err()
    }

    /// What is printed in place of sending.
    ///
    /// # Errors
    /// As [`Provider::transport`].
    fn dry(&self, config: &Config) -> Result<dry::Settings, Error>;

    /// Looks at all that sending needs there; sends nothing.
    fn check(&self, round: &mut Round<'_>);
}
