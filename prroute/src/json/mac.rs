//! MAC addresses as text. Six numbers, as earlier versions wrote them, are read too.

use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

type Mac = Option<[u8; 6]>;

pub(super) fn serialize<S: Serializer>(mac: &Mac, serializer: S) -> Result<S::Ok, S::Error> {
    mac.map(in_words).serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Mac, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Numbers([u8; 6]),
    }
    let wrong = |text| serde::de::Error::custom(format!("{text:?} is no MAC address"));
    match Option::<Written>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Written::Numbers(mac)) => Ok(Some(mac)),
        Some(Written::Text(text)) => parse(&text).map(Some).ok_or_else(|| wrong(text)),
    }
}

fn in_words(mac: [u8; 6]) -> String {
    mac.map(|octet| format!("{octet:02x}")).join(":")
}

fn parse(text: &str) -> Option<[u8; 6]> {
    let octets = text.split(':').map(|octet| u8::from_str_radix(octet, 16).ok());
    octets.collect::<Option<Vec<u8>>>()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Device {
        #[serde(with = "super")]
        mac: Mac,
    }

    #[test]
    fn text_and_numbers_are_read_and_text_is_written() {
        let device = Device { mac: Some([2, 0, 0, 0, 0, 0xaf]) };
        let text = serde_json::to_string(&device).unwrap();
        assert_eq!(text, r#"{"mac":"02:00:00:00:00:af"}"#);
        for written in [text.as_str(), r#"{"mac":[2,0,0,0,0,175]}"#] {
            assert_eq!(serde_json::from_str::<Device>(written).unwrap(), device);
        }
        assert!(serde_json::from_str::<Device>(r#"{"mac":"02:00"}"#).is_err());
        assert_eq!(
            serde_json::from_str::<Device>(r#"{"mac":null}"#).unwrap(),
            Device { mac: None }
        );
    }
}
