//! Whom the SDKs trust: the certificates that AWS's endpoints are issued under. They are part of the program, because
//! reading the hundred and more certificates of the system would be most of a cold start. `docs/operating.md` says how
//! they are renewed.

use anyhow::Context as _;
use aws_smithy_http_client::tls::{TlsContext, TrustStore};

/// The roots that Amazon Trust Services recommends to trust stores of one's own
/// (<https://www.amazontrust.com/repository/>).
const AMAZON_ROOTS: &str = include_str!("trust/amazon.pem");
/// Names a PEM file with other roots, instead of Amazon's. The AWS CLI has the same variable.
const CA_BUNDLE: &str = "AWS_CA_BUNDLE";
/// How a certificate begins in a PEM file.
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";

/// Trusts Amazon's roots, or those of the file that the environment names.
///
/// # Errors
/// If there is no such file, or no certificate in it.
pub(crate) fn from_environment() -> anyhow::Result<TlsContext> {
    match std::env::var_os(CA_BUNDLE).filter(|path| !path.is_empty()) {
        None => trusting(AMAZON_ROOTS),
        Some(path) => {
            let file = path.display();
            let roots = std::fs::read_to_string(&path).with_context(|| format!("cannot read {CA_BUNDLE}, {file}"))?;
            trusting(&roots).with_context(|| format!("{CA_BUNDLE}, {file}, is wrong"))
        }
    }
}

/// Trusts these roots, and no others. The SDK panics when a client is made if one of them cannot be decoded.
fn trusting(roots: &str) -> anyhow::Result<TlsContext> {
    anyhow::ensure!(roots.contains(BEGIN), "there is no certificate in it, which begins with {BEGIN}");
    Ok(TlsContext::builder().with_trust_store(TrustStore::empty().with_pem_certificate(roots)).build()?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_sdk_dynamodb::config::BehaviorVersion;
    use aws_smithy_http_client::{
        Builder,
        tls::{Provider, rustls_provider::CryptoMode},
    };
    use base64::{Engine as _, prelude::BASE64_STANDARD};

    use super::*;
    use crate::model::{Clock, Timestamp};

    /// How early the test fails. Who deploys today's release may keep it for so long.
    const NOTICE: Duration = Duration::from_secs(2 * 365 * 24 * 60 * 60);
    /// Tags of DER (ITU-T X.690).
    const SEQUENCE: u8 = 0x30;
    const UTC_TIME: u8 = 0x17;
    const VERSION: u8 = 0xa0;

    /// An element of DER: its tag and its content. The rest is what follows it.
    fn element(der: &[u8]) -> (u8, &[u8], &[u8]) {
        let (tag, first) = (der[0], usize::from(der[1]));
        let (header, length) = match first {
            0..0x80 => (2, first),
            _ => {
                let digits = &der[2..2 + (first - 0x80)];
                (2 + digits.len(), digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)))
            }
        };
        (tag, &der[header..header + length], &der[header + length..])
    }

    /// Until when a certificate is valid (RFC 5280, 4.1: version, serial number, algorithm, issuer, validity).
    fn not_after(certificate: &[u8]) -> Timestamp {
        let (_, signed, _) = element(element(certificate).1);
        let (tag, _, mut rest) = element(signed);
        assert_eq!(tag, VERSION);
        for _ in ["serial number", "algorithm", "issuer"] {
            rest = element(rest).2;
        }
        let (tag, validity, _) = element(rest);
        assert_eq!(tag, SEQUENCE);
        let (tag, time, _) = element(element(validity).2);
        let text = std::str::from_utf8(time).unwrap();
        // A year of two digits is one before 2050.
        let text = if tag == UTC_TIME { format!("20{text}") } else { text.to_owned() };
        let [year, month, day] = [0..4, 4..6, 6..8].map(|digits| &text[digits]);
        Timestamp::from_rfc3339(&format!("{year}-{month}-{day}T00:00:00Z")).unwrap()
    }

    fn certificates() -> Vec<Vec<u8>> {
        let blocks = AMAZON_ROOTS.split(BEGIN).skip(1);
        let encoded =
            blocks.map(|block| block.split("-----END").next().unwrap().split_whitespace().collect::<String>());
        encoded.map(|text| BASE64_STANDARD.decode(text).unwrap()).collect()
    }

    #[test]
    fn no_root_expires_within_two_years() {
        let soon = Clock::system().now().after(NOTICE);
        for (number, certificate) in certificates().iter().enumerate() {
            let end = not_after(certificate);
            assert!(
                end > soon,
                "certificate {number} of amazon.pem expires on {end}: docs/operating.md says what to do"
            );
        }
    }

    #[test]
    fn the_file_says_when_its_roots_expire() {
        let said: Vec<_> = AMAZON_ROOTS.lines().filter_map(|line| line.strip_prefix("valid until ")).collect();
        let ends: Vec<_> = certificates().iter().map(|certificate| not_after(certificate).to_string()).collect();
        assert_eq!(ends.iter().map(|end| &end[..10]).collect::<Vec<_>>(), said);
        assert_eq!(said.len(), 5);
    }

    #[test]
    fn a_client_takes_the_roots() {
        let client = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring));
        let client = client.tls_context(trusting(AMAZON_ROOTS).unwrap()).build_https();
        let config = aws_sdk_dynamodb::Config::builder().behavior_version(BehaviorVersion::v2026_01_12());
        // Panics if a certificate cannot be decoded.
        aws_sdk_dynamodb::Client::from_conf(config.http_client(client).build());
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        assert!(trusting("").is_err());
    }
}
