//! Keys and certificates of the cluster: ECDSA over P-256 (FIPS 186-5), X.509 (RFC 5280).
//!
//! They look like those that k3s creates when it finds none: self-signed CAs named `<what>-ca@<time>` with key usage
//! digitalSignature, keyEncipherment and keyCertSign. Only the dates differ: validity begins a year before creation,
//! because certificates that k3s signs start with its CA's first day, and a node's clock may be slow.

use rand_core::{OsRng, RngCore};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SerialNumber,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, RootCertStore};
use time::OffsetDateTime;

use super::folder::Files;
use super::{SecretsError, sec1};
use labimg_debian::der;
use labimg_store::http::tls_words;

const DAY: i64 = 24 * 60 * 60;

/// How long before creation the validity begins, in seconds.
const BEFORE: i64 = 365 * DAY;

/// How long after creation the validity of an authority ends, in seconds: as with those that k3s makes. The certificates
/// that k3s signs with them last a year, and it makes new ones itself.
const AFTER: i64 = 3650 * DAY;

/// The same for the administrator's certificate: a copy that got lost cannot be called back, and ends by itself.
const ADMINISTRATOR: i64 = 365 * DAY;

/// A CA: the path of its files below `server/tls` without suffix, and k3s's name for it.
pub(super) struct Authority {
    pub(super) certificate: &'static str,
    pub(super) key: &'static str,
    name: &'static str,
}

/// The CAs that k3s looks for (`server --help` and its page on certificates).
pub(super) const AUTHORITIES: [Authority; 5] = [
    Authority { certificate: "server-ca.crt", key: "server-ca.key", name: "k3s-server" },
    CLIENT,
    Authority { certificate: "request-header-ca.crt", key: "request-header-ca.key", name: "k3s-request-header" },
    Authority { certificate: "etcd/server-ca.crt", key: "etcd/server-ca.key", name: "etcd-server" },
    Authority { certificate: "etcd/peer-ca.crt", key: "etcd/peer-ca.key", name: "etcd-peer" },
];

/// The CA for clients of the API.
pub(super) const CLIENT: Authority =
    Authority { certificate: "client-ca.crt", key: "client-ca.key", name: "k3s-client" };

/// The key that signs service account tokens. An EC key works as well as an RSA key if it has the format of [`sec1`].
pub(super) const SERVICE_KEY: &str = "service.key";

/// The files of all CAs.
pub(super) fn authorities(now: i64) -> Result<Files, SecretsError> {
    let mut files = Vec::new();
    for authority in &AUTHORITIES {
        let key = new_key()?;
        let params = authority_params(authority.name, now)?;
        let certificate = params.self_signed(&key).map_err(SecretsError::make("a certificate authority"))?;
        files.push((authority.certificate, certificate.pem().into_bytes()));
        files.push((authority.key, key.serialize_pem().into_bytes()));
    }
    let service = sec1::encode(&new_key()?).ok_or("this kind of key is not expected");
    files.push((SERVICE_KEY, service.map_err(SecretsError::make("the service account key"))?.into_bytes()));
    Ok(files)
}

/// Certificate and key of the lab's own authority, under these names. It signs what people's browsers see; k3s does not know
/// it.
pub(super) fn lab_authority(now: i64, (certificate, key): (&'static str, &'static str)) -> Result<Files, SecretsError> {
    let own = new_key()?;
    let mut params = authority_params("lab", now)?;
    // It signs other authorities too, such as that of the mesh.
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let made = params.self_signed(&own).map_err(SecretsError::make("the lab's certificate authority"))?;
    Ok(vec![(certificate, made.pem().into_bytes()), (key, own.serialize_pem().into_bytes())])
}

/// The administrator's certificate and key, made `now` and signed by the client CA.
pub(super) fn administrator(now: i64, ca: &Read, client_ca_key: &str) -> Result<(String, String), SecretsError> {
    const WHAT: &str = "the administrator's certificate";
    let ca_key = KeyPair::from_pem(client_ca_key).map_err(SecretsError::make(WHAT))?;
    let issuer = Issuer::new(authority_params(CLIENT.name, ca.created())?, ca_key);
    let key = new_key()?;
    let until = now.checked_add(ADMINISTRATOR).map(|until| until.min(ca.not_after));
    let mut params = dated(Some(ca.not_before), until)?;
    // `system:masters` may do everything (Kubernetes: "Using RBAC Authorization", default roles).
    params.distinguished_name.push(DnType::OrganizationName, "system:masters");
    params.distinguished_name.push(DnType::CommonName, "labimg-admin");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key, &issuer).map_err(SecretsError::make(WHAT))?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn new_key() -> Result<KeyPair, SecretsError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(SecretsError::make("a key"))
}

fn authority_params(name: &str, created: i64) -> Result<CertificateParams, SecretsError> {
    let mut params = dated(created.checked_sub(BEFORE), created.checked_add(AFTER))?;
    params.distinguished_name.push(DnType::CommonName, format!("{name}-ca@{created}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment, KeyUsagePurpose::KeyCertSign];
    Ok(params)
}

/// Valid from one time to the other, in seconds since 1970.
fn dated(from: Option<i64>, until: Option<i64>) -> Result<CertificateParams, SecretsError> {
    let date = |seconds: Option<i64>| {
        let seconds = seconds.ok_or_else(|| "this computer's clock is far off".to_owned())?;
        OffsetDateTime::from_unix_timestamp(seconds).map_err(|e| format!("this computer's clock is far off: {e}"))
    };
    let make = || SecretsError::make("a certificate");
    let mut params = CertificateParams::default();
    params.not_before = date(from).map_err(make())?;
    params.not_after = date(until).map_err(make())?;
    params.distinguished_name = DistinguishedName::new();
    params.serial_number = Some(serial()?);
    Ok(params)
}

/// Random and positive, of full length: 16 bytes with the first bit clear and the second set (RFC 5280, section 4.1.2.2).
fn serial() -> Result<SerialNumber, SecretsError> {
    let mut bytes = [0; 16];
    OsRng.try_fill_bytes(&mut bytes).map_err(SecretsError::make("a serial number"))?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

/// The needed fields of a parsed certificate.
#[derive(Debug, Clone)]
pub(super) struct Read {
    pub(super) der: CertificateDer<'static>,
    /// First second, since 1970.
    not_before: i64,
    /// Last second, since 1970.
    pub(super) not_after: i64,
    /// The public key: the content of its BIT STRING, without the count of unused bits.
    public_key: Vec<u8>,
}

impl Read {
    /// When labimg created it, in seconds since 1970.
    pub(super) fn created(&self) -> i64 {
        self.not_before.saturating_add(BEFORE)
    }
}

/// Parses a PEM file with one certificate.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(pem: &str) -> Result<Read, String> {
    let mut found = CertificateDer::pem_slice_iter(pem.as_bytes());
    let der = found.next().ok_or("it holds no certificate")?.map_err(|e| format!("it is not PEM: {e}"))?;
    if found.next().is_some() {
        return Err("it holds more than one certificate".to_owned());
    }
    let (not_before, not_after, public_key) = fields(&der)?;
    Ok(Read { der, not_before, not_after, public_key })
}

/// The last second of the first certificate in a PEM text, since 1970.
pub(super) fn last_second(pem: &[u8]) -> Option<i64> {
    let der = CertificateDer::pem_slice_iter(pem).next()?.ok()?;
    fields(&der).ok().map(|(_, not_after, _)| not_after)
}

/// First and last second, and public key (RFC 5280, section 4.1).
fn fields(der: &[u8]) -> Result<(i64, i64, Vec<u8>), &'static str> {
    const VERSION: u8 = 0xa0;
    const BIT_STRING: u8 = 0x03;
    let (certificate, trailing) = der::expect(der, der::SEQUENCE)?;
    if !trailing.is_empty() {
        return Err("something follows its certificate");
    }
    let (mut rest, _) = der::expect(certificate, der::SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = der::element(rest)?.2;
    }
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        rest = der::element(rest)?.2;
    }
    let (validity, rest) = der::expect(rest, der::SEQUENCE)?;
    let date = |tag, text| moment(tag, text).ok_or("its certificate has a date that cannot be read");
    let (tag, text, validity) = der::element(validity)?;
    let not_before = date(tag, text)?;
    let (tag, text, _) = der::element(validity)?;
    let not_after = date(tag, text)?;
    let (_, rest) = der::expect(rest, der::SEQUENCE)?;
    let (key_info, _) = der::expect(rest, der::SEQUENCE)?;
    let (_, key) = der::expect(key_info, der::SEQUENCE)?;
    let (bits, _) = der::expect(key, BIT_STRING)?;
    let key = bits.split_first().map(|(_, key)| key.to_vec()).ok_or("its certificate has an empty key")?;
    Ok((not_before, not_after, key))
}

/// Seconds since 1970 of an `UTCTime` or `GeneralizedTime` (RFC 5280, section 4.1.2.5).
fn moment(tag: u8, text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u16>().ok()).flatten();
    let (year, rest) = match tag {
        0x17 => {
            let (year, rest) = text.split_at_checked(2)?;
            let year = number(year)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        0x18 => {
            let (year, rest) = text.split_at_checked(4)?;
            (number(year)?, rest)
        }
        _ => return None,
    };
    let part = |at: usize| rest.get(at..at + 2).and_then(number).and_then(|n| u8::try_from(n).ok());
    let month = time::Month::try_from(part(0)?).ok()?;
    let date = time::Date::from_calendar_date(i32::from(year), month, part(2)?).ok()?;
    let clock = time::Time::from_hms(part(4)?, part(6)?, part(8)?).ok()?;
    (rest.len() == 10).then(|| time::PrimitiveDateTime::new(date, clock).assume_utc().unix_timestamp())
}

/// Checks that a PEM key belongs to the certificate.
///
/// # Errors
/// What is wrong with the key.
pub(super) fn check_key(pem: &str, certificate: &Read) -> Result<(), String> {
    let key = KeyPair::from_pem(pem).map_err(|e| format!("it is not a private key: {e}"))?;
    if certificate.public_key != key.public_key_raw() {
        return Err("it is not the key of the certificate beside it".to_owned());
    }
    Ok(())
}

/// Checks that `ca` signed `client` for use as a client.
///
/// # Errors
/// What is wrong with the certificate.
pub(super) fn check_signature(client: &Read, ca: &Read) -> Result<(), String> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.der.clone()).map_err(|e| tls_words(&e))?;
    let provider = rustls::crypto::ring::default_provider().into();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
    let verifier = verifier.map_err(|e| e.to_string())?;
    // The time is checked elsewhere; this is only about the signature.
    let last = client.not_after.min(ca.not_after);
    let last = UnixTime::since_unix_epoch(std::time::Duration::from_secs(u64::try_from(last).unwrap_or(0)));
    match verifier.verify_client_cert(&client.der, &[], last) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)) => {
            Err("the client CA did not sign it".to_owned())
        }
        Err(e) => Err(tls_words(&e)),
    }
}

/// A day as `2036-11-24`.
pub(super) fn day(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(seconds)
        .map_or_else(|_| seconds.to_string(), |t| format!("{:04}-{:02}-{:02}", t.year(), u8::from(t.month()), t.day()))
}
