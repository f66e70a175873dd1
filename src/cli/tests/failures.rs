use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::run;
use super::stub::{Answers, Stub};
use crate::cli::Exit;

#[test]
fn a_server_that_is_not_there_is_named_with_what_to_do() {
    // A port that was free a moment ago: nobody else is handed it while the listener is just closed.
    let address = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port");
    let advice = "start one with `imquota serve`, or name another with --endpoint\n";
    let (exit, out, err) = run(&format!("usage --app 7 --endpoint http://{address}"));
    assert_eq!((exit, out.as_str()), (Exit::Fault, ""));
    assert_eq!(
        err,
        format!("imquota: no imquota answers at http://{address}: connection refused; {advice}")
    );
    let (exit, _, err) = run("usage --app 7 --endpoint unix:/nowhere/s");
    assert_eq!(exit, Exit::Fault);
    assert_eq!(
        err,
        format!(
            "imquota: no imquota answers at unix:/nowhere/s: there is no such socket; {advice}"
        )
    );
}

#[test]
fn a_server_that_is_silent_is_not_waited_for_longer_than_asked() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let (exit, _, err) = run(&format!(
        "usage --app 7 --timeout 50ms --endpoint http://{address}"
    ));
    assert_eq!(exit, Exit::Fault);
    assert_eq!(
        err,
        format!("imquota: no answer from http://{address} within 50ms\n")
    );
}

#[test]
fn a_server_that_speaks_something_else_is_found_out() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let web = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut begin = [0; 16];
        stream.read_exact(&mut begin).expect("a preface");
        let page = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(page).expect("written");
    });
    let (exit, _, err) = run(&format!("usage --app 7 --endpoint http://{address}"));
    web.join().expect("the web server ends");
    assert_eq!(exit, Exit::Fault);
    assert!(
        err.starts_with(&format!(
            "imquota: http://{address} broke off, or is no imquota: "
        )),
        "{err}"
    );
}

#[test]
fn an_error_from_the_server_is_told_with_every_field() {
    let mut details = ErrorDetails::new();
    details.add_bad_request_violation("app_id", "must not be 0");
    let one = Status::with_error_details(
        Code::InvalidArgument,
        "app_id: must not be 0",
        details.clone(),
    );
    details.add_bad_request_violation("amount", "is too large");
    let two = Status::with_error_details(
        Code::InvalidArgument,
        "app_id: must not be 0 (and 1 more, see the details)",
        details,
    );
    for (status, wanted) in [
        (one, "INVALID_ARGUMENT: app_id: must not be 0\n"),
        (
            two,
            "INVALID_ARGUMENT: app_id: must not be 0 (and 1 more, see the details)\n  app_id: must \
             not be 0\n  amount: is too large\n",
        ),
        (
            Status::not_found("app 7 is not known"),
            "NOT_FOUND: app 7 is not known\n",
        ),
        (Status::unavailable("is away"), "UNAVAILABLE: is away\n"),
    ] {
        let stub = Stub::on_tcp(Answers {
            usage: Some(Err(status)),
            ..Answers::default()
        });
        let (exit, out, err) = run(&format!("usage --app 7 --endpoint {}", stub.endpoint));
        assert_eq!((exit, out.as_str()), (Exit::Fault, ""));
        assert_eq!(err, format!("imquota: {wanted}"));
    }
}
