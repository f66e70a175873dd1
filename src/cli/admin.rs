//! Asking as an operator: another address, and a token where that is not a socket.

use std::path::PathBuf;

use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;

use super::args::AdminCommon;
use super::client::NoAnswer;
use crate::config::{self, Environment};
use crate::grpc::proto::admin_service_client::AdminServiceClient;
use crate::grpc::{TOKEN_FILE, Token};

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
        if let Some(bearer) = &self.bearer {
            let metadata = request.metadata_mut();
            metadata.insert("authorization", bearer.clone());
        }
        request
    }
}

/// Connects to the operators' service. Over a socket the system says who asks; else the token is read
/// first, since nobody without one is let in.
pub(super) async fn connect(
    common: &AdminCommon,
    environment: &Environment,
) -> Result<AdminClient, NoAnswer> {
    let bearer = if common.admin_endpoint.is_unix() {
        None
    } else {
        Some(bearer(common, environment).map_err(NoAnswer::NoToken)?)
    };
    let channel = common.admin_endpoint.endpoint().connect().await;
    Ok(AdminClient {
        service: AdminServiceClient::new(channel.map_err(NoAnswer::Nobody)?),
        timeout: common.timeout,
        bearer,
    })
}

fn bearer(common: &AdminCommon, environment: &Environment) -> Result<MetadataValue<Ascii>, String> {
    let path = match &common.token_file {
        Some(path) => path.clone(),
        None => default_file(environment)?,
    };
    let token = Token::read(&path).map_err(|fault| fault.to_string())?;
    let mut bearer = MetadataValue::try_from(format!("Bearer {}", token.as_str()))
        .map_err(|problem| format!("{}: {problem}", path.display()))?;
    bearer.set_sensitive(true);
    Ok(bearer)
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
