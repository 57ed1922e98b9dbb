//! Tells bpf-linker, which generates the code, what every supported kernel can do.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("bpf") {
        // Headers are arrays of bytes: without this each address is put together byte by byte.
        // x86_64 and arm64 read them whole at any alignment.
        println!("cargo:rustc-link-arg-bins=--cpu-features=+allows-misaligned-mem-access");
    }
}
