//! The databases of the audit: one connection each for a run, on a runtime that is driven while a row is waited for and
//! has no thread.

use std::sync::{Mutex, PoisonError};

use sealops_providers::postgres::{Database, InsertError, Settings, Surroundings};
use tokio::runtime::{Builder, Runtime};

use super::config::Backend;
use super::{Action, user};
use crate::sops::threads;

/// All databases. Rows are written one after the other, also by a command that works on many files.
pub(super) struct Databases {
    username: String,
    connections: Mutex<Connections>,
}

struct Connections {
    runtime: Runtime,
    all: Vec<Connection>,
    /// Why a row is missing: nothing is asked after that, so that many files do not wait for the same silence.
    failed: Option<String>,
}

struct Connection {
    place: String,
    settings: Settings,
    /// `None` when it was closed, and a new one failed.
    database: Option<Database>,
}

impl Databases {
    /// Connects to each.
    ///
    /// # Errors
    /// Returns a problem for each that does not work, with its place in the configuration.
    pub(super) fn connect(backends: Vec<Backend>) -> Result<Self, Vec<String>> {
        let username = user::name().map_err(|problem| vec![problem])?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| vec![format!("cannot start what speaks to the database: {}", error.kind())])?;
        let variable = |name: &str| std::env::var(name).ok();
        let around = Surroundings { variable: &variable, user: &username };
        let (mut all, mut problems) = (Vec::new(), Vec::new());
        for Backend { place, connection_string } in backends {
            let connected = Settings::parse(&connection_string, &around)
                .and_then(|settings| Ok((runtime.block_on(Database::connect(&settings))?, settings)));
            match connected {
                Ok((database, settings)) => {
                    all.push(Connection { place, settings, database: Some(database) });
                }
                Err(problem) => problems.push(format!("{place}: {problem}")),
            }
        }
        let connections = Connections { runtime, all, failed: None };
        if problems.is_empty() {
            Ok(Self { username, connections: Mutex::new(connections) })
        } else {
            Err(problems)
        }
    }

    /// Writes a row in each.
    ///
    /// # Errors
    /// Says which does not have it; those before it do.
    pub(super) fn record(&self, action: Action, file: &str) -> Result<(), String> {
        threads::waiting(|| {
            let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
            connections.record(action, &self.username, file)
        })
    }
}

impl Connections {
    fn record(&mut self, action: Action, username: &str, file: &str) -> Result<(), String> {
        if let Some(problem) = &self.failed {
            return Err(problem.clone());
        }
        for connection in &mut self.all {
            let row = (action.name(), username, file);
            if let Err(problem) = self.runtime.block_on(connection.insert(row)) {
                let problem = format!("{}: {problem}", connection.place);
                self.failed = Some(problem.clone());
                return Err(problem);
            }
        }
        Ok(())
    }
}

impl Connection {
    /// Writes a row; over a new connection where the server has closed this one meanwhile, as it may while an editor is
    /// open.
    async fn insert(&mut self, (action, username, file): (&str, &str, &str)) -> Result<(), String> {
        if let Some(database) = &self.database {
            match database.insert(action, username, file).await {
                Err(InsertError::Closed) => self.database = None,
                result => return result.map_err(|error| error.to_string()),
            }
        }
        let database = Database::connect(&self.settings).await?;
        database.insert(action, username, file).await.map_err(|error| error.to_string())?;
        self.database = Some(database);
        Ok(())
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        for database in self.all.iter_mut().filter_map(|connection| connection.database.take()) {
            self.runtime.block_on(database.close());
        }
    }
}
