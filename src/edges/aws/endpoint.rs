//! The region, and the address at which SES v2 (or STS, for roles) is reached there.
//!
//! In scope: the variables, the profile's settings, and the rules of the AWS SDKs. Out of scope:
//! calling.
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>

use crate::edges::aws::shared::{Shared, Variables};
use crate::edges::http::base;

/// Whichever region it comes to: what is signed for it has Signature Version 4A.
pub const ANY: &str = "*";

/// Where to send requests and which region to sign them for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// As the rules of the service have it.
    pub region: String,
    /// Such as `https://email.eu-west-1.amazonaws.com`, without a slash at the end.
    pub url: String,
}

/// A service that is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service<'a> {
    /// Mail: SES v2.
    Ses,
    /// SES v2 in whichever of an endpoint's regions; what is sent alone goes there. Its id must be
    /// one or more labels of a host's name.
    /// <https://docs.aws.amazon.com/ses/latest/dg/global-endpoints.html>
    Global(&'a str),
    /// Temporary credentials for a role.
    Sts,
}

impl Service<'_> {
    /// The variable for its endpoint alone, and its name in a `services` section.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Service::Ses | Service::Global(_) => ("AWS_ENDPOINT_URL_SESV2", "sesv2"),
            Service::Sts => ("AWS_ENDPOINT_URL_STS", "sts"),
        }
    }
}

impl Endpoint {
    /// The endpoint of SES v2; see [`Endpoint::of`].
    ///
    /// # Errors
    /// As of [`Endpoint::of`].
    pub fn read(variables: &Variables) -> Result<Endpoint, String> {
        Endpoint::of(Service::Ses, &Shared::read(variables)?)
    }

    /// The endpoint of a service as it is asked for: AWS_ENDPOINT_URL_SERVICE, AWS_ENDPOINT_URL,
    /// the same two settings of the profile, else by the region, AWS_USE_FIPS_ENDPOINT and
    /// AWS_USE_DUALSTACK_ENDPOINT, which a profile can set too.
    ///
    /// # Errors
    /// Names the variable or setting at fault and says what is expected.
    pub fn of(service: Service<'_>, shared: &Shared) -> Result<Endpoint, String> {
        let region = region(shared)?;
        let fips = shared.is_true("AWS_USE_FIPS_ENDPOINT");
        let dual = shared.is_true("AWS_USE_DUALSTACK_ENDPOINT");
        let global = matches!(service, Service::Global(_));
        let host = host(service, &region, fips, dual);
        let region = if global { ANY.to_owned() } else { region };
        let Some((name, url)) = configured(service, shared)? else {
            return Ok(Endpoint { url: format!("https://{}", host?), region });
        };
        for (asked, other) in [(fips, "FIPS"), (dual, "DUALSTACK")] {
            if asked {
                return Err(format!("{name} and AWS_USE_{other}_ENDPOINT exclude each other"));
            }
        }
        match base(&url) {
            Some(url) => Ok(Endpoint { region, url: url.to_owned() }),
            None => {
                Err(format!("{name} is not a URL such as https://email.eu-west-1.amazonaws.com"))
            }
        }
    }
}

/// The URL that somebody set, and where.
fn configured(service: Service<'_>, shared: &Shared) -> Result<Option<(String, String)>, String> {
    if shared.is_true("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") {
        return Ok(None);
    }
    let (variable, section) = service.names();
    for name in [variable, "AWS_ENDPOINT_URL"] {
        if let Some(url) = shared.variable(name) {
            return Ok(Some((name.to_owned(), url)));
        }
    }
    let profile = &shared.profile;
    if let Some(url) = shared.service(section, "endpoint_url")? {
        return Ok(Some((format!("{section}'s endpoint_url for the profile {profile:?}"), url)));
    }
    let url = shared.get(profile, "endpoint_url");
    Ok(url.map(|url| (format!("endpoint_url of the profile {profile:?}"), url.trim().to_owned())))
}

/// AWS_REGION, AWS_DEFAULT_REGION, the profile's.
fn region(shared: &Shared) -> Result<String, String> {
    let variables = ["AWS_REGION", "AWS_DEFAULT_REGION"];
    let found = variables.iter().find_map(|name| shared.variable(name));
    let region = found.or_else(|| shared.setting("AWS_REGION")).ok_or(
        "AWS_REGION: no region is set, there or in the profile in use: name the one that mails are \
         sent from, such as eu-west-1",
    )?;
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    // It becomes a part of the host's name.
    if region.len() > 63 || region.starts_with('-') || !region.bytes().all(fits) {
        return Err(format!(
            "AWS_REGION (or AWS_DEFAULT_REGION, or the profile's): {region:?} is not a region, such as \
             eu-west-1"
        ));
    }
    Ok(region)
}

/// The host of a service in a region. The partitions are those of botocore's `partitions.json`;
/// SES is not offered in China and in the isolated ones.
fn host(service: Service<'_>, region: &str, fips: bool, dual: bool) -> Result<String, String> {
    for (prefix, place) in [
        ("cn-", "in China (aws-cn)"),
        ("us-iso", "in isolated regions"),
        ("eu-iso", "in isolated regions"),
    ] {
        if region.starts_with(prefix) {
            return Err(format!("AWS_REGION: SES is not offered {place}: {region}"));
        }
    }
    let (plain, both) = if region.starts_with("eusc-") {
        ("amazonaws.eu", "api.amazonwebservices.eu")
    } else {
        ("amazonaws.com", "api.aws")
    };
    let domain = if dual { both } else { plain };
    let name = match (service, fips) {
        (Service::Global(_), true) => {
            return Err(
                "AWS_USE_FIPS_ENDPOINT: there is no FIPS endpoint of several regions".into()
            );
        }
        (Service::Global(id), false) => {
            let among = match dual {
                _ if region.starts_with("us-gov-") => "us-gov.",
                true => "global.",
                false => "",
            };
            return Ok(format!("{id}.endpoints.email.{among}{domain}"));
        }
        (Service::Ses, false) => "email",
        (Service::Ses, true) => "email-fips",
        // In GovCloud the plain host is a FIPS host already.
        (Service::Sts, true) if dual || !region.starts_with("us-gov-") => "sts-fips",
        (Service::Sts, _) => "sts",
    };
    Ok(format!("{name}.{region}.{domain}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Endpoint, String> {
        let usual = [("AWS_REGION", "us-east-1")];
        let given = |name| variables.iter().any(|(known, _)| *known == name);
        let usual = usual.iter().filter(|_| !given("AWS_REGION") && !given("AWS_DEFAULT_REGION"));
        let variables: Vec<(String, String)> = variables
            .iter()
            .chain(usual)
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect();
        Endpoint::read(&move |name: &str| {
            variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
        })
    }

    fn region(variables: &[(&str, &str)]) -> String {
        read(variables).unwrap().region.to_string()
    }

    #[test]
    fn the_region_comes_from_the_first_variable_that_is_set() {
        assert!(read(&[("AWS_REGION", "")]).unwrap_err().contains("no region is set"));
        let both = [("AWS_DEFAULT_REGION", "eu-west-1"), ("AWS_REGION", "eu-central-1")];
        assert_eq!(region(&both), "eu-central-1");
        let blank = [("AWS_DEFAULT_REGION", "eu-west-1"), ("AWS_REGION", " ")];
        assert_eq!(region(&blank), "eu-west-1");
        assert!(read(&[("AWS_REGION", "evil.example/")]).unwrap_err().contains("AWS_REGION"));
    }

    #[test]
    fn the_host_follows_partition_fips_and_dualstack() {
        for (region, fips, dual, host) in [
            ("us-east-1", "false", "false", "email.us-east-1.amazonaws.com"),
            ("us-east-1", "true", "false", "email-fips.us-east-1.amazonaws.com"),
            ("eu-west-1", "false", "true", "email.eu-west-1.api.aws"),
            ("us-gov-west-1", "TRUE", "true", "email-fips.us-gov-west-1.api.aws"),
            ("eusc-de-east-1", "", "", "email.eusc-de-east-1.amazonaws.eu"),
            ("eusc-de-east-1", "", "true", "email.eusc-de-east-1.api.amazonwebservices.eu"),
        ] {
            let got = read(&[
                ("AWS_REGION", region),
                ("AWS_USE_FIPS_ENDPOINT", fips),
                ("AWS_USE_DUALSTACK_ENDPOINT", dual),
            ]);
            let got = got.unwrap();
            assert_eq!(got.url, format!("https://{host}"));
        }
        for region in ["cn-north-1", "us-iso-east-1", "eu-isoe-west-1"] {
            assert!(read(&[("AWS_REGION", region)]).unwrap_err().contains("not offered"));
        }
    }

    #[test]
    fn a_custom_endpoint_goes_first_and_must_be_a_plain_url() {
        let both = [
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1/"),
            ("AWS_ENDPOINT_URL_SESV2", "https://ses.test:8443/base/"),
        ];
        assert_eq!(read(&both).unwrap().url, "https://ses.test:8443/base");
        let local = read(&both[..1]).unwrap();
        assert_eq!(local.url, "http://127.0.0.1:1");
        let ignored = [both[0], ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")];
        assert_eq!(read(&ignored).unwrap().url, "https://email.us-east-1.amazonaws.com");
        for url in [
            "localhost:1",
            "ftp://x",
            "http://",
            "https://u:hunter2@x",
            "http://x/?a=b",
            "http://x:99999",
        ] {
            let error = read(&[("AWS_ENDPOINT_URL", url)]).unwrap_err();
            assert!(error.starts_with("AWS_ENDPOINT_URL is not a URL"), "{error}");
            assert!(!error.contains("hunter2"));
        }
        let fips = [both[0], ("AWS_USE_FIPS_ENDPOINT", "true")];
        assert!(read(&fips).unwrap_err().contains("exclude each other"));
        let dual = [both[0], ("AWS_USE_DUALSTACK_ENDPOINT", "true")];
        assert!(read(&dual).unwrap_err().contains("exclude each other"));
    }
}
