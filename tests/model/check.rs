//! The model as stateright sees it: breadth first, as far as a number of states allows.

use stateright::{Checker, Model, Property};

use crate::auditor::{never_over, never_promised_over, never_unseen};
use crate::scenario::Scenario;
use crate::world::{Act, World};

impl Model for Scenario {
    type State = World;
    type Action = Act;

    fn init_states(&self) -> Vec<World> {
        vec![crate::walk::begin(self).0]
    }
    fn actions(&self, world: &World, acts: &mut Vec<Act>) {
        world.acts(self, acts);
    }
    fn next_state(&self, world: &World, act: Act) -> Option<World> {
        Some(world.after(self, act))
    }
    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("never over", never_over),
            Property::always("never unseen", never_unseen),
            Property::always("never promised over", never_promised_over),
        ]
    }
}

/// All states of a scenario, the nearest first. Returns how many there were.
pub fn breadth_first(rules: &Scenario, states: usize) -> usize {
    let checker = rules
        .clone()
        .checker()
        .threads(2)
        .target_state_count(states)
        .spawn_bfs()
        .join();
    checker.assert_properties();
    checker.unique_state_count()
}
