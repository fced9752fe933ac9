#!/bin/sh
# Mail with two DKIM signatures in an aggregate report, as counted by dmarc-metrics-exporter 1.3.1 (PyPI), 2026-11-30.
# Guess: dmarc_compliant_total is what the receiver found: policy_evaluated says pass for DKIM, so all ten count; and
# dkim_domain is the domain that made them pass.
# Fact: of auth_results only the first signature is read. Its result has to be pass besides that of policy_evaluated,
# and its domain is the label. So mail signed by Ed25519 and by RSA, at a receiver that cannot check the first kind,
# counts as aligned, as not passed, and as not compliant, though the receiver let all of it pass; which of the two
# is reported first decides it. Mail by Amazon SES, which signs for the sender and for amazonses.com, can have the
# domain of SES as its label. An alert on the share of compliant mail fires for mail that is right. The README calls
# the counter the total of compliant messages and dkim_domain the domain that the signature is for; it does not say
# that there may be several, and no issue was found on it. (The same was reported of dmarcts-report-viewer in 2020.)
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv venv
venv/bin/pip --quiet --disable-pip-version-check install dmarc-metrics-exporter==1.3.1

cat >probe.py <<'PROBE'
from email.message import EmailMessage

from dmarc_metrics_exporter.deserialization import convert_to_events, get_aggregate_report_from_email
from dmarc_metrics_exporter.dmarc_metrics import DmarcMetricsCollection
from dmarc_metrics_exporter.prometheus_exporter import PrometheusExporter


def count(what, *signatures):
    dkim = "".join(
        f"<dkim><domain>{domain}</domain><selector>{selector}</selector><result>{result}</result></dkim>"
        for domain, selector, result in signatures
    )
    mail = EmailMessage()
    mail["From"] = "reports@example.net"
    mail["Subject"] = "Report Domain: example.com"
    mail.set_content(f"""<?xml version="1.0" encoding="UTF-8"?>
<feedback>
  <version>1.0</version>
  <report_metadata>
    <org_name>example.net</org_name><email>reports@example.net</email><report_id>7</report_id>
    <date_range><begin>1795996800</begin><end>1796083199</end></date_range>
  </report_metadata>
  <policy_published>
    <domain>example.com</domain><adkim>r</adkim><aspf>r</aspf><p>reject</p><sp>reject</sp><pct>100</pct>
  </policy_published>
  <record>
    <row>
      <source_ip>192.0.2.1</source_ip><count>10</count>
      <policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated>
    </row>
    <identifiers><header_from>example.com</header_from></identifiers>
    <auth_results>
      {dkim}
      <spf><domain>bounces.example.org</domain><result>pass</result></spf>
    </auth_results>
  </record>
</feedback>
""", subtype="xml")
    metrics = DmarcMetricsCollection()
    for report in get_aggregate_report_from_email(mail):
        for event in convert_to_events(report):
            metrics.update(event)
    print(what)
    for family in PrometheusExporter(metrics).collect():
        for sample in family.samples:
            if sample.name in ("dmarc_total", "dmarc_dkim_aligned_total", "dmarc_dkim_pass_total",
                               "dmarc_compliant_total"):
                print(f"  {sample.name}{{dkim_domain={sample.labels['dkim_domain']}}} {sample.value}")


rsa = ("example.com", "rsa", "pass")
ed25519 = ("example.com", "ed25519", "neutral")
count("RSA, Ed25519", rsa, ed25519)
count("Ed25519, RSA", ed25519, rsa)
count("SES", ("amazonses.com", "ses", "pass"), rsa)
PROBE
cat >expected <<'SEEN'
RSA, Ed25519
  dmarc_total{dkim_domain=example.com} 10
  dmarc_compliant_total{dkim_domain=example.com} 10
  dmarc_dkim_aligned_total{dkim_domain=example.com} 10
  dmarc_dkim_pass_total{dkim_domain=example.com} 10
Ed25519, RSA
  dmarc_total{dkim_domain=example.com} 10
  dmarc_compliant_total{dkim_domain=example.com} 0
  dmarc_dkim_aligned_total{dkim_domain=example.com} 10
  dmarc_dkim_pass_total{dkim_domain=example.com} 0
SES
  dmarc_total{dkim_domain=amazonses.com} 10
  dmarc_compliant_total{dkim_domain=amazonses.com} 10
  dmarc_dkim_aligned_total{dkim_domain=amazonses.com} 10
  dmarc_dkim_pass_total{dkim_domain=amazonses.com} 10
SEEN
venv/bin/python -W ignore probe.py >seen
cat seen
if ! diff expected seen; then
    echo "this is not what was seen then" >&2
    exit 1
fi
