fn main() {
    let pins = prroute::datapath::Pins::of(&"loadtest".parse().unwrap());
    println!("{:?}", pins.check().map_err(|e| e.to_string()));
    let t = std::time::Instant::now();
    match prroute::datapath::Programs::load(&pins, prroute::datapath::LoadOptions { flows: 65536 }) {
        Ok(_) => println!("ok {:?}", t.elapsed()),
        Err(e) => { println!("{e}"); }
    }
    if let Ok(t) = prroute::datapath::Tables::open(&pins) { println!("{:?}", t.known_ids().map_err(|e| e.to_string())); }
    if std::env::args().nth(1).is_none() { pins.remove().unwrap(); }
}
