//! Reads a page of a sidecar over plain HTTP.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::Target;

/// How long connecting, and each read and write, may take.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// The longest page that is read.
const PAGE_BYTES_MAX: u64 = 4 << 20;

/// What stands at `path`.
///
/// # Errors
/// In words for who asked.
pub(super) fn read(target: &Target, path: &str) -> Result<String, String> {
    if target.is_tls() {
        return Err(format!(
            "{target}: pages are read over plain HTTP here; name such a listener, or use a browser"
        ));
    }
    let answer = ask(target, path).map_err(|problem| format!("{target}: {problem}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| {
        format!("{target} does not speak HTTP; is it the --http-listen of a sidecar?")
    })?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status != "200" {
        return Err(format!("{target} answers {status}: {}", body.trim()));
    }
    Ok(body.to_owned())
}

fn ask(target: &Target, path: &str) -> io::Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: imquota\r\nconnection: close\r\n\r\n");
    if let Some(socket) = target.socket() {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(WAIT_MAX))?;
        stream.set_write_timeout(Some(WAIT_MAX))?;
        return converse(stream, &request);
    }
    let addresses = target.host_and_port().to_socket_addrs()?;
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match TcpStream::connect_timeout(&address, WAIT_MAX) {
            Ok(stream) => {
                stream.set_read_timeout(Some(WAIT_MAX))?;
                stream.set_write_timeout(Some(WAIT_MAX))?;
                return converse(stream, &request);
            }
            Err(problem) => last = problem,
        }
    }
    Err(last)
}

fn converse(mut stream: impl Read + Write, request: &str) -> io::Result<String> {
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(PAGE_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}
