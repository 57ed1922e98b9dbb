//! Ids over reboots, in their file.

use super::super::ids::IdFile;
use super::*;
use crate::state::remembered::RememberedId;

pub(super) fn remembered() -> Vec<RememberedId> {
    let entry = |id, name: &str, mac| RememberedId {
        id: UplinkId(id),
        name: name.to_owned(),
        mac,
        last_used: 1_764_324_000,
    };
    vec![entry(1, "eth0", Some([2, 0, 0, 0, 0, 0xab])), entry(2, "eth0.20", None)]
}

#[test]
fn ids_are_written_for_people_and_read_again() {
    let scratch = Scratch::new("ids");
    let directory = scratch.directory();
    let mut store = Store::of(&directory);
    assert!(store.save_ids(&remembered()), "the directory is made");
    assert_eq!(directory.read_ids().usable(), Some(remembered()));
    let path = directory.ids_path();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(r#""mac": "02:00:00:00:00:ab""#), "{text}");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o644, 0o755));
    for (from, to) in [
        ("ids/1", "other/1"),
        ("\"id\": 2", "\"id\": 1"),
        ("\"id\": 2", "\"id\": 0"),
        ("\"id\": 2", "\"id\": 256"),
        ("eth0.20", "a-name-that-is-too-long"),
        ("02:00", "2:00"),
        ("02:00", "+2:00"),
        ("ab\"", "ab:cd\""),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        fs::write(&path, changed).unwrap();
        assert!(matches!(directory.read_ids(), Found::Unusable(_)), "{from} as {to}");
        let records = Records::take(&directory, Ranges::default(), false);
        assert!(records.ids.is_empty());
        assert!(matches!(directory.read_ids(), Found::Nothing), "set aside");
    }
}

proptest! {
    #[test]
    fn mutated_ids_are_read_whole_or_not(at in any::<usize>(), byte in any::<u8>(), kind in any::<u8>()) {
        let bytes = mutated(&serde_json::to_vec_pretty(&IdFile::of(&remembered())).unwrap(), at, byte, kind);
        if let Ok(read) = IdFile::parse(&bytes) {
            let again = serde_json::to_vec(&IdFile::of(&read)).unwrap();
            prop_assert_eq!(IdFile::parse(&again).unwrap(), read);
        }
    }
}
