//! Asking a running server, and what to say when it does not answer.

use std::error::Error;
use std::io::{self, Write};
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::args::{Apps, Ask, Audience, Common, Manner, Members, ObjectsVerb};
use super::{Exit, Target, say, secure, verbs};
use crate::config::Environment;
use crate::grpc::proto::quota_service_client::QuotaServiceClient;

/// What a verb prints and how it ends.
pub(super) struct Answer {
    /// For people.
    pub text: String,
    /// For scripts.
    pub json: serde_json::Value,
    /// How the program ends.
    pub exit: Exit,
}

/// Why there is no answer.
pub(super) enum NoAnswer {
    /// Nobody is there.
    Nobody(tonic::transport::Error),
    /// An operator has no token to show.
    NoToken(String),
    /// The answer took too long.
    TooLate,
    /// The server says that it cannot.
    Status(Box<Status>),
    /// What is to be sent cannot be read, or is wrong.
    Input(String),
    /// A part was done.
    HalfDone {
        /// What was done.
        done: Box<Answer>,
        /// Why not the rest.
        why: Box<NoAnswer>,
    },
    /// Of a file of orders those before a line were carried out, and are not to be carried out again.
    BrokenOff {
        /// What was done.
        done: Box<Answer>,
        /// Why not the rest.
        why: Box<NoAnswer>,
        /// The line that was not.
        line: usize,
    },
    /// All was done that could be.
    Problems {
        /// What was done.
        done: Box<Answer>,
        /// What was not, a line each.
        told: String,
    },
}

impl From<Status> for NoAnswer {
    fn from(status: Status) -> Self {
        // The connection keeps the deadline as well, and may be the first.
        if innermost(&status).is::<tonic::TimeoutExpired>() {
            return Self::TooLate;
        }
        Self::Status(Box::new(status))
    }
}

/// A connection and how long its calls may take.
pub(super) struct Client {
    pub service: QuotaServiceClient<Channel>,
    timeout: Duration,
    bearer: Option<MetadataValue<Ascii>>,
}

impl Client {
    /// `message` as a request that tells the server how long it is waited for.
    pub fn request<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        request.set_timeout(self.timeout);
        shown(&mut request, self.bearer.as_ref());
        request
    }
}

/// Asks the server: the answer goes to `out`, a failure to `err`, and how far a long work is as well,
/// if that `err_is_terminal`. From the environment it is known where a server keeps the operators' token.
pub fn ask(
    what: &Ask,
    environment: &Environment,
    out: &mut dyn Write,
    err: &mut dyn Write,
    err_is_terminal: bool,
) -> Exit {
    let manner = what.manner();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            say(err, &format!("imquota: cannot begin: {error}"));
            return Exit::Fault;
        }
    };
    let progress: Option<&mut dyn Write> = if err_is_terminal {
        Some(&mut *err)
    } else {
        None
    };
    let asked = match what {
        Ask::Objects(ObjectsVerb::Import(args)) if args.at_count.is_none() => {
            runtime.block_on(verbs::import(args, environment, progress))
        }
        Ask::RunBills(args) => runtime.block_on(verbs::run_bills(args, environment, progress)),
        Ask::Recount(args) if args.file.is_some() => {
            runtime.block_on(verbs::recount_all(args, environment, progress))
        }
        _ => runtime.block_on(answer(what, environment, manner.timeout)),
    };
    match asked {
        Ok(answer) => show(manner, &answer, out),
        Err(no_answer) => {
            if let NoAnswer::HalfDone { done, .. }
            | NoAnswer::BrokenOff { done, .. }
            | NoAnswer::Problems { done, .. } = &no_answer
            {
                show(manner, done, out);
            }
            say(err, &format!("imquota: {}", explain(manner, &no_answer)));
            Exit::Fault
        }
    }
}

/// Does what a verb asks of a server, on a runtime of its own.
pub(super) fn on_a_runtime<T>(work: impl Future<Output = T>) -> io::Result<T> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    Ok(runtime.enable_all().build()?.block_on(work))
}

fn show(manner: Manner<'_>, answer: &Answer, out: &mut dyn Write) -> Exit {
    if manner.json {
        say(out, &answer.json.to_string());
    } else {
        say(out, &answer.text);
    }
    answer.exit
}

async fn answer(
    what: &Ask,
    environment: &Environment,
    timeout: Duration,
) -> Result<Answer, NoAnswer> {
    let answer = async {
        match what {
            Ask::Check(args) => verbs::check(args).await,
            Ask::Confirm(args) => verbs::confirm(args).await,
            Ask::Cancel(args) => verbs::cancel(args).await,
            Ask::Release(args) => verbs::release(args).await,
            Ask::RecordActive(args) => verbs::record_active(args).await,
            Ask::Usage(args) => verbs::usage(args).await,
            Ask::Bill(args) => verbs::bill(args).await,
            Ask::Apps(Apps::List(args)) => verbs::apps_list(args, environment).await,
            Ask::Apps(Apps::Get(args)) => verbs::apps_get(args, environment).await,
            Ask::Apps(Apps::Put(args)) => verbs::apps_put(args, environment).await,
            Ask::Apps(Apps::Delete(args)) => verbs::apps_delete(args, environment).await,
            Ask::Recount(args) => verbs::recount(args, environment).await,
            Ask::Holds(args) => verbs::holds(args, environment).await,
            Ask::Objects(ObjectsVerb::Import(args)) => verbs::at_count(args, environment).await,
            // Long work, of which each call is waited for by itself.
            Ask::RunBills(args) => verbs::run_bills(args, environment, None).await,
            Ask::CorrectDay(args) => verbs::correct(args, environment).await,
            Ask::Members(Members::List(args)) => verbs::members_list(args, environment).await,
            Ask::Members(Members::Retire(args)) => verbs::retire(args, environment).await,
            Ask::Audit(args) => verbs::audit(args, environment).await,
            Ask::LogFilter(args) => verbs::log_filter(args, environment).await,
        }
    };
    // The connection and the call together.
    let bounded = tokio::time::timeout(timeout, answer).await;
    bounded.unwrap_or(Err(NoAnswer::TooLate))
}

/// Connects to the server.
pub(super) async fn connect(common: &Common) -> Result<Client, NoAnswer> {
    Ok(Client {
        bearer: bearer(common)?,
        service: QuotaServiceClient::new(channel(common).await?),
        timeout: common.timeout,
    })
}

/// A connection to whatever the server serves.
pub(super) async fn channel(common: &Common) -> Result<Channel, NoAnswer> {
    secure::connect(&common.endpoint, &common.security).await
}

/// What the calls show, if the flags name a token.
pub(super) fn bearer(common: &Common) -> Result<Option<MetadataValue<Ascii>>, NoAnswer> {
    let path = common.token_file.as_deref();
    path.map(secure::bearer)
        .transpose()
        .map_err(NoAnswer::Input)
}

/// Has a request show a token.
pub(super) fn shown<T>(request: &mut tonic::Request<T>, bearer: Option<&MetadataValue<Ascii>>) {
    if let Some(bearer) = bearer {
        let metadata = request.metadata_mut();
        metadata.insert("authorization", bearer.clone());
    }
}

pub(super) fn explain(manner: Manner<'_>, no_answer: &NoAnswer) -> String {
    let (target, timeout) = (manner.target, manner.timeout);
    let (serve, endpoint) = match manner.audience {
        Audience::Gateways => ("imquota serve", "--endpoint"),
        Audience::Operators => ("imquota serve --admin-listen ADDR", "--admin-endpoint"),
    };
    match no_answer {
        NoAnswer::Nobody(error) => format!(
            "no imquota answers at {target}: {}; start one with `{serve}`, or name another with \
             {endpoint}",
            cause(error)
        ),
        NoAnswer::NoToken(why) => {
            format!("no token to show to {target}: {why}; name its file with --token-file")
        }
        NoAnswer::Status(status) if status.code() == Code::Unauthenticated => format!(
            "{}; name the file of that server's token with --token-file",
            of_status(target, status)
        ),
        NoAnswer::TooLate => format!("no answer from {target} within {timeout:?}"),
        NoAnswer::Status(status) => of_status(target, status),
        NoAnswer::Input(problem) | NoAnswer::Problems { told: problem, .. } => problem.clone(),
        NoAnswer::HalfDone { why, .. } => {
            let advice = match **why {
                NoAnswer::Input(_) => {
                    "nothing behind it was sent; correct it, and give the same command"
                }
                _ => "the rest was not done; the same command again goes on",
            };
            format!("{}; {advice}", explain(manner, why))
        }
        NoAnswer::BrokenOff { why, line, .. } => format!(
            "line {line}: {}; what stands before it is set, and nothing behind it: give the rest, counted anew",
            explain(manner, why)
        ),
    }
}

/// The first cause of `error`.
pub(super) fn innermost<'e>(error: &'e (dyn Error + 'static)) -> &'e (dyn Error + 'static) {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost
}

/// Why there is no connection, in few words where it is a usual reason.
fn cause(error: &tonic::transport::Error) -> String {
    let innermost = innermost(error);
    let kind = innermost.downcast_ref::<io::Error>().map(io::Error::kind);
    match kind {
        Some(io::ErrorKind::ConnectionRefused) => "connection refused".to_owned(),
        Some(io::ErrorKind::NotFound) => "there is no such socket".to_owned(),
        Some(io::ErrorKind::PermissionDenied) => "permission denied".to_owned(),
        _ => innermost.to_string(),
    }
}

fn of_status(target: &Target, status: &Status) -> String {
    let message = status.message();
    if status.source().is_some() {
        // No server sent this status: the connection made it.
        return format!("{target} broke off, or is no imquota: {message}");
    }
    if status.code() == Code::Unimplemented {
        return format!("{target} is no imquota, or one of another version: {message}");
    }
    let text = format!("{}: {message}", code_name(status.code()));
    let details = status.get_error_details();
    let violations = details
        .bad_request()
        .map(|bad| bad.field_violations.as_slice());
    // A single one is what the message says already.
    let violations = violations.filter(|all| all.len() > 1).unwrap_or_default();
    violations.iter().fold(text, |text, violation| {
        format!("{text}\n  {}: {}", violation.field, violation.description)
    })
}

/// The code's name as gRPC's documents write it.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
