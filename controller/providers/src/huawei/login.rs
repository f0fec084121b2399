//! Keys that sign, and the project of a region: each is found once for all who wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::credentials::{Credentials, Source};
use super::shared::Shared;
use super::signing::{Keys, Target};
use super::{api, credentials, invalid, is_word, machine, regions};
use crate::ProviderErrorKind;
use crate::http::HttpClient;
use crate::json::Json;
use crate::local::Environment;

/// Time before their end at which keys are asked for anew; a quarter of their life, if that is shorter.
const EARLY: Duration = Duration::from_secs(300);
/// Time for all attempts to find a project.
const DEADLINE: Duration = Duration::from_secs(30);

/// Who is logged in.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) keys: Arc<Keys>,
    project: Option<String>,
    iam: Option<String>,
    end: Option<Instant>,
}

impl Session {
    /// Returns whether other keys can be had when these are refused.
    pub(super) fn renews(&self) -> bool {
        self.end.is_some()
    }
}

/// Logs in.
pub(super) struct Login {
    http: HttpClient,
    /// Never behind a proxy.
    direct: HttpClient,
    environment: Environment,
    session: Shared<Session>,
    /// By region.
    projects: Mutex<HashMap<String, Arc<Shared<String>>>>,
}

impl Login {
    pub(super) fn new(http: HttpClient, direct: HttpClient, environment: Environment) -> Self {
        Self { http, direct, environment, session: Shared::default(), projects: Mutex::default() }
    }

    /// Returns the session there is, unless it ends or is the one that was refused.
    pub(super) async fn session(&self, refused: Option<&Session>) -> Result<Session, ProviderErrorKind> {
        let is_good = |session: &Session| {
            session.end.is_none_or(|end| Instant::now() < end)
                && refused.is_none_or(|refused| !Arc::ptr_eq(&refused.keys, &session.keys))
        };
        self.session.get(is_good, self.open()).await
    }

    async fn open(&self) -> Result<Session, ProviderErrorKind> {
        let Credentials { source, project, iam } = credentials::find(&self.environment)?;
        let (keys, life) = match source {
            Source::Given(keys) => {
                if [Some(&keys.access), keys.token.as_ref()].into_iter().flatten().all(api::is_header) {
                    return Ok(Session { keys, project, iam, end: None });
                }
                return Err(invalid(
                    "the access key or its token has characters that none has, a line end for example",
                ));
            }
            Source::Machine(missed) => self.ending(missed).await?,
        };
        let end = Instant::now().checked_add(life - EARLY.min(life / 4));
        Ok(Session { keys, project, iam, end: end.or_else(|| Some(Instant::now())) })
    }

    async fn ending(&self, mut missed: Vec<String>) -> Result<machine::Ending, ProviderErrorKind> {
        match machine::agency(&self.direct).await {
            Ok(found) => return Ok(found),
            Err(error) => missed.push(format!("machine: {error}")),
        }
        match machine::pod(&self.direct, &self.environment).await {
            Some(Ok(found)) => return Ok(found),
            Some(Err(error)) => missed.push(format!("pod: {error}")),
            None => missed.push("pod: HC_CONTAINER_CREDENTIALS_FULL_URI is not set".to_owned()),
        }
        Err(ProviderErrorKind::Unauthenticated(format!(
            "failed to get HuaweiCloud credentials: {}; set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK",
            missed.join("; ")
        )))
    }

    /// Returns the project of a region.
    pub(super) async fn project(&self, session: &Session, region: &str) -> Result<String, ProviderErrorKind> {
        if let Some(project) = &session.project {
            return Ok(project.clone());
        }
        let slot = {
            let mut projects = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(projects.entry(region.to_owned()).or_default())
        };
        slot.get(|_| true, self.ask_project(session, region)).await
    }

    async fn ask_project(&self, session: &Session, region: &str) -> Result<String, ProviderErrorKind> {
        let target = Target {
            endpoint: regions::iam(&self.environment, region, session.iam.as_deref())?,
            path: "/v3/projects".to_owned(),
            // A word: see `regions::kms`.
            query: format!("name={region}"),
        };
        let answer = api::call(&self.http, &session.keys, None, &target, None, DEADLINE).await?;
        let hint = "set HUAWEICLOUD_SDK_PROJECT_ID, or project_id of the profile";
        let Some(Json::List(found)) = answer.get("projects") else {
            return Err(ProviderErrorKind::Failed(format!(
                "the answer of {} has no projects",
                target.host()
            )));
        };
        let count = found.len();
        match found.as_slice() {
            [project] => {
                let id = project.str_at("id").filter(|id| is_word(id)).map(ToOwned::to_owned);
                id.ok_or_else(|| {
                    ProviderErrorKind::Failed(format!("the project of region '{region}' has no id"))
                })
            }
            [] => Err(invalid(format!(
                "failed to get project id of region '{region}' automatically: there is none; {hint}"
            ))),
            _ => Err(invalid(format!("multiple project ids found for region '{region}': {count}; {hint}"))),
        }
    }
}
