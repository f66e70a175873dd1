//! Asking as an operator: another address, and a token where that is not a socket.

use std::path::PathBuf;

use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;

use super::args::AdminCommon;
use super::client::{NoAnswer, shown};
use super::secure;
use crate::config::{self, Environment};
use crate::grpc::TOKEN_FILE;
use crate::grpc::proto::admin_service_client::AdminServiceClient;

/// A connection to the operators' service.
pub(super) struct AdminClient {
    pub service: AdminServiceClient<Channel>,
    timeout: std::time::Duration,
    bearer: Option<MetadataValue<Ascii>>,
}

impl AdminClient {
    /// `message` as a request that says who asks and how long the answer is waited for.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.timeout);
        shown(&mut request, self.bearer.as_ref());
        request
    }
}

/// Connects to the operators' service. Over a socket the system says who asks; else the token is read
/// first, since nobody without one is let in.
pub(super) async fn connect(
    common: &AdminCommon,
    environment: &Environment,
) -> Result<AdminClient, NoAnswer> {
    let known_without = common.admin_endpoint.is_unix() || common.security.cert.is_some();
    let bearer = if known_without && common.token_file.is_none() {
        None
    } else {
        Some(bearer(common, environment).map_err(NoAnswer::NoToken)?)
    };
    let channel = secure::connect(&common.admin_endpoint, &common.security).await?;
    Ok(AdminClient {
        service: AdminServiceClient::new(channel),
        timeout: common.timeout,
        bearer,
    })
}

fn bearer(common: &AdminCommon, environment: &Environment) -> Result<MetadataValue<Ascii>, String> {
    let path = match &common.token_file {
        Some(path) => path.clone(),
        None => default_file(environment)?,
    };
    secure::bearer(&path)
}

/// Where a server keeps its token that was started with this environment and without flags.
fn default_file(environment: &Environment) -> Result<PathBuf, String> {
    let folder = config::data_dir(environment);
    folder
        .map(|folder| folder.join(TOKEN_FILE))
        .map_err(|faults| {
            format!("where the server's data folder is cannot be told from the settings: {faults}")
        })
}
