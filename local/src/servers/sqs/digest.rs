//! The MD5 digests by which an SQS client checks that a message was not changed on its way. The protocol requires MD5.
//! It serves no security purpose here.

use base64::{Engine, prelude::BASE64_STANDARD};

use super::api::MessageAttributes;

/// The MD5 of a message body, in hexadecimal.
pub(super) fn body(text: &str) -> String {
    format!("{:x}", md5::compute(text))
}

/// The MD5 of message attributes, in the order of their names: the name, the data type, a byte for the kind of the
/// value, and the value, each after its length. `None` if there are no attributes.
pub(super) fn attributes(attributes: &MessageAttributes) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut input = Vec::new();
    let append = |input: &mut Vec<u8>, bytes: &[u8]| {
        // Sizes are limited to 1 MiB before a digest is computed.
        input.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        input.extend_from_slice(bytes);
    };
    for (name, value) in attributes {
        append(&mut input, name.as_bytes());
        append(&mut input, value.data_type.as_bytes());
        if let Some(text) = &value.string_value {
            input.push(1);
            append(&mut input, text.as_bytes());
        } else if let Some(encoded) = &value.binary_value {
            input.push(2);
            append(&mut input, &BASE64_STANDARD.decode(encoded).unwrap_or_default());
        }
    }
    Some(format!("{:x}", md5::compute(input)))
}

#[cfg(test)]
mod tests {
    use super::super::api::MessageAttributeValue;
    use super::{MessageAttributes, attributes, body};

    #[test]
    fn digests_are_those_that_aws_documents() {
        // Both pairs are from the API reference of SendMessage and from the tests of the AWS SDKs.
        assert_eq!(body("This is a test message"), "fafb00f5732ab283681e124bf8747ed1");
        assert_eq!(attributes(&MessageAttributes::new()), None);
    }

    #[test]
    fn string_and_binary_attributes_enter_the_digest() {
        let attribute = |data_type: &str, string: Option<&str>, binary: Option<&str>| MessageAttributeValue {
            data_type: data_type.to_owned(),
            string_value: string.map(str::to_owned),
            binary_value: binary.map(str::to_owned),
        };
        let map = MessageAttributes::from([
            ("b".to_owned(), attribute("Binary", None, Some("AQI="))),
            ("a".to_owned(), attribute("String", Some("x"), None)),
        ]);
        let input = b"\0\0\0\x01a\0\0\0\x06String\x01\0\0\0\x01x\0\0\0\x01b\0\0\0\x06Binary\x02\0\0\0\x02\x01\x02";
        assert_eq!(attributes(&map), Some(format!("{:x}", md5::compute(input))));
    }
}
