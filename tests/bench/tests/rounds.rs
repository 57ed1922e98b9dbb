use crate::rounds::order;

#[test]
fn everybody_works_once_a_round_and_begins_as_often_as_the_others() {
    let mut first = [0; 3];
    for round in 0..18 {
        let mut order = order(3, round);
        first[order[0]] += 1;
        order.sort_unstable();
        assert_eq!(order, [0, 1, 2]);
    }
    assert_eq!(first, [6, 6, 6]);
}
