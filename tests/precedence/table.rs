//! The rows.

use super::Case;

const PLAIN: Case = Case { name: "", variables: "", config: "", credentials: "", chosen: "" };

/// The session token of all temporary credentials follows their access key id.
macro_rules! temporary {
    ($id:literal) => {
        concat!($id, " FwoGZXIvYXdzEJr//////////wEaDHunter2")
    };
}

/// Keys in the environment.
const ENV: &str = "AWS_ACCESS_KEY_ID=AKIDENV\nAWS_SECRET_ACCESS_KEY=SECRET";
const KEYS: &str = "[default]\naws_access_key_id = AKIDFILE\naws_secret_access_key = SECRET\n";
const CONFIG_KEYS: &str =
    "[default]\naws_access_key_id = AKIDCONFIG\naws_secret_access_key = SECRET\n";
const BOTH_X: &str = "[x]\naws_access_key_id = AKIDX\naws_secret_access_key = SECRET\n\
    [y]\naws_access_key_id = AKIDY\naws_secret_access_key = SECRET\n";
const PROFILE_X: &str = "[profile x]\naws_access_key_id = AKIDX\naws_secret_access_key = SECRET\n";
const CONTAINER: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI=CLOUD/container";
const BEARER: &str =
    "AWS_WEB_IDENTITY_TOKEN_FILE=HOME/token\nAWS_ROLE_ARN=arn:aws:iam::123456789012:role/pod";
const PROCESS: &str = "[default]\ncredential_process = sh -c 'echo \"{\\\"Version\\\":1,\
    \\\"AccessKeyId\\\":\\\"AKIDPROC\\\",\\\"SecretAccessKey\\\":\\\"SECRET\\\"}\"'\n";
const PROCESS_AND_KEYS: &str = "[default]\ncredential_process = sh -c 'echo \"{\\\"Version\\\":1,\
    \\\"AccessKeyId\\\":\\\"AKIDPROC\\\",\\\"SecretAccessKey\\\":\\\"SECRET\\\"}\"'\n\
    aws_access_key_id = AKIDCONFIG\naws_secret_access_key = SECRET\n";
const ROLE: &str = "[default]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = x\n\
    [profile x]\naws_access_key_id = AKIDX\naws_secret_access_key = SECRET\n";
const ROLE_OF_ITSELF: &str = "[default]\nrole_arn = arn:aws:iam::123456789012:role/r\n\
    source_profile = default\naws_access_key_id = AKIDSELF\naws_secret_access_key = SECRET\n";
const CHAIN: &str = "[default]\nrole_arn = arn:aws:iam::123456789012:role/r3\nsource_profile = b\n\
    [profile b]\nrole_arn = arn:aws:iam::123456789012:role/r2\nsource_profile = c\n\
    [profile c]\nrole_arn = arn:aws:iam::123456789012:role/r1\nsource_profile = x\n";
const LOOP: &str = "[default]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = b\n\
    [profile b]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = default\n";
const BEARER_PROFILE: &str = "[default]\nrole_arn = arn:aws:iam::123456789012:role/pod\n\
    web_identity_token_file = HOME/token\n";
const BEARER_SOURCE: &str = "[default]\nrole_arn = arn:aws:iam::123456789012:role/r\n\
    source_profile = b\n[profile b]\nrole_arn = arn:aws:iam::123456789012:role/pod\n\
    web_identity_token_file = HOME/token\n";
const PROCESS_SOURCE: &str = "[default]\nrole_arn = arn:aws:iam::123456789012:role/r\n\
    source_profile = b\n[profile b]\ncredential_process = sh -c 'echo \"{\\\"Version\\\":1,\
    \\\"AccessKeyId\\\":\\\"AKIDPROC\\\",\\\"SecretAccessKey\\\":\\\"SECRET\\\"}\"'\n";
const SSO: &str = "[default]\nsso_account_id = 123456789012\nsso_role_name = r\n\
    sso_start_url = https://example.com/start\nsso_region = eu-west-1\n";
const ODD_FILE: &str = "; a comment\n[DEFAULT]\naws_secret_access_key = SECRET\n\n[default]\n\
    # another\nAWS_Access_Key_Id : AKIDFILE\ns3 =\n  addressing_style = path\n\n    deeper = x\n\
    region = eu-west-1\n";

#[rustfmt::skip]
pub(super) const CREDENTIALS: &[Case] = &[
    Case { name: "nothing at all", variables: "AWS_EC2_METADATA_DISABLED=true", chosen: "none", ..PLAIN },
    Case { name: "environment", variables: ENV, chosen: "AKIDENV", ..PLAIN },
    Case { name: "environment with a session token", variables: "AWS_ACCESS_KEY_ID=AKIDENV\nAWS_SECRET_ACCESS_KEY=SECRET\nAWS_SESSION_TOKEN=s", chosen: "AKIDENV s", ..PLAIN },
    Case { name: "environment with both names of a session token", variables: "AWS_ACCESS_KEY_ID=AKIDENV\nAWS_SECRET_ACCESS_KEY=SECRET\nAWS_SESSION_TOKEN=s\nAWS_SECURITY_TOKEN=t", chosen: "AKIDENV t", ..PLAIN },
    Case { name: "environment, id alone", variables: "AWS_ACCESS_KEY_ID=AKIDENV", chosen: "error", ..PLAIN },
    Case { name: "environment, secret alone", variables: "AWS_SECRET_ACCESS_KEY=SECRET", credentials: KEYS, chosen: "AKIDFILE", ..PLAIN },
    Case { name: "environment, empty", variables: "AWS_ACCESS_KEY_ID=\nAWS_SECRET_ACCESS_KEY=", credentials: KEYS, chosen: "AKIDFILE", ..PLAIN },
    Case { name: "environment before everything", variables: "AWS_ACCESS_KEY_ID=AKIDENV\nAWS_SECRET_ACCESS_KEY=SECRET\nAWS_PROFILE=x\nAWS_WEB_IDENTITY_TOKEN_FILE=HOME/token\nAWS_ROLE_ARN=arn:aws:iam::123456789012:role/pod\nAWS_CONTAINER_CREDENTIALS_FULL_URI=CLOUD/container", credentials: BOTH_X, config: ROLE, chosen: "AKIDENV" },
    Case { name: "keys of the credentials file", credentials: KEYS, chosen: "AKIDFILE", ..PLAIN },
    Case { name: "keys of the config file", config: CONFIG_KEYS, chosen: "AKIDCONFIG", ..PLAIN },
    Case { name: "keys of both files", config: CONFIG_KEYS, credentials: KEYS, chosen: "AKIDFILE", ..PLAIN },
    Case { name: "half a key in each file", config: "[default]\naws_secret_access_key = SECRET\n", credentials: "[default]\naws_access_key_id = AKIDFILE\n", chosen: "error", ..PLAIN },
    Case { name: "files elsewhere, one with a tilde", variables: "AWS_CONFIG_FILE=~/c\nAWS_SHARED_CREDENTIALS_FILE=HOME/.aws/config", config: CONFIG_KEYS, chosen: "AKIDCONFIG", ..PLAIN },
    Case { name: "AWS_PROFILE, [profile x] in config", variables: "AWS_PROFILE=x", config: PROFILE_X, chosen: "AKIDX", ..PLAIN },
    Case { name: "AWS_PROFILE, [x] in config is no profile", variables: "AWS_PROFILE=x", config: BOTH_X, chosen: "error", ..PLAIN },
    Case { name: "AWS_PROFILE, [x] in credentials", variables: "AWS_PROFILE=x", credentials: BOTH_X, chosen: "AKIDX", ..PLAIN },
    Case { name: "AWS_PROFILE, [profile x] in credentials is another", variables: "AWS_PROFILE=x", credentials: PROFILE_X, chosen: "error", ..PLAIN },
    Case { name: "AWS_PROFILE is not there, keys in the environment", variables: "AWS_ACCESS_KEY_ID=AKIDENV\nAWS_SECRET_ACCESS_KEY=SECRET\nAWS_PROFILE=nobody", chosen: "error", ..PLAIN },
    Case { name: "AWS_DEFAULT_PROFILE before AWS_PROFILE", variables: "AWS_PROFILE=x\nAWS_DEFAULT_PROFILE=y", credentials: BOTH_X, chosen: "AKIDY", ..PLAIN },
    Case { name: "a profile's name in quotes", variables: "AWS_PROFILE=two words", config: "[profile \"two words\"]\naws_access_key_id = AKIDX\naws_secret_access_key = SECRET\n", chosen: "AKIDX", ..PLAIN },
    Case { name: "[default] and [profile default]", config: "[default]\naws_access_key_id = AKID1\naws_secret_access_key = SECRET\n[profile default]\naws_access_key_id = AKID2\naws_secret_access_key = SECRET\n", chosen: "AKID2", ..PLAIN },
    Case { name: "a file with everything that is allowed", credentials: ODD_FILE, chosen: "AKIDFILE", ..PLAIN },
    Case { name: "a file with a mistake", config: "[default]\nno sign\n", credentials: KEYS, chosen: "error", ..PLAIN },
    Case { name: "a section twice", credentials: "[default]\na=1\n[default]\nb=1\n", chosen: "error", ..PLAIN },
    Case { name: "an option twice", credentials: "[default]\na=1\nA=1\n", chosen: "error", ..PLAIN },
    Case { name: "process", config: PROCESS, chosen: "AKIDPROC", ..PLAIN },
    Case { name: "process and keys of the config file", config: PROCESS_AND_KEYS, chosen: "AKIDPROC", ..PLAIN },
    Case { name: "process and keys of the credentials file", config: PROCESS, credentials: KEYS, chosen: "AKIDFILE", ..PLAIN },
    Case { name: "a process that fails", variables: CONTAINER, config: "[default]\ncredential_process = false\n", chosen: "error", ..PLAIN },
    Case { name: "a process of version 2", config: "[default]\ncredential_process = echo '{\"Version\":2}'\n", chosen: "error", ..PLAIN },
    Case { name: "role", config: ROLE, chosen: temporary!("r-by-AKIDX"), ..PLAIN },
    Case { name: "role, keys in the credentials file too", config: ROLE, credentials: KEYS, chosen: temporary!("r-by-AKIDX"), ..PLAIN },
    Case { name: "role by its own profile's keys", config: ROLE_OF_ITSELF, chosen: temporary!("r-by-AKIDSELF"), ..PLAIN },
    Case { name: "role, source in the credentials file", config: "[default]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = y\n", credentials: BOTH_X, chosen: temporary!("r-by-AKIDY"), ..PLAIN },
    Case { name: "chain of roles", config: CHAIN, credentials: BOTH_X, chosen: temporary!("r3-by-r2-by-r1-by-AKIDX"), ..PLAIN },
    Case { name: "loop of roles", config: LOOP, chosen: "error", ..PLAIN },
    Case { name: "role without a source", config: "[default]\nrole_arn = arn:aws:iam::123456789012:role/r\n", credentials: KEYS, chosen: "error", ..PLAIN },
    Case { name: "role with two sources", config: "[default]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = default\ncredential_source = Environment\n", credentials: KEYS, chosen: "error", ..PLAIN },
    Case { name: "role, source profile not there", config: "[default]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = x\n", chosen: "error", ..PLAIN },
    Case { name: "role, source profile empty", variables: CONTAINER, config: "[default]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = x\n[profile x]\nregion = eu-west-1\n", chosen: "error", ..PLAIN },
    Case { name: "role by the instance", config: "[default]\nrole_arn = arn:aws:iam::123456789012:role/r\ncredential_source = Ec2InstanceMetadata\n", chosen: temporary!("r-by-AKIDINSTANCE"), ..PLAIN },
    Case { name: "role by the container", variables: CONTAINER, config: "[default]\nrole_arn = arn:aws:iam::123456789012:role/r\ncredential_source = EcsContainer\n", chosen: temporary!("r-by-AKIDCONTAINER"), ..PLAIN },
    Case { name: "role by the environment, which goes first itself", variables: ENV, config: "[default]\nrole_arn = arn:aws:iam::123456789012:role/r\ncredential_source = Environment\n", chosen: "AKIDENV", ..PLAIN },
    Case { name: "role by the environment, which is empty", config: "[default]\nrole_arn = arn:aws:iam::123456789012:role/r\ncredential_source = Environment\n", chosen: "error", ..PLAIN },
    Case { name: "role by an unknown source", config: "[default]\nrole_arn = arn:aws:iam::123456789012:role/r\ncredential_source = Moon\n", chosen: "error", ..PLAIN },
    Case { name: "role that asks for a code", config: "[default]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = x\nmfa_serial = arn:aws:iam::123456789012:mfa/m\n", credentials: BOTH_X, chosen: "error", ..PLAIN },
    Case { name: "role by a process", config: PROCESS_SOURCE, chosen: temporary!("r-by-AKIDPROC"), ..PLAIN },
    Case { name: "role by a web identity", config: BEARER_SOURCE, chosen: temporary!("r-by-pod-bearing-bearer"), ..PLAIN },
    Case { name: "web identity of the environment", variables: BEARER, chosen: temporary!("pod-bearing-bearer"), ..PLAIN },
    Case { name: "web identity before a profile's keys", variables: BEARER, credentials: KEYS, chosen: temporary!("pod-bearing-bearer"), ..PLAIN },
    Case { name: "role before web identity", variables: BEARER, config: ROLE, chosen: temporary!("r-by-AKIDX"), ..PLAIN },
    Case { name: "web identity of the profile", config: BEARER_PROFILE, chosen: temporary!("pod-bearing-bearer"), ..PLAIN },
    Case { name: "web identity, role of the environment and token of the profile", variables: "AWS_ROLE_ARN=arn:aws:iam::123456789012:role/other", config: BEARER_PROFILE, chosen: temporary!("other-bearing-bearer"), ..PLAIN },
    Case { name: "web identity without a role", variables: "AWS_WEB_IDENTITY_TOKEN_FILE=HOME/token", credentials: KEYS, chosen: "error", ..PLAIN },
    Case { name: "web identity, token not there", variables: "AWS_WEB_IDENTITY_TOKEN_FILE=HOME/nothing\nAWS_ROLE_ARN=arn:aws:iam::123456789012:role/pod", credentials: KEYS, chosen: "error", ..PLAIN },
    Case { name: "SSO, even with keys", config: SSO, credentials: KEYS, chosen: "error", ..PLAIN },
    Case { name: "login session", config: "[default]\nlogin_session = arn:aws:iam::123456789012:user/u\n", variables: CONTAINER, chosen: "error", ..PLAIN },
    Case { name: "login session, keys in the credentials file", config: "[default]\nlogin_session = arn:aws:iam::123456789012:user/u\n", credentials: KEYS, chosen: "AKIDFILE", ..PLAIN },
    Case { name: "profile before container", variables: CONTAINER, credentials: KEYS, chosen: "AKIDFILE", ..PLAIN },
    Case { name: "container before instance", variables: CONTAINER, chosen: temporary!("AKIDCONTAINER"), ..PLAIN },
    Case { name: "container that fails, with an instance", variables: "AWS_CONTAINER_CREDENTIALS_FULL_URI=CLOUD/nothing", chosen: "error", ..PLAIN },
    Case { name: "container at a host that is not allowed", variables: "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://192.0.2.1/container", chosen: "error", ..PLAIN },
    Case { name: "instance", chosen: temporary!("AKIDINSTANCE"), ..PLAIN },
];

const SERVICES: &str = "[default]\nregion = eu-west-1\nservices = s\nendpoint_url = https://global.test\n\
    [services s]\nsts =\n  endpoint_url = https://sts.test\nsesv2 =\n  endpoint_url = https://ses.test:8443\n";

#[rustfmt::skip]
pub(super) const SETTINGS: &[Case] = &[
    Case { name: "no region", chosen: "error", ..PLAIN },
    Case { name: "no region, an endpoint of one's own", variables: "AWS_ENDPOINT_URL=https://two.test", chosen: "error", ..PLAIN },
    Case { name: "AWS_DEFAULT_REGION", variables: "AWS_DEFAULT_REGION=eu-central-1", config: "[default]\nregion = eu-west-1\n", chosen: "eu-central-1 https://email.eu-central-1.amazonaws.com -", ..PLAIN },
    Case { name: "region of the profile", variables: "AWS_PROFILE=x", config: "[default]\nregion = eu-west-1\n[profile x]\nregion = eu-west-2\n", chosen: "eu-west-2 https://email.eu-west-2.amazonaws.com -", ..PLAIN },
    Case { name: "region of the credentials file", config: "[default]\nregion = eu-west-1\n", credentials: "[default]\nregion = eu-west-3\n", chosen: "eu-west-3 https://email.eu-west-3.amazonaws.com -", ..PLAIN },
    Case { name: "a region that is none", config: "[default]\nregion = evil.test/x\n", chosen: "error", ..PLAIN },
    Case { name: "AWS_ENDPOINT_URL_SESV2", variables: "AWS_ENDPOINT_URL_SESV2=https://one.test\nAWS_ENDPOINT_URL=https://two.test", config: SERVICES, chosen: "eu-west-1 https://one.test -", ..PLAIN },
    Case { name: "AWS_ENDPOINT_URL before the services section", variables: "AWS_ENDPOINT_URL=https://two.test", config: SERVICES, chosen: "eu-west-1 https://two.test -", ..PLAIN },
    Case { name: "services section", config: SERVICES, chosen: "eu-west-1 https://ses.test:8443 -", ..PLAIN },
    Case { name: "services section that is not there", config: "[default]\nregion = eu-west-1\nservices = s\n", chosen: "error", ..PLAIN },
    Case { name: "endpoint_url of the profile", config: "[default]\nregion = eu-west-1\nendpoint_url = https://global.test\n", chosen: "eu-west-1 https://global.test -", ..PLAIN },
    Case { name: "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", variables: "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true\nAWS_ENDPOINT_URL=https://two.test", config: SERVICES, chosen: "eu-west-1 https://email.eu-west-1.amazonaws.com -", ..PLAIN },
    Case { name: "ignore_configured_endpoint_urls of the profile", variables: "AWS_ENDPOINT_URL=https://two.test", config: "[default]\nregion = eu-west-1\nignore_configured_endpoint_urls = true\n", chosen: "eu-west-1 https://email.eu-west-1.amazonaws.com -", ..PLAIN },
    Case { name: "FIPS of the profile", config: "[default]\nregion = us-east-2\nuse_fips_endpoint = true\n", chosen: "us-east-2 https://email-fips.us-east-2.amazonaws.com -", ..PLAIN },
    Case { name: "FIPS of the profile, turned off", variables: "AWS_USE_FIPS_ENDPOINT=false", config: "[default]\nregion = us-east-2\nuse_fips_endpoint = true\n", chosen: "us-east-2 https://email.us-east-2.amazonaws.com -", ..PLAIN },
    Case { name: "dualstack of the environment", variables: "AWS_USE_DUALSTACK_ENDPOINT=TRUE\nAWS_DEFAULT_REGION=eu-west-1", chosen: "eu-west-1 https://email.eu-west-1.api.aws -", ..PLAIN },
    Case { name: "dualstack and FIPS of the profile", config: "[default]\nregion = us-east-2\nuse_fips_endpoint = true\nuse_dualstack_endpoint = true\n", chosen: "us-east-2 https://email-fips.us-east-2.api.aws -", ..PLAIN },
    Case { name: "ca_bundle of the profile", config: "[default]\nregion = eu-west-1\nca_bundle = /etc/ca.pem\n", chosen: "eu-west-1 https://email.eu-west-1.amazonaws.com /etc/ca.pem", ..PLAIN },
];
