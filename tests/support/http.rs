//! Plain HTTP, as a scraper, a probe or a browser speaks it.

use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::wait::soon;

/// An answer, read to its end.
#[derive(Debug)]
pub struct Page {
    pub status: u16,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Page {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(of, _)| of == name);
        found.map(|(_, worth)| worth.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|why| panic!("{why}: {}", self.body))
    }

    /// The value of a series, as it is written: `name{label="worth"}`.
    pub fn series(&self, name: &str) -> Option<f64> {
        let mut lines = self.body.lines();
        let found = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        found.map(|worth| worth.parse().expect("it is a number"))
    }
}

/// Asks for `path`.
pub async fn get(socket: &Path, path: &str) -> Page {
    ask(socket, &format!("GET {path}"), "").await
}

/// Asks with `line` (method and path) and header lines, each with its end.
pub async fn ask(socket: &Path, line: &str, headers: &str) -> Page {
    let asked = async {
        let mut stream = UnixStream::connect(socket).await?;
        let request =
            format!("{line} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = soon("a page", asked).await.expect("it is served");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let header = |line: &str| {
        let (name, worth) = line.split_once(": ").expect("a header");
        (name.to_lowercase(), worth.to_owned())
    };
    Page {
        status: status.and_then(|code| code.parse().ok()).expect("a status"),
        headers: lines.map(header).collect(),
        body: body.to_owned(),
    }
}
