use proptest::prelude::*;

use super::*;

const POLICY: SwitchPolicy = SwitchPolicy { lifetime: Duration::from_secs(60) };

fn at(secs: u64) -> Timestamp {
    Timestamp::from_ms(secs * 1000)
}

fn any_set() -> impl Strategy<Value = ModelSet> {
    (0u8..1 << MODELS).prop_map(ModelSet::of_bits)
}

fn state(phase: Phase) -> ReadModelsState {
    let target = "bbb".parse().unwrap();
    let rebuild = Rebuild {
        started_at: at(0),
        models: READ_MODELS.to_vec(),
        target,
        phase,
        phase_at: at(0),
        switched_at: None,
        replaced: None,
        cancelled: false,
        segments: 1,
        units_per_second: 1,
        done: Work::default(),
    };
    ReadModelsState { rebuild: Some(rebuild), ..ReadModelsState::default() }
}

fn names(maintained: &[Maintained]) -> Vec<(String, HomeRows)> {
    maintained.iter().map(|it| (it.set.to_string(), it.homes)).collect()
}

proptest! {
    #[test]
    fn parsing_a_rendered_set_is_the_identity(set in any_set()) {
        prop_assert_eq!(set.to_string().parse(), Ok(set));
        prop_assert_eq!(ModelSet::of_bits(set.bits()), set);
    }

    #[test]
    fn a_set_has_the_table_that_it_was_given(set in any_set(), model in 0..MODELS) {
        let model = READ_MODELS[model];
        let changed = set.with(model, set.table(model).other());
        let differing: Vec<_> =
            READ_MODELS.into_iter().filter(|model| set.table(*model) != changed.table(*model)).collect();
        prop_assert_eq!(differing, vec![model]);
    }
}

#[test]
fn what_is_no_set_is_refused() {
    for text in ["", "ab", "ababa", "abc", "AAA"] {
        assert!(text.parse::<ModelSet>().is_err(), "{text}");
    }
}

#[test]
fn a_set_of_a_release_with_fewer_models_means_the_first_tables_of_the_others() {
    let set: ModelSet = "bab".parse().unwrap();
    assert_eq!((set.table(ReadModel::Search), set.to_string()), (TableOf::A, "bab".to_owned()));
    assert_eq!(set.with(ReadModel::Search, TableOf::B).to_string(), "babb");
}

#[test]
fn the_target_is_maintained_from_when_everybody_knows_of_it() {
    let known_s = 3 * 60 + 15;
    let active = ("aaa".to_owned(), HomeRows::Now);
    let at_s = |phase, secs| names(&state(phase).maintained(at(secs), &POLICY));
    assert_eq!(at_s(Phase::Clear, 1000), std::slice::from_ref(&active));
    assert_eq!(at_s(Phase::Fill, known_s - 1), std::slice::from_ref(&active));
    assert_eq!(at_s(Phase::Fill, known_s), [active.clone(), ("bbb".to_owned(), HomeRows::Later)]);
    assert_eq!(at_s(Phase::Settle, 0), [active, ("bbb".to_owned(), HomeRows::Now)]);
}

#[test]
fn after_the_switch_the_old_tables_are_kept_current_until_nobody_reads_them() {
    let switched = state(Phase::Settle).advanced(Work::default(), at(10));
    assert_eq!(switched.active.to_string(), "bbb");
    let both = [("bbb".to_owned(), HomeRows::Now), ("aaa".to_owned(), HomeRows::Now)];
    assert_eq!(names(&switched.maintained(at(11), &POLICY)), both);
    assert_eq!(names(&switched.maintained(at(10 + 195), &POLICY)), both[..1]);
    assert!(switched.rebuild.as_ref().unwrap().work_begins_at(&POLICY) > at(10 + 195 + 15));
    let ended = switched.advanced(Work { cleared: 7, ..Work::default() }, at(1000));
    assert_eq!((ended.rebuild, ended.last.unwrap().done.cleared), (None, 7));
}

#[test]
fn what_stands_in_retired_tables_is_left_to_their_emptying() {
    let tables = |state: &ReadModelsState, secs| state.with_content(ReadModel::Timelines, at(secs), &POLICY);
    let switched = state(Phase::Settle).advanced(Work::default(), at(10));
    let cancelled = state(Phase::Fill).cancelled(at(10)).unwrap();
    for (retired, active) in [(switched, TableOf::B), (cancelled, TableOf::A)] {
        assert_eq!(tables(&retired, 10 + 194), [active, active.other()]);
        assert_eq!(tables(&retired, 10 + 195), [active]);
        assert!(retired.rebuild.as_ref().unwrap().work_begins_at(&POLICY) > at(10 + 195 + 15));
    }
    assert_eq!(tables(&state(Phase::Clear), 1000), [TableOf::A]);
    assert_eq!(tables(&state(Phase::Settle), 1000), [TableOf::A, TableOf::B]);
}

#[test]
fn what_was_done_before_the_switch_is_old_after_the_end_of_the_rebuild_too() {
    let until = |state: &ReadModelsState| state.timelines_filled_until(TableOf::B);
    let settling = state(Phase::Settle);
    assert_eq!(until(&settling), Some(Timestamp::from_ms(u64::MAX)));
    let switched = settling.clone().advanced(Work::default(), at(10));
    assert_eq!(until(&switched), Some(at(10)));
    let ended = switched.advanced(Work::default(), at(1000));
    assert_eq!(until(&ended), Some(at(10)));
    assert_eq!(ended.timelines_filled_until(TableOf::A), None);
    let cancelled = settling.cancelled(at(10)).unwrap().advanced(Work::default(), at(1000));
    assert_eq!(until(&cancelled), None);
}

#[test]
fn a_rebuild_is_cancelled_before_the_switch_and_not_after() {
    let cancelled = state(Phase::Fill).cancelled(at(5)).unwrap();
    assert_eq!(names(&cancelled.maintained(at(6), &POLICY)), [("aaa".to_owned(), HomeRows::Now)]);
    assert_eq!(cancelled.active, ModelSet::default());
    assert_eq!(state(Phase::Settle).advanced(Work::default(), at(1)).cancelled(at(2)), None);
}
