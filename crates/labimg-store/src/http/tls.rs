//! Errors of TLS in words: the library prints the names of its own types.

use rustls::{AlertDescription, CertificateError, Error};

/// What is wrong with the other side, as the end of a sentence about it.
#[must_use]
pub fn tls_words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(reason) => certificate_words(reason).to_owned(),
        Error::InvalidMessage(_) | Error::PeerSentOversizedRecord => {
            "what the server sent is not TLS: it may speak plain HTTP".to_owned()
        }
        Error::AlertReceived(alert) => alert_words(*alert),
        Error::PeerIncompatible(_) | Error::NoApplicationProtocol => {
            "the server speaks no version or cipher of TLS that labimg speaks (1.2 and 1.3)".to_owned()
        }
        Error::NoCertificatesPresented => "the server has no certificate".to_owned(),
        Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::PeerMisbehaved(_)
        | Error::DecryptError => "the server does not keep to the rules of TLS".to_owned(),
        Error::InconsistentKeys(_) => "the certificate and the private key do not belong together".to_owned(),
        Error::InvalidCertRevocationList(_) | Error::InvalidEncryptedClientHello(_) => {
            "TLS cannot be set up in the way that the server asks for".to_owned()
        }
        // All others are sentences without names of types.
        other => other.to_string(),
    }
}

/// What is wrong with a certificate, as a sentence about it.
#[must_use]
pub fn certificate_words(reason: &CertificateError) -> &'static str {
    use CertificateError as Reason;
    match reason {
        Reason::UnknownIssuer => "its certificate is not signed by an authority that is trusted here",
        Reason::BadSignature => "its certificate has a wrong signature",
        Reason::NotValidForName | Reason::NotValidForNameContext { .. } => "its certificate is for other names",
        Reason::NotValidYet | Reason::NotValidYetContext { .. } => "its certificate is not valid yet",
        Reason::Expired | Reason::ExpiredContext { .. } => "its certificate has expired",
        Reason::Revoked => "its certificate was revoked",
        Reason::InvalidPurpose | Reason::InvalidPurposeContext { .. } => "its certificate is for another purpose",
        Reason::BadEncoding => "its certificate is damaged",
        Reason::UnhandledCriticalExtension => "its certificate has a rule that labimg does not know",
        _ => "its certificate cannot be used",
    }
}

fn alert_words(alert: AlertDescription) -> String {
    let what = match alert {
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => "it accepts no cipher of ours",
        AlertDescription::ProtocolVersion => "it accepts no version of TLS that labimg speaks (1.2 and 1.3)",
        AlertDescription::UnrecognisedName => "it does not know this name",
        AlertDescription::CertificateRequired => "it wants a certificate from this side",
        AlertDescription::InternalError => "it has an error of its own",
        // RFC 8446, 6.2.
        other => return format!("the server ended the handshake (TLS alert {})", u8::from(other)),
    };
    format!("the server ended the handshake: {what}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{InvalidMessage, PeerIncompatible, PeerMisbehaved};

    #[test]
    fn no_message_has_the_name_of_a_type() {
        for (error, words) in [
            (Error::InvalidMessage(InvalidMessage::InvalidContentType), "plain HTTP"),
            (Error::AlertReceived(AlertDescription::HandshakeFailure), "no cipher of ours"),
            (Error::AlertReceived(AlertDescription::UnknownCA), "TLS alert 48"),
            (Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon), "no version or cipher"),
            (Error::PeerMisbehaved(PeerMisbehaved::UnsolicitedServerHelloExtension), "rules of TLS"),
            (Error::InvalidCertificate(CertificateError::UnknownIssuer), "not signed by an authority"),
            (Error::InvalidCertificate(CertificateError::UnknownRevocationStatus), "cannot be used"),
            (Error::General("the clock".to_owned()), "the clock"),
        ] {
            let said = tls_words(&error);
            assert!(said.contains(words) && !said.contains("::"), "{said}");
            // A name such as `UnknownIssuer`.
            let is_type =
                |word: &str| word.chars().skip(1).zip(word.chars()).any(|(b, a)| a.is_lowercase() && b.is_uppercase());
            assert!(!said.split(' ').any(is_type), "{said}");
        }
    }
}
