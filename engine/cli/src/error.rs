//! Every error of the command line has a class, and every class an exit code.

use ablate_cache::StoreError;
use ablate_core::StageError;

/// Why a command did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// A stage failed, or an operation did.
    #[error("{0}")]
    Failed(String),
    /// The command line asks for something that is not there.
    #[error("error: {0}")]
    Usage(String),
    /// The experiment file has problems; they are printed already rendered.
    #[error("{0}")]
    Experiment(String),
    /// The store is damaged or cannot be used.
    #[error("error: the store cannot be used: {0}")]
    Store(#[from] StoreError),
    /// Somebody else uses the store.
    #[error("error: {0}")]
    Locked(String),
    /// A check found a difference.
    #[error("{0}")]
    Different(String),
    /// Interrupted by the user.
    #[error("interrupted: finished nodes are kept, run the same command to go on")]
    Interrupted,
}

impl CliError {
    /// The documented exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Experiment(_) => 3,
            Self::Different(_) => 4,
            Self::Store(_) | Self::Locked(_) => 5,
            Self::Interrupted => 130,
        }
    }
}

impl From<StageError> for CliError {
    fn from(error: StageError) -> Self {
        match error {
            StageError::Cancelled => Self::Interrupted,
            StageError::Failed {
                message,
                help: Some(help),
            } => Self::Failed(format!("error: {message}\n  help: {help}")),
            StageError::Failed { message, help: None } => Self::Failed(format!("error: {message}")),
        }
    }
}

impl From<ablate_run::RunError> for CliError {
    fn from(error: ablate_run::RunError) -> Self {
        match error {
            ablate_run::RunError::Store(error) => Self::Store(error),
        }
    }
}
