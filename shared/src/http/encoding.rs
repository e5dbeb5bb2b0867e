//! Compression of bodies. HTTP APIs of API Gateway do not compress, and every byte that leaves AWS is paid for, so the
//! functions do it. Clients send access tokens themselves. So nobody can make a browser ask in its user's name, and
//! learn from the size of a compressed answer what else is in it.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

/// The content coding of RFC 9110, section 8.4.1.3.
pub(super) const GZIP: &str = "gzip";
/// Shorter bodies stay as they are: they fit into one packet.
pub(super) const COMPRESSED_BYTES_MIN: usize = 1200;
/// How hard to compress, of 9. A page of 20 posts is 32 % of its size at 1, and 30 % at 6, which takes longer.
const LEVEL: u32 = 1;

/// Whether a request with this `Accept-Encoding` takes gzip (RFC 9110, section 12.5.3).
pub(super) fn accepts_gzip(accept_encoding: &str) -> bool {
    let weight_of = |coding: &str| {
        accept_encoding.split(',').find_map(|member| {
            let (name, parameters) = member.split_once(';').unwrap_or((member, ""));
            let weight = parameters.trim().trim_start_matches(['q', 'Q']).trim_start_matches('=');
            name.trim().eq_ignore_ascii_case(coding).then(|| weight.trim().parse().unwrap_or(1.0))
        })
    };
    weight_of(GZIP).or_else(|| weight_of("*")).is_some_and(|weight: f32| weight > 0.0)
}

/// The body in gzip. None if it would not be smaller.
pub(super) fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::new(LEVEL));
    encoder.write_all(body).ok()?;
    encoder.finish().ok().filter(|compressed| compressed.len() < body.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_taken_unless_its_weight_is_zero() {
        for taken in ["gzip", "br, gzip", "GZIP", "deflate, gzip;q=0.5", "gzip ; q=1.0", "*", "br;q=1.0, *;q=0.1"] {
            assert!(accepts_gzip(taken), "{taken}");
        }
        for refused in ["", "br", "identity", "gzip;q=0", "gzip;q=0.000, br", "*;q=0", "gzip;q=0, *", "x-gzipped"] {
            assert!(!accepts_gzip(refused), "{refused}");
        }
    }
}
