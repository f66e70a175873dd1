//! What every store must do, told through the [`Store`] trait alone.
//!
//! A store takes part by implementing [`LedgerUnderTest`] and calling `store_suite!(ItsLedger)` in a
//! module of its own. Days are never before today, so that a store which lets old days go by its
//! own clock keeps them.

use std::collections::{BTreeMap, HashSet};
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use imquota::clock::{Clock, Day, Millis, Zone};
use imquota::quota::{
    Amount, AppId, Charge, Counter, Limit, Limits, ObjectId, ObjectNumber, RequestId, Resource,
    Retention,
};
use imquota::store::{
    Abort, Ack, Answered, AppReport, Attempt, Cell, CellReport, Escrow, Fingerprint, Gave,
    GiveBack, GivenBack, Hold, HoldState, Installation, Intent, Login, Member, Operator, RecordKey,
    Report, Shard, Store, Take, Taken, Totals, Usage, View, Whose,
};

pub mod actives;
pub mod chronicle;
pub mod corrected;
pub mod history;
pub mod holds;
pub mod identity;
pub mod imported;
pub mod kept;
pub mod model;
pub mod naming;
pub mod objects;
pub mod oracle;
pub mod peaks;
pub mod property;
pub mod records;
pub mod releases;
pub mod totals;

/// One ledger that a test has for itself.
pub trait LedgerUnderTest: Sized {
    /// Whether members own their records' amounts in sums of their own, and the lowest limit counts: a
    /// ledger that many share. One that is in its only member's process has its records for a count.
    const SHARED: bool;
    /// A ledger that nobody has used.
    fn fresh() -> impl Future<Output = Self> {
        Self::keeping(Retention::default())
    }
    /// The same, keeping the past for so long.
    fn keeping(kept: Retention) -> impl Future<Output = Self>;
    /// A store through which one more member speaks, and its operator; it has not said hello yet.
    fn both(&self) -> impl Future<Output = (Arc<dyn Store>, Arc<dyn Operator>)>;
    /// The store alone.
    fn store(&self) -> impl Future<Output = Arc<dyn Store>> {
        async { self.both().await.0 }
    }
}

/// Makes every test of the suite a test of `$ledger`, in the module where it is called.
macro_rules! store_suite {
    ($ledger:ty) => {
        store_suite! { $ledger:
            identity::all_members_see_one_installation,
            identity::a_remembered_installation_must_be_shown,
            identity::an_empty_ledger_is_not_made_for_a_member_that_remembers_one,
            records::a_limit_of_100_admits_exactly_100_of_2000_at_once,
            records::one_id_is_counted_once,
            records::one_id_at_once_from_all_sides_is_counted_once,
            records::other_content_under_the_same_id_changes_nothing,
            records::a_refusal_is_remembered_for_the_clients_id,
            records::a_refusal_without_an_id_is_judged_anew,
            records::an_abort_frees_what_was_held,
            records::an_abort_before_the_take_arrives_stops_it,
            records::an_abort_withdraws_its_own_attempt_only,
            records::an_abort_of_the_first_try_spares_the_second,
            records::an_answered_take_is_not_freed,
            records::a_refusal_that_the_ledger_forgot_is_remembered_again,
            records::all_parts_move_or_none,
            records::the_first_part_that_does_not_fit_is_named,
            records::gains_belong_to_their_day,
            records::a_lower_limit_is_judged_by_and_a_higher_one_where_the_ledger_is_its_members_own,
            records::a_record_ends_in_the_sums_of_its_owner,
            records::who_answered_for_an_owner_that_is_gone_becomes_it,
            records::apps_do_not_touch_each_other,
            releases::a_release_gives_back_what_is_counted_and_no_more,
            releases::a_release_is_done_once,
            releases::a_room_gives_back_its_group_and_its_gain,
            releases::a_room_that_is_no_group_leaves_groups_alone,
            releases::groups_are_not_minted_by_rooms,
            releases::a_gain_may_fall_below_zero,
            releases::a_release_and_a_take_cannot_share_an_id,
            releases::a_release_ends_in_the_sums_of_who_asked_first,
            totals::reports_lost_doubled_and_reordered_do_no_harm,
            totals::members_add_up_and_know_their_own_part,
            totals::views_come_in_the_order_of_the_apps,
            totals::totals_and_records_share_one_limit,
            totals::a_report_may_lift_a_count_above_its_limit,
            totals::gains_are_settled_on_their_day,
            totals::a_net_count_may_be_negative_for_a_while,
            totals::nothing_is_counted_for_an_app_that_was_only_read,
            peaks::a_peak_follows_the_order_of_settlement,
            peaks::a_peak_between_two_reports_counts,
            peaks::a_report_that_comes_twice_makes_no_peak,
            peaks::an_aborted_hold_leaves_no_peak,
            peaks::records_make_peaks,
            peaks::a_month_begins_with_what_is_carried_in,
            peaks::the_highest_day_is_the_months_peak,
            holds::a_reservation_holds_its_place_until_it_is_confirmed,
            holds::a_reservation_moves_all_its_parts,
            holds::a_cancelled_reservation_frees_its_place,
            holds::what_was_cancelled_is_not_confirmed_and_what_was_confirmed_not_cancelled,
            holds::what_is_being_confirmed_is_not_cancelled_yet,
            holds::what_is_no_reservation_is_neither_confirmed_nor_ended,
            holds::one_that_has_expired_stays_charged_and_is_confirmed_late,
            holds::one_that_lapsed_frees_its_place_and_is_confirmed_beyond_the_limit,
            holds::one_that_lapsed_may_be_cancelled,
            holds::one_that_has_expired_may_count_by_the_apps_rules,
            holds::a_reservation_is_freed_with_its_last_attempt,
            holds::a_reservation_that_was_answered_is_not_freed_by_aborts,
            holds::an_aborted_confirmation_leaves_the_reservation,
            holds::an_aborted_confirmation_leaves_those_of_others,
            holds::a_confirmation_makes_a_reservation_firm,
            holds::a_withdrawn_confirmation_does_nothing,
            holds::a_reservation_and_a_count_cannot_share_an_id,
            holds::a_refused_reservation_is_remembered,
            holds::reservations_are_listed_in_the_order_of_their_ends,
            holds::a_reservation_is_no_part_of_a_peak,
            holds::answers_that_are_stated_again_change_nothing,
            holds::reservations_that_the_ledger_forgot_are_there_again,
            holds::a_confirmed_reservation_ends_in_the_sums_of_who_confirmed,
            holds::what_exists_is_counted_beyond_the_limit,
            holds::what_exists_is_counted_under_an_id_that_was_refused,
            objects::an_object_is_counted_once_under_any_ids,
            objects::an_object_at_once_from_all_sides_is_counted_once,
            objects::an_import_is_done_once,
            objects::names_are_apart_between_apps_and_families,
            objects::a_group_and_a_room_of_one_name_are_one,
            objects::an_object_is_given_back_as_what_it_was_created,
            objects::an_object_is_given_back_once,
            objects::an_unknown_object_takes_from_what_has_no_name,
            objects::an_object_that_was_deleted_may_be_created_again,
            objects::an_object_deleted_before_its_answer_was_reported_counts_nothing,
            objects::an_object_deleted_before_its_attempt_was_withdrawn_counts_nothing,
            objects::a_withdrawn_creation_leaves_no_object,
            objects::an_object_stays_with_those_who_still_wait_for_it,
            objects::an_answer_outlives_its_object,
            objects::an_answer_outlives_an_object_that_is_created_anew,
            objects::an_answer_outlives_an_object_deleted_before_it_was_reported,
            objects::what_was_reserved_under_an_id_is_not_reserved_again,
            objects::what_nobody_was_told_is_created_anew,
            objects::a_refusal_is_remembered_for_the_id_and_not_for_the_object,
            objects::an_id_stands_for_one_object,
            objects::an_object_can_be_reserved_and_is_confirmed_by_its_id,
            objects::a_reserved_object_is_confirmed_by_whoever_creates_it,
            objects::a_reserved_object_is_what_its_creator_says,
            objects::what_somebody_was_told_to_be_there_stays,
            objects::what_was_known_not_to_be_there_takes_none_without_a_name,
            objects::a_reserved_object_cannot_be_given_back,
            objects::a_reserved_object_that_was_cancelled_can_be_reserved_again,
            objects::a_reservation_without_a_name_may_get_one_when_it_is_confirmed,
            objects::a_reservation_of_what_is_counted_is_freed_when_it_is_confirmed,
            objects::an_aborted_confirmation_under_a_name_leaves_the_reservation,
            objects::objects_without_a_name_are_named_later,
            objects::rooms_are_named_as_groups_too,
            objects::a_release_of_an_object_is_stated_again,
            actives::a_user_is_one_however_often_and_wherever,
            actives::a_user_twice_in_one_call_is_new_once,
            actives::days_and_apps_have_users_of_their_own,
            actives::increments_add_to_the_users,
            actives::many_users_are_counted_exactly,
            history::days_are_told_in_the_order_of_settlement,
            history::what_is_held_is_of_no_day,
            history::a_report_after_midnight_is_of_the_day_that_has_begun,
            history::a_login_ahead_of_midnight_begins_no_month,
            history::what_is_carried_in_has_no_day,
            history::a_month_without_an_event_is_like_the_end_of_the_one_before,
            history::logins_that_come_late_are_of_their_own_day,
            history::a_clock_that_was_far_ahead_takes_no_later_day,
            kept::plans_are_told_by_the_days_on_which_they_changed,
            kept::a_bill_is_written_once,
            kept::all_apps_are_listed_in_order,
            corrected::a_correction_counts_instead_of_what_was_counted,
            imported::an_import_that_goes_on_has_one_entry,
            corrected::a_correction_of_groups_lowers_what_a_day_began_and_ended_with,
            corrected::two_who_correct_at_once_are_told,
            corrected::a_corrected_month_keeps_its_peaks_when_its_days_go,
            kept::days_and_months_are_kept_for_their_time,
            kept::days_and_months_are_kept_as_long_as_is_chosen,
        }

        #[test]
        fn random_months_agree_with_the_chronicle() {
            crate::store_suite::chronicle::agrees::<$ledger>();
        }

        #[test]
        fn random_histories_agree_with_the_model() {
            crate::store_suite::property::agrees_with_the_model::<$ledger>();
        }

        #[test]
        fn random_objects_and_reservations_agree_with_the_oracle() {
            crate::store_suite::naming::agrees_with_the_oracle::<$ledger>();
        }
    };
    ($ledger:ty: $($module:ident :: $test:ident),* $(,)?) => {
        $(
            #[test]
            fn $test() {
                crate::store_suite::run(crate::store_suite::$module::$test::<$ledger>());
            }
        )*
    };
}

/// Runs one test on a runtime of its own, as a sidecar's control runtime is.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(test)
}

/// The billing zone of all tests.
pub fn zone() -> Zone {
    Zone::parse("+08:00").unwrap()
}

/// Now; stores with a clock of their own use that.
pub fn now() -> Millis {
    Clock::system()
}

/// Today in the billing zone.
pub fn today() -> Day {
    zone().day(now())
}

/// The first day of the month after that of `day`.
pub fn next_month(day: Day) -> Day {
    let mut next = day.next();
    while next.month() == day.month() {
        next = next.next();
    }
    next
}

pub fn app(id: u64) -> AppId {
    AppId::new(1_400_000_000 + id).unwrap()
}

pub fn client(id: &str) -> RecordKey {
    RecordKey::Client(request(id))
}

pub fn request(id: &str) -> RequestId {
    RequestId::parse(id).unwrap()
}

pub fn limits() -> Limits {
    Limits::UNLIMITED
}

pub fn amount(amount: u32) -> Amount {
    Amount::from_wire(amount).unwrap()
}

pub fn net(usage: &Usage, counter: Counter) -> i64 {
    usage.view.net[counter.index()]
}

pub fn totals(consumed: u64, released: u64) -> Totals {
    Totals { consumed, released }
}

/// A report of `cells` of one app, each with its high.
pub fn report(app: AppId, cells: &[(Cell, Totals, i64)]) -> Report {
    let cells = cells
        .iter()
        .map(|&(cell, totals, high)| cell_report(cell, totals, high));
    Report {
        apps: vec![app_report(app, cells.collect())],
        ..Report::default()
    }
}

pub fn cell_report(cell: Cell, totals: Totals, high: i64) -> CellReport {
    CellReport {
        cell,
        totals,
        high,
        escrow: None,
        wish: None,
    }
}

pub fn app_report(app: AppId, cells: Vec<CellReport>) -> AppReport {
    AppReport {
        app,
        cells,
        acks_freeze: None,
        plan: None,
    }
}

/// The cell that a counter is on a day.
pub fn cell_of(counter: Counter, day: Day) -> Cell {
    match counter {
        Counter::Accounts => Cell::Live(Resource::Account),
        Counter::Groups => Cell::Live(Resource::Group),
        Counter::AvRooms => Cell::Live(Resource::AvRoom),
        Counter::GroupsGained => Cell::Gained(day),
    }
}

/// What gateways are shown of a view: a ledger of one member has nothing else to tell.
pub fn plain(view: &View) -> View {
    View {
        net: view.net,
        mine: view.mine,
        ..View::default()
    }
}

/// What a member's journal knows of its own records.
#[derive(Default)]
struct Own {
    /// Attempts whose record this member owns and has not put into its sums.
    owns: HashSet<Attempt>,
    /// Attempts whose amount is in them.
    contained: HashSet<Attempt>,
    /// What records took and gave.
    sums: BTreeMap<(AppId, Cell), Escrow>,
    /// Releases that are in them, and that the ledger was not told so of.
    gave: Vec<(Gave, Vec<Cell>)>,
}

/// One member at its store.
pub struct Seat {
    pub store: Arc<dyn Store>,
    pub member: Member,
    pub installation: Installation,
    attempts: &'static AtomicU64,
    own: Mutex<Own>,
}

impl Seat {
    /// Says hello as member `number`, one that remembers nothing.
    pub async fn at(ledger: &impl LedgerUnderTest, number: u64) -> Self {
        Self::with(ledger.store().await, number, None).await
    }

    /// Says hello at `store`.
    pub async fn with(
        store: Arc<dyn Store>,
        number: u64,
        remembered: Option<Installation>,
    ) -> Self {
        // An attempt is never repeated, not even by a member that was started again.
        static ATTEMPTS: AtomicU64 = AtomicU64::new(1);
        let member = member(number);
        let installation = store.hello(&member, remembered, now()).await.unwrap();
        Self {
            store,
            member,
            installation,
            attempts: &ATTEMPTS,
            own: Mutex::default(),
        }
    }

    /// An attempt that was never used.
    pub fn attempt(&self) -> Attempt {
        Attempt(self.attempts.fetch_add(1, Ordering::Relaxed))
    }

    /// A take of `amount` objects today; without a key it gets one of its own.
    pub fn wants(
        &self,
        app: AppId,
        key: Option<&str>,
        what: (Resource, u32),
        limits: &Limits,
    ) -> Take {
        let attempt = self.attempt();
        let own = RecordKey::Own {
            incarnation: self.member.incarnation,
            attempt,
        };
        Take {
            app,
            key: key.map_or(own, client),
            fingerprint: fingerprint("take", what),
            attempt,
            charge: Charge::new(what.0, amount(what.1), limits),
            day: today(),
            intent: Intent::Count,
            note: None,
        }
    }

    fn own(&self) -> std::sync::MutexGuard<'_, Own> {
        self.own.lock().unwrap()
    }

    pub async fn take(&self, take: &Take) -> Taken {
        let taken = self.store.take(take, now()).await.unwrap();
        let counts = matches!(
            take.intent,
            Intent::Count | Intent::Exists | Intent::Confirm { .. }
        );
        let asker = Whose::Asker;
        if counts && matches!(taken, Taken::Allowed { whose, .. } if whose == asker) {
            self.own().owns.insert(take.attempt);
        }
        taken
    }

    /// The number of an object of that name.
    pub fn object(&self, app: AppId, resource: Resource, name: &str) -> ObjectNumber {
        let secret = self.installation.user_key;
        ObjectId::parse(name)
            .unwrap()
            .number(&secret, (app, 0), resource)
    }

    /// As [`Seat::wants`], of one object that has a name.
    pub fn names(
        &self,
        app: AppId,
        id: Option<&str>,
        (resource, name): (Resource, &str),
        limits: &Limits,
    ) -> Take {
        Take {
            key: RecordKey::Object(self.object(app, resource, name)),
            fingerprint: fingerprint(&format!("take {name}"), (resource, 1)),
            note: id.map(request),
            ..self.wants(app, None, (resource, 1), limits)
        }
    }

    /// Another call that speaks of the same record.
    pub fn then(&self, take: &Take, intent: Intent) -> Take {
        Take {
            attempt: self.attempt(),
            intent,
            ..take.clone()
        }
    }

    /// What became of the reservation under an id.
    pub async fn hold(&self, app: AppId, id: &str) -> Option<Hold> {
        let id = request(id);
        self.store.hold(app, &id, now()).await.unwrap()
    }

    /// How it stands with it.
    pub async fn hold_state(&self, app: AppId, id: &str) -> Option<HoldState> {
        self.hold(app, id).await.map(|hold| hold.state)
    }

    /// What reservations hold of each counter.
    pub async fn reserved(&self, app: AppId) -> [u64; 4] {
        let usage = self.store.usage(app, today(), now()).await.unwrap();
        usage.view.reserved
    }

    /// Whether the object is counted, or about to be.
    pub async fn knows(&self, app: AppId, (resource, name): (Resource, &str)) -> bool {
        let object = self.object(app, resource, name);
        self.store.knows_object(app, object).await.unwrap()
    }

    /// A release of one object that has a name.
    pub fn deletes(
        &self,
        app: AppId,
        id: Option<&str>,
        (resource, name): (Resource, &str),
    ) -> GiveBack {
        GiveBack {
            object: Some(self.object(app, resource, name)),
            fingerprint: fingerprint(&format!("release {name}"), (resource, 1)),
            ..self.returns(app, id, (resource, 1))
        }
    }

    /// Takes, and is allowed.
    pub async fn gets(&self, take: &Take) -> View {
        match self.take(take).await {
            Taken::Allowed { view, .. } => view,
            other => panic!("{take:?} was answered {other:?}"),
        }
    }

    /// Takes, is refused for the first time, and says for want of what.
    pub async fn is_refused(&self, take: &Take) -> Counter {
        match self.take(take).await {
            Taken::Denied {
                counter,
                replayed: false,
                ..
            } => counter,
            other => panic!("{take:?} was answered {other:?}"),
        }
    }

    /// A release of `amount` objects today; groups follow where they do by default.
    pub fn returns(&self, app: AppId, key: Option<&str>, what: (Resource, u32)) -> GiveBack {
        let own = RecordKey::Own {
            incarnation: self.member.incarnation,
            attempt: self.attempt(),
        };
        GiveBack {
            app,
            key: key.map_or(own, client),
            fingerprint: fingerprint("release", what),
            resource: what.0,
            amount: amount(what.1),
            given: None,
            groups_follow: what.0 != Resource::Account,
            day: today(),
            object: None,
            rooms_are_groups: true,
        }
    }

    /// Releases for the first time; how many were given back.
    pub async fn release(&self, give_back: &GiveBack) -> u32 {
        match self.give_back(give_back).await {
            GivenBack::Released {
                released,
                replayed: false,
                ..
            } => released,
            other => panic!("{give_back:?} was answered {other:?}"),
        }
    }

    /// Releases; what this member owns of it is in its sums from then on.
    pub async fn give_back(&self, give_back: &GiveBack) -> GivenBack {
        let given = self.store.release(give_back, now()).await.unwrap();
        if let GivenBack::Released {
            released,
            resource,
            groups,
            mine: true,
            ..
        } = given
        {
            self.note_given(give_back, resource, released, groups);
        }
        given
    }

    fn note_given(&self, back: &GiveBack, resource: Resource, released: u32, groups: u32) {
        let gave = Gave {
            app: back.app,
            key: back.key.clone(),
        };
        let mut own = self.own();
        if own.gave.iter().any(|(known, _)| *known == gave) {
            return;
        }
        let mut falls = vec![(resource.counter(), released)];
        if resource == Resource::AvRoom {
            falls.push((Counter::Groups, groups));
        }
        if resource != Resource::Account {
            falls.push((Counter::GroupsGained, groups));
        }
        let cells = falls.iter().map(|(counter, _)| cell_of(*counter, back.day));
        let cells: Vec<Cell> = cells.collect();
        for (cell, (_, amount)) in cells.iter().zip(&falls) {
            own.sums.entry((back.app, *cell)).or_default().given += u64::from(*amount);
        }
        own.gave.push((gave, cells));
    }

    /// What it would say of the sums of some cells, with nothing of its totals.
    fn accounts(&self, app: AppId, cells: &[Cell]) -> Vec<AppReport> {
        let own = self.own();
        let said = cells.iter().filter_map(|cell| {
            let escrow = *own.sums.get(&(app, *cell))?;
            Some(CellReport {
                escrow: Some(escrow),
                ..cell_report(*cell, totals(0, 0), 0)
            })
        });
        let said: Vec<CellReport> = said.collect();
        if said.is_empty() {
            return Vec::new();
        }
        vec![app_report(app, said)]
    }

    /// Tells the ledger which releases its sums contain.
    pub async fn contain(&self, app: AppId, day: Day) {
        let gave: Vec<(Gave, Vec<Cell>)> = {
            let mut own = self.own();
            let all = std::mem::take(&mut own.gave);
            let (of_app, rest) = all.into_iter().partition(|(gave, _)| gave.app == app);
            own.gave = rest;
            of_app
        };
        if gave.is_empty() {
            return;
        }
        let cells: HashSet<Cell> = gave.iter().flat_map(|(_, cells)| cells.clone()).collect();
        let cells: Vec<Cell> = cells.into_iter().collect();
        let report = Report {
            apps: self.accounts(app, &cells),
            gave: gave.into_iter().map(|(gave, _)| gave).collect(),
            ..Report::default()
        };
        self.settled_on(app, &report, day).await;
    }

    /// Settles a report of one app today.
    pub async fn settle(&self, app: AppId, report: &Report) -> Vec<View> {
        self.settle_on(app, report, today()).await
    }

    /// The same on a day; the views as gateways are shown them.
    pub async fn settle_on(&self, app: AppId, report: &Report, day: Day) -> Vec<View> {
        let settled = self.settled_on(app, report, day).await;
        settled.0.iter().map(plain).collect()
    }

    async fn settled_on(&self, app: AppId, report: &Report, day: Day) -> (Vec<View>, Vec<Ack>) {
        let shard = Shard::of(app);
        let settled = self.store.settle(shard, report, day, now()).await.unwrap();
        (settled.views, settled.acks)
    }

    /// Reports that the take's answer went out.
    pub async fn answered(&self, take: &Take, refused: Option<Counter>) -> Ack {
        self.answered_on(take, refused, take.day).await
    }

    /// The same on a day. What this member owns, or is told to, it puts into its sums first.
    pub async fn answered_on(&self, take: &Take, refused: Option<Counter>, day: Day) -> Ack {
        if refused.is_none() && self.own().owns.contains(&take.attempt) {
            self.put_in(take);
        }
        let ack = self.say_answered(take, refused, day).await;
        match ack {
            Ack::Yours => {
                self.put_in(take);
                self.say_answered(take, refused, day).await
            }
            Ack::Gone => {
                self.take_out(take, day).await;
                ack
            }
            ack => ack,
        }
    }

    /// Gives back what was deleted before it was reported, if the sums contain it.
    async fn take_out(&self, take: &Take, day: Day) {
        if !self.own().contained.contains(&take.attempt) {
            return;
        }
        let parts = take.charge.parts().iter();
        let cells: Vec<Cell> = parts.map(|part| cell_of(part.counter, take.day)).collect();
        for cell in &cells {
            let mut own = self.own();
            let sums = own.sums.entry((take.app, *cell)).or_default();
            sums.given += u64::from(take.charge.amount().get());
        }
        let report = Report {
            apps: self.accounts(take.app, &cells),
            ..Report::default()
        };
        self.settled_on(take.app, &report, day).await;
    }

    fn put_in(&self, take: &Take) {
        let mut own = self.own();
        if !own.contained.insert(take.attempt) {
            return;
        }
        for part in take.charge.parts() {
            let sums = own.sums.entry((take.app, cell_of(part.counter, take.day)));
            sums.or_default().taken += u64::from(take.charge.amount().get());
        }
    }

    async fn say_answered(&self, take: &Take, refused: Option<Counter>, day: Day) -> Ack {
        let parts = take.charge.parts().iter();
        let cells: Vec<Cell> = parts.map(|part| cell_of(part.counter, take.day)).collect();
        let contained = self.own().contained.contains(&take.attempt);
        let report = Report {
            apps: self.accounts(take.app, &cells),
            answered: vec![Answered {
                take: take.clone(),
                refused,
                contained: contained.then_some(0),
            }],
            ..Report::default()
        };
        self.contain(take.app, day).await;
        self.settled_on(take.app, &report, day).await.1[0]
    }

    /// Withdraws the take's attempt.
    pub async fn abort(&self, take: &Take) {
        let report = Report {
            aborts: vec![Abort::of(take)],
            ..Report::default()
        };
        self.settle_on(take.app, &report, take.day).await;
    }

    pub async fn usage(&self, app: AppId) -> Usage {
        self.usage_on(app, today()).await
    }

    pub async fn usage_on(&self, app: AppId, day: Day) -> Usage {
        let usage = self.store.usage(app, day, now()).await.unwrap();
        Usage {
            view: plain(&usage.view),
            ..usage
        }
    }

    /// Users log in; which of them were new, and how many the last one's day has.
    pub async fn logins(&self, app: AppId, day: Day, users: &[u128]) -> (Vec<bool>, u64) {
        let logins: Vec<Login> = users
            .iter()
            .map(|user| Login {
                app,
                day,
                user: *user,
            })
            .collect();
        let shard = Shard::of(app);
        let recorded = self.store.record_active(shard, &logins, now()).await;
        let recorded = recorded.unwrap();
        let newly = recorded.iter().map(|active| active.newly).collect();
        (newly, recorded.last().unwrap().daily_active)
    }
}

/// A creation as a reservation.
pub fn reserving(take: Take, until: Millis) -> Take {
    let Fingerprint(of_count) = take.fingerprint;
    Take {
        intent: Intent::Reserve { until },
        fingerprint: Fingerprint(!of_count),
        ..take
    }
}

/// The member of that number: the same incarnation every time.
pub fn member(number: u64) -> Member {
    Member {
        name: format!("member-{number}").into(),
        incarnation: 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(number + 1),
        boot: 1,
        leaves: false,
    }
}

/// A fingerprint of what is asked for.
pub fn fingerprint(verb: &str, what: (Resource, u32)) -> Fingerprint {
    let text = format!("{verb} {} {}", what.0, what.1);
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Fingerprint(hash)
}

/// Limits with one of them set.
pub fn limited(counter: Counter, limit: u64) -> Limits {
    let mut limits = Limits::UNLIMITED;
    let limit = Limit::AtMost(limit);
    match counter {
        Counter::Accounts => limits.accounts = limit,
        Counter::Groups => limits.groups = limit,
        Counter::AvRooms => limits.av_rooms = limit,
        Counter::GroupsGained => limits.groups_gained_daily = limit,
    }
    limits
}
