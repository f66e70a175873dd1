//! The simulation against a real `redis-server`.

use crate::fake::Mutation;
use crate::redis_server::RedisServer;
use crate::run::{Manner, run_with_twin};

/// How many seeds are run with a real server beside the fake.
const SEEDS: u64 = 20;

#[test]
fn the_fake_answers_as_the_real_server_does() {
    let server = RedisServer::start();
    for seed in 0..SEEDS {
        let outcomes = run_with_twin(seed, Manner::default(), server.connect());
        assert!(outcomes.steps > 0);
        assert_eq!(outcomes.faults, [""; 0], "seed {seed}");
    }
}

#[test]
fn a_fake_that_errs_is_found() {
    let mutation = Some(Mutation {
        from: "'m' .. counter .. ':' .. member",
        to: "'n' .. counter .. ':' .. member",
    });
    let server = RedisServer::start();
    let manner = Manner {
        mutation,
        ..Manner::default()
    };
    let errs = |seed| !run_with_twin(seed, manner, server.connect()).faults.is_empty();
    assert!((0..SEEDS).any(errs));
}
