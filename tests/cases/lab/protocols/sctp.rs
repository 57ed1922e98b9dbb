//! The chunks of an association, as routers that keep state want them.

/// Types of chunks (RFC 9260).
const DATA: u8 = 0;
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const SACK: u8 = 3;
const COOKIE_ECHO: u8 = 10;
const COOKIE_ACK: u8 = 11;

/// A question and its answer, each from the SCTP header on.
pub(crate) type Exchange = (Vec<u8>, Vec<u8>);

/// An association between two ports: its handshake, and one piece of data.
pub(crate) fn association(client: u16, server: u16) -> Vec<Exchange> {
    let (client_tag, server_tag) = (0x1000_0000 | u32::from(client), 0x2000_0000u32);
    let request = |tag, chunk, body: &[u8]| packet([client, server], tag, chunk, body);
    let answer = |chunk, body: &[u8]| packet([server, client], client_tag, chunk, body);
    let initiation = |tag: u32| {
        let mut body = tag.to_be_bytes().to_vec();
        // Receiver window, streams out and in, first sequence number.
        body.extend([0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1]);
        body
    };
    let cookie = [7, 7, 7, 7];
    let state_cookie = [&[0, 7, 0, 8], cookie.as_slice()].concat();
    let data = [&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], b"data".as_slice()].concat();
    vec![
        (
            request(0, INIT, &initiation(client_tag)),
            answer(INIT_ACK, &[initiation(server_tag), state_cookie].concat()),
        ),
        (request(server_tag, COOKIE_ECHO, &cookie), answer(COOKIE_ACK, &[])),
        (request(server_tag, DATA, &data), answer(SACK, &[0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0])),
    ]
}

fn packet(ports: [u16; 2], tag: u32, chunk: u8, body: &[u8]) -> Vec<u8> {
    // A whole message in one piece.
    let flags = if chunk == DATA { 3 } else { 0 };
    let mut packet = ports.map(u16::to_be_bytes).concat();
    packet.extend(tag.to_be_bytes());
    packet.extend([0; 4]);
    packet.extend([chunk, flags]);
    packet.extend((4 + body.len() as u16).to_be_bytes());
    packet.extend(body);
    let sum = crc32c(&packet);
    packet[8..12].copy_from_slice(&sum.to_le_bytes());
    packet
}

fn crc32c(bytes: &[u8]) -> u32 {
    const CASTAGNOLI: u32 = 0x82f6_3b78;
    let sum = bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            sum >> 1 ^ if sum & 1 == 1 { CASTAGNOLI } else { 0 }
        })
    });
    !sum
}

#[test]
fn the_checksum_is_castagnolis() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
}
